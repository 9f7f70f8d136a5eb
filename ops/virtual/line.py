"""The waiting calls of the simulation, as the gate meets them: what store and worklist do together, in memory."""

from __future__ import annotations

from collections.abc import Callable

from broker.store.rows import Call
from policies.order import Item, Order
from policies.order_cost import settled_cost


class Line:
    """Everything that waits, in the order of the policy, which here sees to the keys as well."""

    unread = False

    def __init__(self, order: Order, cost: Callable[[int], int]) -> None:
        """`cost`: of a call that is in flight for so many nanoseconds."""
        self._order = order
        self._cost = cost
        self._calls: dict[int, Call] = {}
        self._items: dict[int, Item] = {}
        self._aside: list[Item] = []

    def add(self, call: Call) -> None:
        """A new call; it waits behind the open ones of its key."""
        item = Item(call.seq, call.place, call.deadline, call.order_ref, self._cost(0))
        self._calls[call.seq], self._items[call.seq] = call, item
        self._order.add(item)

    def any(self) -> bool:
        """Whether a call may go."""
        return self._order.ready() or bool(self._aside)

    def first(self) -> Call | None:
        """The call that goes next."""
        head = self._order.peek()
        return self._calls[head.seq] if isinstance(head, Item) else None

    def take(self) -> Call:
        """The first is about to be made."""
        return self._calls[self._pick().seq]

    def set_aside(self) -> None:
        """The first may not go, the others may; those of its key still wait for it."""
        self._aside.append(self._pick())

    def bring_back(self) -> bool:
        """Those set aside are in line again; whether there were any."""
        back, self._aside = self._aside, []
        for item in back:
            self._order.undo(item)
        return bool(back)

    def again(self, call: Call, held_ns: int) -> None:
        """It was made in vain, and waits again."""
        self._calls[call.seq] = call
        self._order.again(self._items[call.seq], self._found(call, held_ns))

    def closed(self, call: Call, held_ns: int) -> None:
        """It has its outcome; the next of its key may go."""
        item = self._items[call.seq]
        self._order.ended(item, self._found(call, held_ns))
        del self._items[call.seq], self._calls[call.seq]

    def _found(self, call: Call, held_ns: int) -> int:
        return settled_cost(self._items[call.seq].cost, self._cost(held_ns))

    def _pick(self) -> Item:
        item = self._order.pick()
        assert item is not None, "there is a first call"
        return item
