"""What every actor that consumes queues has in common: batches, pauses, and a broker that may be away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from actors.controls import Controls
from actors.runtime.actor import Context
from broker.port import Broker, BrokerError, Delivery, Subscription
from policies.restarts import Backoff

Carry = Callable[[list[Delivery], Subscription, Context], Awaitable[None]]
_NS = 1_000_000_000


class Consumer:
    """Consumes queues, most urgent first, and hands batches to `carry`, one at a time.

    A lost broker is not a crash: the subscription is made anew when it is back. `carry` settles what it was given.
    """

    def __init__(
        self, broker: Broker, queues: Sequence[str], controls: Controls, batch_max: int, closed: Callable[[], bool]
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._controls = controls
        self._batch_max = batch_max
        self._closed = closed
        self._backoff = Backoff(cap_ns=5 * _NS)
        self._attempt = 0
        self.problem: str | None = None
        """Why nothing is consumed now, or None."""

    async def run(self, context: Context, carry: Carry) -> None:
        """Consume until asked to stop; a batch that was begun is finished.

        A broker that refuses us (password, rights, virtual host) is asked again as well: a person corrects it there.
        """
        context.ready()
        while not context.stopping:
            try:
                await self._subscribed(context, carry)
            except BrokerError as lost:
                self.problem = str(lost)
                self._attempt += 1
                delay = self._backoff.delay_ns(self._attempt, context.entropy.random()) / _NS
                await context.pause(context.stop_asked, delay)

    async def _subscribed(self, context: Context, carry: Carry) -> None:
        await self._follow_pauses()
        async with self._broker.subscribe(self._queues, prefetch=self._batch_max) as subscription:
            self.problem = None
            self._attempt = 0
            while not context.stopping:
                context.beat()
                await self._follow_pauses()
                if batch := await self._next(subscription, context):
                    await carry(batch, subscription, context)

    async def _next(self, subscription: Subscription, context: Context) -> list[Delivery]:
        """The next batch, or nothing after a second, a change of orders, or when a stop is asked."""
        if self._closed():
            await context.pause(self._controls.changed, 1.0)
            return []
        receiving = asyncio.ensure_future(subscription.receive(self._batch_max))
        others = {
            asyncio.ensure_future(self._controls.changed.wait()),
            asyncio.ensure_future(context.stop_asked.wait()),
            asyncio.ensure_future(context.clock.sleep(1.0)),
        }
        try:
            await asyncio.wait({receiving, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in others:
                waiter.cancel()
            if not receiving.done():
                receiving.cancel()
        return receiving.result() if receiving.done() and not receiving.cancelled() else []

    async def _follow_pauses(self) -> None:
        """Consume what may be consumed. Where not, what was sent ahead goes back: a broker that has waited half an hour
        for an acknowledgement ends the consumer (RabbitMQ's `consumer_timeout`)."""
        closed = self._closed()
        for queue in self._queues:
            if closed or self._controls.on_queue(queue) is not None:
                await self._broker.pause(queue)
            else:
                await self._broker.resume(queue)
