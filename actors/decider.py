"""The actor around a decider: takes batches from its queues, most urgent lane first, and carries them through."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anyio

from actors.controls import Controls
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.life import Life
from broker.port import Broker, Delivery, Subscription
from broker.store.fold import Conflict
from broker.store.store import StoreUnavailable

BATCH_MAX = 256
_RETRY_SECONDS = 0.5


class DeciderActor:
    """Consumes the queues of one domain. It holds no message longer than one transaction takes."""

    def __init__(self, life: Life, broker: Broker, queues: Sequence[str], controls: Controls, domain: str) -> None:
        self._life = life
        self._broker = broker
        self._queues = queues
        self._controls = controls
        self._domain = domain
        self.handled = 0
        self.duplicates = 0
        self.set_aside = 0

    async def run(self, context: Context) -> None:
        """Consume until asked to stop; a batch that was begun is finished.

        Raises:
            BrokerError: the broker cannot be used; the supervisor starts us again.
        """
        await self._follow_pauses()
        async with self._broker.subscribe(self._queues, prefetch=BATCH_MAX) as subscription:
            context.ready()
            while not context.stopping:
                context.beat()
                await self._follow_pauses()
                batch = await self._next(subscription, context)
                if batch:
                    await self._carry(batch, subscription, context)

    async def _next(self, subscription: Subscription, context: Context) -> list[Delivery]:
        """The next batch, or nothing after a second, a change of orders, or when a stop is asked."""
        receiving = asyncio.ensure_future(subscription.receive(BATCH_MAX))
        changed = asyncio.ensure_future(self._controls.changed.wait())
        stop = asyncio.ensure_future(context.stop_asked.wait())
        alarm = asyncio.ensure_future(context.clock.sleep(1.0))
        try:
            await asyncio.wait({receiving, stop, alarm, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in (stop, alarm, changed):
                waiter.cancel()
            if not receiving.done():
                receiving.cancel()
        if receiving.done() and not receiving.cancelled():
            return receiving.result()
        return []

    async def _carry(self, batch: list[Delivery], subscription: Subscription, context: Context) -> None:
        at = microseconds(context.clock.now())
        try:
            with anyio.CancelScope(shield=True):
                report = await self._life.live(batch, subscription, at)
        except Conflict:
            await subscription.give_back(batch)  # somebody was faster: the next look finds the inbox marks
        except StoreUnavailable as problem:
            await subscription.give_back(batch)
            context.notice(f"{self._domain} waits: {problem}")
            await context.clock.wait(context.stop_asked, _RETRY_SECONDS)
        else:
            self.handled += report.handled
            self.duplicates += report.duplicates
            self.set_aside += report.set_aside

    async def _follow_pauses(self) -> None:
        for queue in self._queues:
            if self._controls.on_queue(queue) is not None:
                await self._broker.pause(queue)
            else:
                await self._broker.resume(queue)
