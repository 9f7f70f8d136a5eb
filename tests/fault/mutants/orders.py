"""Orders with a fault. Each is the real one with one step changed, or what some do instead of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from policies.order import Block, Item, Order, Share
from policies.order_lines import Place


def no_floors() -> Order:
    """The lower lanes wait as long as there is anything above them."""
    return Order(floors_percent={})


class Moved(Order):
    """Everything stands somewhere else than it should."""

    def moved(self, place: Place) -> Place:
        raise NotImplementedError

    def add(self, item: Item) -> None:
        super().add(Item(item.seq, self.moved(item.place), item.deadline, item.key, item.cost))


class LanesUpsideDown(Moved):
    """Bulk first."""

    def moved(self, place: Place) -> Place:
        return place._replace(lane={"urgent": "bulk", "bulk": "urgent"}.get(place.lane, place.lane))


class NoLanes(Moved):
    """First in, first out: one lane for all, one tenant for all."""

    def moved(self, place: Place) -> Place:
        return place._replace(lane="standard", tenant="", workload="")


class NoTenants(Moved):
    """First in, first out within a lane."""

    def moved(self, place: Place) -> Place:
        return place._replace(tenant="", workload="")


class WeightsAtEnqueue(Order):
    """A weight is written on the call when it comes: a change acts on what comes later only."""

    _begun = False

    def add(self, item: Item) -> None:
        self._begun = True
        super().add(item)

    def set_tenants(self, shares: Mapping[str, Share]) -> None:
        if not self._begun:
            super().set_tenants(shares)


class IgnoresBlocks(Order):
    """What is paused goes on."""

    def set_blocks(self, blocks: Iterable[Block]) -> None:
        pass


class KeyOpenWhileRetrying(Order):
    """A key is free for the next call as soon as one has failed."""

    def add(self, item: Item) -> None:
        super().add(Item(item.seq, item.place, item.deadline, None, item.cost))


class CountsWhatIsOver(Order):
    """A tenant's share is counted when its calls are over; what is in flight costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[str, deque[Item]] = {}
        self._over: Counter[str] = Counter()

    def ready(self) -> bool:
        return any(self._queues.values())

    def add(self, item: Item) -> None:
        self._queues.setdefault(item.place.tenant, deque()).append(item)

    def pick(self) -> Item | None:
        waiting = [tenant for tenant, queue in self._queues.items() if queue]
        if not waiting:
            return None
        return self._queues[min(waiting, key=lambda tenant: (self._over[tenant], tenant))].popleft()

    def ended(self, item: Item, cost: int | None = None) -> None:
        self._over[item.place.tenant] += 1

    def again(self, item: Item, cost: int | None = None) -> None:
        self._queues[item.place.tenant].appendleft(item)
