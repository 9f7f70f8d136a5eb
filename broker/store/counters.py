"""How much of what there is, kept in memory and moved by every commit, because counting a million rows is slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from broker.store.rows import Call, CallMove, CallRow
from broker.store.unit import Committed, Unit


class Counters:
    """Calls by (system, lane, status), and messages accepted, recognised as duplicates and handled since start.

    `flows`: waiting calls by (system, lane, tenant, workload), only those that have any.
    """

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.tenants: Counter[tuple[str, str, str]] = Counter()
        """Waiting calls by system, tenant and lane; those that have none are left out."""
        self.flows: dict[tuple[str, str, str, str], int] = {}
        self.accepted = 0
        self.duplicates = 0
        self.handled = 0
        self.queued = 0
        """Accepted messages that were not handled yet."""
        self.outcomes: Counter[str] = Counter()

    def load(
        self,
        calls: dict[tuple[str, str, str], int],
        flows: dict[tuple[str, str, str, str], int] | None = None,
        queued: int = 0,
    ) -> None:
        """Start from what the store holds; `queued`: messages that were accepted and not handled."""
        self.calls = Counter(calls)
        self.flows = dict(flows or {})
        self.queued = queued
        self.tenants.clear()
        for (system, lane, tenant, _), count in self.flows.items():
            self.tenants[system, tenant, lane] += count

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
                    self._flow(row, 1)
            for change in unit.call_changes:
                self.calls[change.call.system, change.call.lane, change.was] -= 1
                self.calls[change.call.system, change.call.lane, change.call.status] += 1
                self._flow(change.call, (change.call.status == "waiting") - (change.was == "waiting"))

            for move in unit.call_moves:
                self._move(move)

    def _move(self, move: CallMove) -> None:
        self.calls[move.call.system, move.call.lane, "waiting"] -= 1
        self.calls[move.call.system, move.lane, "waiting"] += 1
        self._flow(move.call, -1)
        self._flow(msgspec.structs.replace(move.call, lane=move.lane), 1)

    def _flow(self, call: CallRow | Call, more: int) -> None:
        if more:
            flow = (call.system, call.lane, call.tenant, call.workload)
            self.flows[flow] = self.flows.get(flow, 0) + more
            if not self.flows[flow]:
                del self.flows[flow]
            who = (call.system, call.tenant, call.lane)
            self.tenants[who] += more
            if not self.tenants[who]:
                del self.tenants[who]

    def waiting(self, system: str, lane: str) -> int:
        """Calls of a lane that wait for their turn."""
        return self.calls[system, lane, "waiting"]
