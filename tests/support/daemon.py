"""A running daemon before a running sandbox ERP, for tests at the real door. Private ports and directories."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from ops.client import Client
from ops.process import DaemonProcess
from ops.sandbox.process import SandboxProcess

T = TypeVar("T")
WAIT_SECONDS = 20.0
PROBLEM = "application/problem+json"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
CANARY = "canary-7c1f9be2d0"
"""Stands in tests for a value that nobody may repeat."""


@dataclass
class Site:
    """A daemon, its ERP, and the ways to talk to the daemon."""

    daemon: DaemonProcess
    erp: SandboxProcess

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the HTTP door."""
        host, _, port = self.daemon.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def token(self) -> str:
        """The operator token."""
        return (self.daemon.data / "operator.token").read_text().strip()

    def http(self) -> httpx.Client:
        """A fresh HTTP client."""
        return httpx.Client(base_url=self.daemon.url, timeout=WAIT_SECONDS, trust_env=False, verify=False)

    def client(self) -> Client:
        """The command line's client."""
        return Client(self.daemon.url, self.daemon.data / "operator.token")

    def post(self, body: bytes | Any, media: str = STRUCTURED, **headers: str) -> httpx.Response:
        """Post messages; `body` is bytes, or is encoded. Header names have _ for -."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.http() as http:
            return http.post("/v1/messages", content=content, headers={"Content-Type": media, **named})

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        """A GET without credentials."""
        with self.http() as http:
            return http.get(path, params=parameters or None)

    def operate(self, verb: str, body: bytes | Mapping[str, Any], **headers: str) -> httpx.Response:
        """An operator verb with the operator token, or with the headers given instead."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self.http() as http:
            given = headers or {"Authorization": f"Bearer {self.token}"}
            return http.post(f"/v1/ops/{verb}", content=content, headers=given)

    def raw(self, request: bytes, seconds: float = WAIT_SECONDS) -> bytes:
        """Send bytes as they are, and give all that comes until the daemon closes."""
        with socket.create_connection(self.address, timeout=seconds) as connection:
            connection.sendall(request)
            return read_to_the_end(connection)

    def accepted(self) -> int:
        """The place of the last message that came from outside."""
        last, following = -1, 0
        with self.client() as client:
            while following > last:
                last, (_, following) = following, client.outcomes(following)
        return last

    def log(self) -> str:
        """What the daemon logged so far."""
        return self.daemon.log_path.read_text(errors="replace")

    def calls(self) -> list[dict[str, Any]]:
        """The calls that the ERP experienced, at their arrival."""
        return [line for line in self.erp.log_lines() if line.get("event") == "arrived"]

    def documents(self, source_document: str) -> list[Any]:
        """What the ERP has posted for a business key."""
        return [document for document in self.erp.documents() if document.source_document == source_document]


def read_to_the_end(connection: socket.socket) -> bytes:
    """Everything until the other side closes. Raises TimeoutError when it stays open."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def until(look: Callable[[], T], what: str, seconds: float = WAIT_SECONDS) -> T:
    """The first true thing that `look` sees; each look is a question to a process, which takes its own time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if seen := look():
            return seen
    raise AssertionError(f"not within {seconds} s: {what}")


@contextmanager
def site(directory: Path, profile: str = "unlimited", **settings: str) -> Iterator[Site]:
    """A site that lives as long as the block."""
    with SandboxProcess(directory / "erp", profile) as erp:
        told = {
            "TIDEGATE_ERP__URL": erp.url,
            "TIDEGATE_ERP__LIMITS": "1000/1s,20 concurrent",
            "TIDEGATE_ERP__TIMEOUT_SECONDS": "5",
            "TIDEGATE_ERP__LOST_SECONDS": "1",
            **settings,
        }
        with DaemonProcess(directory / "data", told) as daemon:
            yield Site(daemon, erp)


def case(name: str, **data: Any) -> dict[str, Any]:
    """A support case that earns a credit: an outage of 300 minutes of a premium account."""
    facts = {
        "case_id": f"CASE-{name}",
        "account_id": f"ACC-{name}",
        "outage_class": "full",
        "outage_minutes": 300,
        "tier": "premium",
        "monthly_fee": {"amount": "200.00", "currency": "EUR"},
        "severity": "high",
        "opened_at": "2026-03-01T09:30:00Z",
        **data,
    }
    return event("support.case.opened", f"case-{name}", {k: v for k, v in facts.items() if v is not None})


def adjustment(name: str, key: str | None = None, **data: Any) -> dict[str, Any]:
    """A command to post 12.50 EUR."""
    facts = {
        "intent_id": f"INT-{name}",
        "account_id": f"ACC-{name}",
        "amount": {"amount": "12.50", "currency": "EUR"},
        "reason_code": "service_credit",
        "source_document": f"DOC-{name}",
        "kind": "credit",
        **data,
    }
    body = event("erp.adjustment.request", f"cmd-{name}", {k: v for k, v in facts.items() if v is not None})
    return body if key is None else {**body, "idempotencykey": key}


def event(type_: str, id_: str, data: Any, **attributes: Any) -> dict[str, Any]:
    """A CloudEvents 1.0 event in structured mode."""
    return {"specversion": "1.0", "id": id_, "source": "urn:test", "type": type_, "data": data, **attributes}


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document of a response, after a look at its shape."""
    assert response.headers["content-type"] == PROBLEM
    document: dict[str, Any] = response.json()
    check_problem(document, response.status_code)
    return document


def check_problem(document: Mapping[str, Any], status: int) -> None:
    """The members that every problem has."""
    assert {"type", "title", "status", "detail", "code", "path", "request_id"} <= document.keys()
    assert document["status"] == status
    assert document["type"] == f"urn:tidegate:problem:{document['code']}"
    assert document["title"]
    assert document["detail"]
    assert len(document["request_id"]) == 32
