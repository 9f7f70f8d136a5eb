"""The actor around a decider: takes batches from its queues, most urgent lane first, and carries them through."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from actors.consumer import Consumer
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
        self._consumer = Consumer(broker, queues, controls, BATCH_MAX, closed=lambda: False)
        self._domain = domain
        self.handled = 0
        self.duplicates = 0
        self.set_aside = 0

    async def run(self, context: Context) -> None:
        """Consume until asked to stop; a batch that was begun is finished.

        Raises:
            BrokerError: the broker refuses us; the supervisor starts us again, and gives up in the end.
        """
        await self._consumer.run(context, self._carry)

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
