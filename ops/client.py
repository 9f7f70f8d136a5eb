"""Talking to a running daemon over its HTTP door; for the command line and the surge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx


class DaemonAway(Exception):
    """No daemon answers at that address."""


class Refused(Exception):
    """The daemon refused; `problem` is its problem document."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem.get('title')}: {problem.get('detail')} ({problem.get('code')})")
        self.problem = problem

    @property
    def come_back_seconds(self) -> float | None:
        """When to try again, if the daemon said so."""
        return self.problem.get("retry_after")


class Client:
    """Blocking; one connection at a time. Errors are `DaemonAway` or `Refused`."""

    def __init__(self, url: str, token_path: Path | None = None, timeout_seconds: float = 30.0) -> None:
        self.url = url
        self._token_path = token_path
        self._http = httpx.Client(base_url=url, timeout=timeout_seconds, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            response = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise DaemonAway(f"no Tidegate daemon answers at {self.url} ({type(error).__name__})") from None
        if response.status_code >= 400:
            problem = response.json() if "json" in response.headers.get("content-type", "") else {}
            problem.setdefault("title", f"status {response.status_code}")
            if after := response.headers.get("retry-after"):
                problem["retry_after"] = float(after)
            raise Refused(problem)
        return response.json()

    def _authorised(self) -> dict[str, str]:
        if self._token_path is None or not self._token_path.exists():
            raise DaemonAway(
                f"the operator token is not at {self._token_path}: name the daemon's data directory with --data"
            )
        return {"Authorization": f"Bearer {self._token_path.read_text().strip()}"}

    def send(self, events: Sequence[Mapping[str, Any]], signed: bool = False) -> list[dict[str, Any]]:
        """Enqueue a batch; one receipt an event, in order. `signed`: in the name of our token."""
        return self.send_raw([json.dumps(event).encode() for event in events], signed)

    def send_raw(self, events: Sequence[bytes], signed: bool = False) -> list[dict[str, Any]]:
        """Enqueue a batch of events that are JSON already; `signed`: in the name of our token."""
        headers = {"Content-Type": "application/cloudevents-batch+json", **(self._authorised() if signed else {})}
        answer = self._ask("POST", "/v1/messages", content=b"[" + b",".join(events) + b"]", headers=headers)
        receipts: list[dict[str, Any]] = answer["receipts"]
        return receipts

    def process(self, key: str) -> dict[str, Any]:
        """The story of a business key."""
        found: dict[str, Any] = self._ask("GET", f"/v1/processes/{quote(key, safe='')}")
        return found

    def outcomes(self, after: int, limit: int = 1000) -> tuple[list[dict[str, Any]], int]:
        """A page of outcomes and where the next begins."""
        page = self._ask("GET", "/v1/outcomes", params={"after": after, "limit": limit})
        return page["items"], page["next"]

    def overview(self) -> dict[str, Any]:
        """The whole house."""
        found: dict[str, Any] = self._ask("GET", "/v1/ops/status", headers=self._authorised())
        return found

    def forecast(self, what_if: str = "", tenants: int = 50) -> dict[str, Any]:
        """Time to drain, as things stand or with clauses."""
        query = {"tenants": tenants, **({"if": what_if} if what_if else {})}
        found: dict[str, Any] = self._ask("GET", "/v1/forecast", params=query, headers=self._authorised())
        return found

    def truth(self, since_us: int) -> dict[str, Any]:
        """What came true of the forecast of that moment."""
        query = {"since_us": since_us}
        found: dict[str, Any] = self._ask("GET", "/v1/forecast/truth", params=query, headers=self._authorised())
        return found

    def exceptions(self, limit: int) -> list[dict[str, Any]]:
        """What waits for a person, oldest first."""
        page = self._ask("GET", "/v1/ops/exceptions", params={"limit": limit}, headers=self._authorised())
        items: list[dict[str, Any]] = page["items"]
        return items

    def operate(self, verb: str, **command: Any) -> dict[str, Any]:
        """Give or end an order."""
        body = {name: value for name, value in command.items() if value is not None}
        effect: dict[str, Any] = self._ask("POST", f"/v1/ops/{verb}", json=body, headers=self._authorised())
        return effect

    def look(self, what: str, **parameters: Any) -> dict[str, Any]:
        """One of the operators' views: `top`, `calls`, `search`, `left`, `audit`, `operations`."""
        named = {name: value for name, value in parameters.items() if value is not None}
        found: dict[str, Any] = self._ask("GET", f"/v1/ops/{what}", params=named, headers=self._authorised())
        return found

    def approvals(self, limit: int) -> list[dict[str, Any]]:
        """What waits for people to approve it, oldest first."""
        page = self._ask("GET", "/v1/approvals", params={"limit": limit}, headers=self._authorised())
        items: list[dict[str, Any]] = page["items"]
        return items

    def approval(self, key: str, tenant: str | None = None) -> dict[str, Any]:
        """One, with its digest."""
        path, of = f"/v1/approvals/{quote(key, safe='')}", {"tenant": tenant} if tenant else {}
        found: dict[str, Any] = self._ask("GET", path, params=of, headers=self._authorised())
        return found

    def vote(self, key: str, verdict: str, **ballot: Any) -> dict[str, Any]:
        """Approve or reject."""
        body = {name: value for name, value in ballot.items() if value is not None}
        path = f"/v1/approvals/{quote(key, safe='')}/{verdict}"
        effect: dict[str, Any] = self._ask("POST", path, json=body, headers=self._authorised())
        return effect

    def incidents(self, limit: int) -> list[dict[str, Any]]:
        """Incidents because of which credits were asked, the latest first."""
        page = self._ask("GET", "/v1/incidents", params={"limit": limit}, headers=self._authorised())
        items: list[dict[str, Any]] = page["items"]
        return items

    def incident(self, name: str, what: str = "", **parameters: Any) -> dict[str, Any]:
        """One, or its `cases`, or its `reconcile`."""
        path = f"/v1/incidents/{quote(name, safe='')}" + (f"/{what}" if what else "")
        named = {key: value for key, value in parameters.items() if value is not None}
        found: dict[str, Any] = self._ask("GET", path, params=named, headers=self._authorised())
        return found

    def on_incident(self, name: str, verb: str, **command: Any) -> dict[str, Any]:
        """Preview, approve, hold or resume."""
        body = {key: value for key, value in command.items() if value is not None}
        path = f"/v1/incidents/{quote(name, safe='')}/{verb}"
        told: dict[str, Any] = self._ask("POST", path, json=body, headers=self._authorised())
        return told

    def is_ready(self) -> bool:
        """Whether the daemon takes and does work."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False
