"""Calls whose outcome is not known, by the time at which they are looked up."""

from __future__ import annotations

import heapq

from actors.caller.gate import Gate, look_up_of
from actors.controls import Controls
from broker.store.rows import Call
from broker.store.unit import Unit

_FORBIDDEN_NS = 1_000_000_000
"""How long until a look-up is considered again that an order forbids."""


class LookUps:
    """A heap of unknown calls. Times are nanoseconds of the boot clock."""

    def __init__(self, gate: Gate, controls: Controls) -> None:
        self._gate = gate
        self._controls = controls
        self._calls: list[tuple[int, int, Call]] = []

    def add(self, call: Call, due_ns: int) -> None:
        """Look it up at that time, or as soon after as the gate lets it."""
        heapq.heappush(self._calls, (due_ns, call.seq, call))

    def due(self, now_ns: int) -> Call | None:
        """The one at the top that is due and may go; one that an order forbids comes again in a second."""
        while self._calls and self._calls[0][0] <= now_ns:
            call = self._calls[0][2]
            if self._gate.resting(look_up_of(call.operation), now_ns) is not None:
                return None
            if self._controls.blocks(call) is None:
                return call
            heapq.heapreplace(self._calls, (now_ns + _FORBIDDEN_NS, call.seq, call))
        return None

    def when(self, seq: int) -> int | None:
        """When this call is to be looked up, as far as is known; None if it is being looked up just now."""
        found = next(((due_ns, call.operation) for due_ns, number, call in self._calls if number == seq), None)
        if found is None:
            return None
        due_ns, operation = found
        rest = self._gate.resting(look_up_of(operation), due_ns)
        return due_ns if rest is None or not rest.until_ns else max(due_ns, rest.until_ns)

    def take(self) -> None:
        """The one at the top is about to be asked for."""
        heapq.heappop(self._calls)

    def next_ns(self, now_ns: int) -> int | None:
        """When the next is due; None if there is none, or if it is due already and waits for the gate."""
        return self._calls[0][0] if self._calls and self._calls[0][0] > now_ns else None

    def pending(self) -> list[tuple[Call, int]]:
        """Calls of unknown outcome, and when each is due."""
        return [(call, due_ns) for due_ns, _, call in self._calls]


def to_look_up(unit: Unit, system: str) -> list[Call]:
    """Calls that a person has sent back from an exception, to be looked up once more."""
    mine = (change for change in unit.call_changes if change.call.system == system)
    return [change.call for change in mine if (change.was, change.call.status) == ("exception", "unknown")]
