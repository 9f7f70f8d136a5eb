"""How much of what there is, kept in memory and moved by every commit, because counting a million rows is slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from broker.store.unit import Committed, Unit


class Counters:
    """Calls by (system, lane, status), and messages accepted, recognised as duplicates and handled since start."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.tenants: Counter[tuple[str, str, str]] = Counter()
        """Waiting calls by system, tenant and lane; those that have none are left out."""
        self.accepted = 0
        self.duplicates = 0
        self.handled = 0
        self.queued = 0
        """Accepted messages that were not handled yet."""
        self.outcomes: Counter[str] = Counter()

    def load(
        self, calls: dict[tuple[str, str, str], int], tenants: dict[tuple[str, str, str], int], queued: int
    ) -> None:
        """Start from what the store holds: calls by system, lane and status; waiting ones by system, tenant, lane."""
        self.queued = queued
        self.calls = Counter(calls)
        self.tenants = Counter(tenants)

    def move(self, units: Sequence[Unit], results: Sequence[Committed]) -> None:
        """Follow a committed group."""
        for unit, result in zip(units, results, strict=True):
            duplicates = sum(entry.duplicate for entry in result.accepted)
            self.duplicates += duplicates
            self.accepted += len(result.accepted) - duplicates
            self.handled += len(unit.handled)
            self.queued += len(result.accepted) - duplicates - len(unit.handled)
            for mark in unit.handled:
                self.outcomes[mark.outcome] += 1
            skipped = Counter((*result.calls_known, *result.calls_conflicting))
            for row in reversed(unit.calls):  # of the same intent twice in a unit, the later one is skipped
                if skipped[row.intent_id]:
                    skipped[row.intent_id] -= 1
                else:
                    self.calls[row.system, row.lane, "waiting"] += 1
                    self._wait((row.system, row.tenant, row.lane), 1)
            for change in unit.call_changes:
                call = change.call
                self.calls[call.system, call.lane, change.was] -= 1
                self.calls[call.system, call.lane, call.status] += 1
                if (difference := (call.status == "waiting") - (change.was == "waiting")) != 0:
                    self._wait((call.system, call.tenant, call.lane), difference)
            for move in unit.call_moves:
                self.calls[move.call.system, move.call.lane, "waiting"] -= 1
                self.calls[move.call.system, move.lane, "waiting"] += 1
                self._wait((move.call.system, move.call.tenant, move.call.lane), -1)
                self._wait((move.call.system, move.call.tenant, move.lane), 1)

    def _wait(self, who: tuple[str, str, str], difference: int) -> None:
        self.tenants[who] += difference
        if not self.tenants[who]:
            del self.tenants[who]

    def waiting(self, system: str, lane: str) -> int:
        """Calls of a lane that wait for their turn."""
        return self.calls[system, lane, "waiting"]
