"""A receiver's view of several queues, most urgent first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from broker.crash_points import durable
from broker.order import ITEM_HEADER
from broker.port import BrokerLost, Delivery
from broker.rabbitmq.inlet import Inlet
from broker.store.unit import Unit
from policies.shares import Shares

READ_AHEAD = 256
"""Messages that the broker sends ahead of each queue beyond the prefetch, so that an urgent queue is not found empty
while its next messages are on the wire."""


class RabbitMQSubscription:
    """Ends with its connection: from then on `receive` raises `BrokerLost`, and a new subscription is needed."""

    def __init__(self, prefetch: int) -> None:
        self.prefetch = prefetch
        self.inlets: dict[str, Inlet] = {}
        self._shares = Shares()
        self._arrived = asyncio.Event()

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
        """Settle as finished: one write a queue, nothing awaited. Deliveries of another connection are ignored."""
        for inlet, mine in self._by_inlet(deliveries):
            inlet.acknowledge([delivery.tag for delivery in mine])
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
        for inlet in self.inlets.values():
            await inlet.close()
