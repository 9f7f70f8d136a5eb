"""The waiting calls of the simulation, in the order of the daemon: shares of tenants, one at a time for each key."""

from __future__ import annotations

import heapq

from broker.store.rows import Call
from policies.lanes import LANES
from policies.order import Item, Order, Place


class Line:
    """What the store's `ready` flag and the worklist do together, in memory. Repeats go before first calls."""

    def __init__(self) -> None:
        self._orders = {lane: Order() for lane in LANES}
        self._again: dict[str, list[tuple[int, Call]]] = {lane: [] for lane in LANES}
        self._calls: dict[int, Call] = {}
        self._items: dict[int, Item] = {}

    def add(self, call: Call, workload: str) -> None:
        """A new call; it waits behind the open ones of its key."""
        item = Item(call.seq, Place(call.lane, call.tenant, workload, call.operation), key=call.order_ref)
        self._calls[call.seq], self._items[call.seq] = call, item
        self._orders[call.lane].add(item)

    def again(self, call: Call) -> None:
        """It was made in vain and may go again."""
        heapq.heappush(self._again[call.lane], (call.seq, call))

    def closed(self, call: Call) -> None:
        """It has its outcome; the next of its key may go."""
        self._orders[call.lane].ended(self._items.pop(call.seq))

    def candidates(self) -> tuple[dict[str, Call], dict[str, Call]]:
        """The call of each lane that goes next, and the first that was never sent."""
        fresh: dict[str, Call] = {}
        for lane, order in self._orders.items():
            if isinstance(item := order.peek(), Item):
                fresh[lane] = self._calls[item.seq]
        return {**fresh, **{lane: heap[0][1] for lane, heap in self._again.items() if heap}}, fresh

    def take(self, call: Call) -> None:
        """It goes; it is the first of its lane or the first that was never sent."""
        if call.sent:
            heapq.heappop(self._again[call.lane])
        else:
            self._orders[call.lane].pick()
            del self._calls[call.seq]
