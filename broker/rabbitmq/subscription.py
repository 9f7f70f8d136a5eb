"""A receiver's view of several queues, most urgent first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from broker.crash_points import durable
from broker.order import ITEM_HEADER
from broker.port import BrokerLost, Delivery
from broker.rabbitmq.inlet import Inlet
from broker.rabbitmq.link import Link
from broker.store.unit import Unit
from policies.shares import Shares

READ_AHEAD = 256
"""Messages that the broker sends ahead of the most urgent queue beyond the prefetch, so that it is not found empty
while its next messages are on the wire."""
LOWER_READ_AHEAD = 64
"""The same of the other queues: what lies on the wire is in the way of an urgent message that comes after it."""
_STARTED_TOGETHER = 16
"""Consumers that are started at once: each is three questions to the broker, and more at once are not faster."""


class RabbitMQSubscription:
    """Ends with its connection: from then on `receive` raises `BrokerLost`, and a new subscription is needed."""

    def __init__(self, link: Link, queues: Sequence[str], prefetch: int) -> None:
        self._link = link
        self._queues = queues
        self.prefetch = prefetch
        self.inlets: dict[str, Inlet] = {}
        """In the order of `queues`, once each was added."""
        self._shares = Shares()
        self._arrived = asyncio.Event()

    async def begin(self, consume: Callable[[str], Awaitable[None]]) -> None:
        """Have every queue consumed. Raises the first of what `consume` raises, when nothing is under way any more."""
        for first in range(0, len(self._queues), _STARTED_TOGETHER):
            starting = (consume(queue) for queue in self._queues[first : first + _STARTED_TOGETHER])
            for problem in await asyncio.gather(*starting, return_exceptions=True):
                if problem is not None:
                    raise problem

    def add(self, inlet: Inlet) -> None:
        """An inlet for one of the queues, in the place of the one that it had."""
        self.inlets[inlet.queue] = inlet
        if len(self.inlets) == len(self._queues):
            self.inlets = {queue: self.inlets[queue] for queue in self._queues}

    async def start(self, queue: str) -> None:
        """Begin to consume it. Raises Missing, BrokerLost, BrokerRefused."""
        ahead = READ_AHEAD if queue == self._queues[0] else LOWER_READ_AHEAD
        await self.inlets[queue].start(self.prefetch + ahead)

    def wake(self) -> None:
        """Let the receiver look again."""
        self._arrived.set()

    async def receive(self, limit: int) -> list[Delivery]:
        """Take from the most urgent queue first; see `Shares` for what the others get.

        Raises:
            BrokerLost: the consumer of one of the queues is gone; what is unsettled comes again to whoever asks.
        """
        await asyncio.sleep(0)  # look at the socket before deciding which queue has work
        while True:
            for inlet in self.inlets.values():
                if inlet.lost is not None:
                    raise BrokerLost(f"consuming from {inlet.queue}: {inlet.lost}")
            room = min(limit, self.prefetch - sum(inlet.handed_out for inlet in self.inlets.values()))
            if room > 0 and (found := self._take(room)):
                return found
            self._arrived.clear()
            await self._arrived.wait()

    def _take(self, room: int) -> list[Delivery]:
        live = [inlet for inlet in self.inlets.values() if inlet.ready]
        taken: list[Delivery] = []
        shares = self._shares.divide([(inlet.queue, len(inlet.ready)) for inlet in live], room) if live else []
        for inlet, share in zip(live, shares, strict=True):
            if share == len(inlet.ready):
                taken += inlet.ready
                inlet.ready.clear()
            else:
                taken += [inlet.ready.popleft() for _ in range(share)]
        return taken

    def enlist(self, deliveries: Sequence[Delivery], unit: Unit) -> None:
        """Delete, in the unit's transaction, the outbox rows of what the unit marks as handled.

        Only of those: as long as a message is not handled its row exists, so the number is still that row's. A late
        duplicate may carry the number of a row that is gone, and numbers can be given again.
        """
        handled = {mark.dedupe for mark in unit.handled}
        for delivery in deliveries:
            item = delivery.headers.get(ITEM_HEADER, "")
            if item.isdecimal() and delivery.message_id in handled:
                unit.settled.append(int(item))

    @durable("ack")
    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle as finished: one write, nothing awaited. Deliveries of another connection are ignored."""
        mine = self._by_inlet(deliveries)
        self._link.write(b"".join([inlet.acknowledge([delivery.tag for delivery in some]) for inlet, some in mine]))
        self.wake()

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Hand out again, in their old place: to this subscription while it lasts, then to whoever asks."""
        for inlet, mine in self._by_inlet(deliveries):
            if inlet.consuming:
                inlet.hand_again(mine)
            else:
                inlet.give_back([delivery.tag for delivery in mine])
        self.wake()

    def _by_inlet(self, deliveries: Sequence[Delivery]) -> list[tuple[Inlet, list[Delivery]]]:
        found: dict[str, tuple[Inlet, list[Delivery]]] = {}
        for delivery in deliveries:
            entry = found.get(delivery.queue)
            if entry is None:
                if (inlet := self.inlets.get(delivery.queue)) is None:
                    continue
                entry = found[delivery.queue] = inlet, []
            if delivery.generation == entry[0].generation:
                entry[1].append(delivery)
        return list(found.values())

    async def close(self) -> None:
        """End every consumer; what is unsettled returns to its queue."""
        await asyncio.gather(*(inlet.close() for inlet in self.inlets.values()))
