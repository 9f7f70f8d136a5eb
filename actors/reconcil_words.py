"""How a comparison of the ledger with a system goes, as operators see it and as the store keeps it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from policies.reconcile import Difference, Tally

NAMED_MAX = 10_000
"""Differences of one run that are named; what is beyond is counted by kind."""


class Progress(msgspec.Struct):
    """One run. `state`: queued, running, clean, differs, stopped, failed. Times in microseconds since the epoch.

    `how`: `listing`, or `look-ups` where the system has none. `waits_for`: why its next call does not start.
    """

    number: int
    kind: str
    system: str
    who: str
    started_at: int
    state: str = "queued"
    how: str = "listing"
    ended_at: int | None = None
    calls: int = 0
    tally: Tally = msgspec.field(default_factory=Tally)
    kinds: Counter[str] = msgspec.field(default_factory=Counter)
    named: list[Difference] = msgspec.field(default_factory=list)
    waits_for: str | None = None
    why: str | None = None
    stop_asked: bool = False

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state not in ("queued", "running")

    @property
    def differences(self) -> int:
        """How many were found."""
        return sum(self.kinds.values())

    def add(self, found: list[Difference]) -> None:
        """These differ."""
        self.kinds.update(one.kind for one in found)
        self.named += found[: max(NAMED_MAX - len(self.named), 0)]

    def end(self, state: str, at: int, why: str | None = None) -> None:
        """It is over."""
        self.state, self.ended_at, self.why, self.waits_for = state, at, why, None

    def facts(self) -> dict[str, Any]:
        """What is kept of it."""
        return {
            **msgspec.structs.asdict(self.tally),
            "calls": self.calls,
            "how": self.how,
            "differences": self.differences,
            **({"kinds": dict(self.kinds)} if self.kinds else {}),
            "state": self.state,
            **({"reason": self.why} if self.why else {}),
        }


class RunView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run of `tidegate ledger verify` or of the background, with the differences after a position."""

    number: int
    kind: str
    system: str
    who: str
    state: str
    how: str
    started_at: str | None
    calls: int
    intents: int
    documents: int
    matched: int
    refused: int
    for_people: int
    open: int
    moving: int
    differences: int
    kinds: dict[str, int]
    items: list[Difference]
    next: int
    ledger: int
    """Calls of the ledger to this system, to see how far it is."""
    seconds_a_call: float | None = None
    ended_at: str | None = None
    waits_for: str | None = None
    why: str | None = None


class LedgerCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Compare the ledger with a system; with `stop`, end the run that is on."""

    who: str
    system: str = "erp"
    reason: str = ""
    stop: bool = False
