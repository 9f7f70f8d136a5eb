"""The waiting calls of the simulation: by lane, oldest first, one at a time for each order key."""

from __future__ import annotations

import heapq
from collections import deque

from broker.store.rows import Call
from policies.lanes import LANES


class Line:
    """What the store's `ready` flag and the worklist do together, in memory."""

    def __init__(self) -> None:
        self._fresh: dict[str, list[tuple[int, Call]]] = {lane: [] for lane in LANES}
        self._again: dict[str, list[tuple[int, Call]]] = {lane: [] for lane in LANES}
        self._behind: dict[str, deque[Call]] = {}

    def add(self, call: Call) -> None:
        """A new call; it waits behind the open ones of its key."""
        if call.order_ref in self._behind:
            self._behind[call.order_ref].append(call)
        else:
            self._behind[call.order_ref] = deque()
            self.ready(call)

    def ready(self, call: Call) -> None:
        """It may go, or go again."""
        kind = self._again if call.sent else self._fresh
        heapq.heappush(kind[call.lane], (call.seq, call))

    def closed(self, call: Call) -> None:
        """It has its outcome; the next of its key may go."""
        behind = self._behind[call.order_ref]
        if behind:
            self.ready(behind.popleft())
        else:
            del self._behind[call.order_ref]

    def candidates(self) -> tuple[dict[str, Call], dict[str, Call]]:
        """The oldest call of each lane, and the oldest one that was never sent."""
        fresh = {lane: heap[0][1] for lane, heap in self._fresh.items() if heap}
        again = {lane: heap[0][1] for lane, heap in self._again.items() if heap}
        heads = {
            lane: min((kind[lane] for kind in (again, fresh) if lane in kind), key=lambda call: call.seq)
            for lane in LANES
            if lane in fresh or lane in again
        }
        return heads, fresh

    def take(self, call: Call) -> None:
        """It goes; it is the first of its lane or the first that was never sent."""
        kind = self._again if call.sent else self._fresh
        heapq.heappop(kind[call.lane])
