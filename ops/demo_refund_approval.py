"""How the incident of the demo is approved: looked at once nothing new comes, then by two people, up to a cap."""

from __future__ import annotations

import time
from decimal import ROUND_CEILING, Decimal
from typing import Any

from ops.cli_incidents import present
from ops.client import Client, DaemonAway, Refused
from ops.systems import Systems

APPROVERS = ("dora", "dirk")
HEADROOM = Decimal("1.10")
"""The cap is a tenth above what was seen, so that cases that come later go on without another approval."""
_LOOK_SECONDS = 1.0
_HELD_SECONDS = 3.0
_PAGE = 500
_KNOWN_HERE = ("refused",)
"""Rules of which the demo knows why they stop it."""


class Approver:
    """Looks at what waits, and when it has stopped growing has two people approve it once."""

    def __init__(self, client: Client, systems: Systems, incident: str) -> None:
        self._client = client
        self._systems = systems
        self._incident = incident
        self._last = 0.0
        self._cases = -1
        self._seen: dict[str, Any] | None = None
        self._voted = 0
        self.done = False
        self.note = "not approved yet"
        self.told: list[str] = []
        """What happened, in lines for people."""

    def look(self) -> None:
        """Go one step on, at most once a second; a daemon that is away is asked again at the next look."""
        if time.monotonic() - self._last < (_HELD_SECONDS if self.done else _LOOK_SECONDS):
            return
        self._last = time.monotonic()
        try:
            if self.done:
                self._resume()
            elif self._seen is None:
                self._preview()
            else:
                self._vote(self._seen)
        except DaemonAway:
            return

    def _preview(self) -> None:
        try:
            view = self._client.incident(self._incident)
        except Refused:
            return  # nobody has asked for a credit yet
        if view["asked"]["cases"] != self._cases:
            self._cases = view["asked"]["cases"]
            return
        if not view["waiting"]["cases"]:
            self.done, self.note = True, "nothing waited for people"
            return
        waiting = view["waiting"]
        cap = {currency: _above(amount) for currency, amount in waiting["money"].items()}
        most = max(view.get("busiest", {}).values(), default=1)
        command = {"cap": cap, "cases": int(_above(str(waiting["cases"]), 0)), "per_account": most}
        found = self._client.on_incident(self._incident, "preview", **command)
        self.told.append(f"tidegate incidents preview {self._incident} {_options(command)}")
        present(found, lambda line: self.told.append(f"  {line}"))
        self._seen = {**command, "digest": found["preview"]["digest"]}

    def _vote(self, seen: dict[str, Any]) -> None:
        who = APPROVERS[self._voted]
        with self._systems.person(self._client.url, who) as person:
            command = {**seen, "reason": "the outage is confirmed"}
            try:
                effect = person.on_incident(self._incident, "approve", **command)
            except Refused as refused:
                code = refused.problem.get("code")  # the answer to an earlier vote may be lost with the daemon
                if code not in ("approval.twice", "approval.closed"):
                    raise
                self._voted += 1
                self.done = code == "approval.closed"
                return
        self.told.append(f"tidegate incidents approve {self._incident} --digest ... (with the token of {who})")
        self.told.append(f"  {effect['note']}")
        self._voted += 1
        self.note = effect["note"]
        self.done = "more needed" not in effect["note"]

    def _resume(self) -> None:
        """What was stopped because the ERP refuses so much is known here: it was told to."""
        if self._seen is None:
            return
        hold = self._client.incident(self._incident).get("hold")
        if not hold or hold.get("rule") not in _KNOWN_HERE:
            return
        with self._systems.person(self._client.url, APPROVERS[0]) as person:
            person.on_incident(self._incident, "resume", reason="the demo has the ERP refuse")
        self.told.append(f"stopped by itself: {hold['reason']}")
        self.told.append(f"tidegate incidents resume {self._incident} (with the token of {APPROVERS[0]})")

    def released(self) -> dict[str, int]:
        """Cases that were let through, with their place in the order of approval."""
        found: dict[str, int] = {}
        after = 0
        while True:
            page = self._client.incident(self._incident, "cases", after=after, limit=_PAGE)
            found |= {row["key"]: row["place"] for row in page["items"] if row["verdict"] == "released"}
            if page["next"] == after:
                return found
            after = page["next"]


def _above(amount: str, decimals: int = 2) -> str:
    return str((Decimal(amount) * HEADROOM).quantize(Decimal(1).scaleb(-decimals), ROUND_CEILING))


def _options(command: dict[str, Any]) -> str:
    caps = " ".join(f"--cap {currency}={amount}" for currency, amount in command["cap"].items())
    return f"{caps} --count {command['cases']} --per-account {command['per_account']}"
