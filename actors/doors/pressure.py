"""How full the house is, by lane, and when there is room again: computed from the backlog and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from actors.caller.poster import Poster
from actors.controls import DOMAINS, Controls
from actors.runtime.clock import Clock, microseconds
from broker.store.counters import Counters
from broker.store.reads import Control
from policies.lanes import LANES
from policies.watermarks import Refuse, Watermarks, at_the_door

DRAINED_SECONDS = 30
"""When to ask again at a door that is drained without an end."""


class Pressure:
    """Counts what waits (messages that were not handled, and calls) against the marks of each lane.

    A lane that refuses does so until the line has fallen to its low mark. Marks fall from urgent to bulk.
    """

    def __init__(
        self, counters: Counters, controls: Controls, clock: Clock, marks: Mapping[str, Watermarks], system: str
    ) -> None:
        self._counters = counters
        self._controls = controls
        self._clock = clock
        self._marks = marks
        self._system = system
        self._lowest = min(mark.waiting_low for mark in marks.values())
        self._refusing: set[str] = set()
        self.poster: Poster | None = None

    def waiting(self) -> int:
        """Everything that waits."""
        calls = sum(self._counters.waiting(self._system, lane) for lane in LANES)
        return calls + max(self._counters.queued, 0)

    def of(self, lane: str, taken: int = 0) -> Refuse | None:
        """Why, and for how long, nothing more is taken of a lane; None while there is room. `taken`: what has been
        taken already and is not counted yet."""
        waiting, marks = self.waiting() + taken, self._marks[lane]
        if waiting <= self._lowest:
            self._refusing.clear()
            return None
        excess = max(waiting - marks.waiting_low, 1)
        refusing = lane in self._refusing
        if not refusing and waiting < marks.waiting_high:
            return None
        decision = at_the_door(marks, refusing, waiting, 0, excess / self._seconds(excess))
        if isinstance(decision, Refuse):
            self._refusing.add(lane)
            return decision
        self._refusing.discard(lane)
        return None

    def _seconds(self, ahead: int) -> float:
        """Until so many calls may have been made: as the gate allows it, after what holds it back just now."""
        order = self._controls.first_on([self._system, DOMAINS.get(self._system, self._system)])
        if self.poster is None or (order is not None and order.until is None):
            return float("inf")
        now_ns = self._clock.boot_ns()
        held = 0 if order is None else self.until_seconds(order)
        return held + max((self.poster.gate.budget.eta(now_ns, ahead) - now_ns) / 1e9, 0.001)

    def until_seconds(self, order: Control) -> int:
        """Whole seconds until an order ends by itself; for one without an end, when to ask again."""
        if order.until is None:
            return DRAINED_SECONDS
        return max(ceil((order.until - microseconds(self._clock.now())) / 1e6), 1)
