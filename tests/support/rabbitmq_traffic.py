"""Traffic for the fault tests: a publisher that knows what was confirmed, a receiver that recognises duplicates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.port import Broker, BrokerError, BrokerLost, Outgoing
from tests.support.loops import steps


class Receiver:
    """Receives, remembers ids in the order of their first arrival, and acknowledges; subscribes again when lost."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self._broker = broker
        self._queue = queue
        self.first: dict[str, None] = {}
        self.deliveries = 0
        self.lost = 0
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with self._broker.subscribe([self._queue], prefetch=50) as subscription:
                    while True:
                        batch = await subscription.receive(20)
                        self.deliveries += len(batch)
                        self.first.update(dict.fromkeys(delivery.message_id for delivery in batch))
                        self._came.set()
                        await subscription.acknowledge(batch)
            except BrokerError:
                self.lost += 1
                await steps(1)

    async def has(self, wanted: set[str]) -> None:
        """Wait until all of these have come."""
        while not wanted <= self.first.keys():
            self._came.clear()
            await self._came.wait()


@asynccontextmanager
async def receiving(broker: Broker, queue: str) -> AsyncIterator[Receiver]:
    """A receiver, running."""
    receiver = Receiver(broker, queue)
    task = asyncio.create_task(receiver.run())
    try:
        yield receiver
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Publisher:
    """Publishes m0, m1, ... in order, each batch until it is confirmed."""

    def __init__(self, broker: Broker, queue: str) -> None:
        self._broker = broker
        self._queue = queue
        self.confirmed: set[str] = set()
        self.failures: list[BrokerError] = []
        self._moved = asyncio.Event()
        self._stop = False
        self._over = False

    async def run(self) -> None:
        """Until stopped."""
        number = 0
        try:
            while not self._stop:
                ids = [f"m{n}" for n in range(number, number + 10)]
                number += 10
                await self._batch([Outgoing(id, b"x" * 200, self._queue) for id in ids])
                self.confirmed.update(ids)
                self._moved.set()
        finally:
            self._over = True
            self._moved.set()

    async def _batch(self, messages: list[Outgoing]) -> None:
        while True:
            try:
                await self._broker.publish(messages)
                return
            except BrokerError as error:
                self.failures.append(error)
                await steps(1)

    async def more(self, count: int) -> None:
        """Wait for so many more confirms."""
        target = len(self.confirmed) + count
        while len(self.confirmed) < target:
            assert not self._over, "the publisher has died"
            self._moved.clear()
            await self._moved.wait()

    def stop(self) -> None:
        """Publish no further batch."""
        self._stop = True

    @property
    def outcomes_unknown(self) -> int:
        """How often a batch ended with an unknown outcome."""
        return sum(isinstance(error, BrokerLost) for error in self.failures)


@asynccontextmanager
async def publishing(broker: Broker, queue: str) -> AsyncIterator[Publisher]:
    """A publisher, running; at the end its last batch is confirmed."""
    publisher = Publisher(broker, queue)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        publisher.stop()
        if task.done():
            await task  # raises what it died of
        try:
            await task
        finally:
            task.cancel()
