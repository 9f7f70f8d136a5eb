"""What the broker gave up on comes to a person: its dead letters become open exceptions, with the message whole.

A message of ours gets here when it was delivered and given back a thousand times, or when somebody rejected it. It is
not dropped and not tried again by itself: its row leaves the outbox in the transaction that opens the exception, so
that nothing publishes it again behind the person's back.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from actors.consumer import Consumer
from actors.controls import Controls
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.order import item_of
from broker.port import Broker, Delivery, Subscription
from broker.store.dead import accepted, with_a_person
from broker.store.fold import Conflict
from broker.store.rows import ExceptionRow, Handled
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Unit
from contracts.envelope import decode_envelope
from contracts.errors import ContractError
from contracts.registry import Registry

BATCH_MAX = 64
_RETRY_SECONDS = 0.5


class DeadLetters:
    """Consumes the broker's dead letters, of all domains."""

    def __init__(self, store: Store, broker: Broker, controls: Controls, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._consumer = Consumer(broker, broker.dead, controls, BATCH_MAX, closed=lambda: False)

    async def run(self, context: Context) -> None:
        """Take dead letters until asked to stop; a batch that was begun is finished."""
        await self._consumer.run(context, self._carry)

    async def _carry(self, batch: list[Delivery], subscription: Subscription, context: Context) -> None:
        try:
            with anyio.CancelScope(shield=True):
                unit = await self._exceptions(batch, microseconds(context.clock.now()))
                if unit.exceptions:
                    await self._store.commit(unit)
                await subscription.acknowledge(batch)
        except (StoreUnavailable, Conflict, TimeoutError) as problem:
            await subscription.give_back(batch)
            context.notice(f"dead letters wait: {problem}")
            await context.clock.wait(context.stop_asked, _RETRY_SECONDS)

    async def _exceptions(self, batch: Sequence[Delivery], at: int) -> Unit:
        """An exception for each, but for what was handled after all, or is with a person already."""
        unit = Unit(at)
        handled = await accepted(self._store.reads, [delivery.message_id for delivery in batch])
        found = [(delivery, self._exception(delivery, at)) for delivery in batch]
        known = await with_a_person(self._store.reads, [exception.key for _, exception in found])
        for delivery, exception in found:
            if handled.get(delivery.message_id) or (exception.key, exception.body) in known:
                continue
            known.add((exception.key, exception.body))
            unit.exceptions.append(exception)
            if delivery.message_id in handled:
                unit.handled.append(Handled(delivery.message_id, at, "exception"))
                if (item := item_of(delivery)) is not None:
                    unit.settled.append(item)
        return unit

    def _exception(self, delivery: Delivery, at: int) -> ExceptionRow:
        queue = delivery.headers.get("x-first-death-queue", "a queue of ours")
        reason = delivery.headers.get("x-first-death-reason", "")
        why = _REASONS.get(reason, f"RabbitMQ's reason is {reason!r}" if reason else "RabbitMQ gave no reason")
        key, id, tenant = self._names(delivery)
        return ExceptionRow(
            key=key,
            failure="poison",
            owner="it",
            cause=f"It was taken out of {queue}: {why}. Nothing was done for it; its bytes are kept here.",
            message_id=id,
            intent_id=None,
            body=delivery.body,
            opened_at=at,
            tenant=tenant,
        )

    def _names(self, delivery: Delivery) -> tuple[str, str, str]:
        """Business key, id and tenant, as far as the message can be read."""
        try:
            envelope = decode_envelope(delivery.body)
        except ContractError:
            return delivery.message_id, delivery.message_id, ""
        try:
            data = self._registry.decode_data(envelope)
            return str(self._registry.newest(envelope.type).business_key(data)), envelope.id, envelope.tenant
        except ContractError:
            return envelope.partitionkey or envelope.id, envelope.id, envelope.tenant


_REASONS = {
    "delivery_limit": "it was delivered and came back more often than the queue's delivery limit allows",
    "rejected": "a consumer rejected it",
    "expired": "its time to live was over",
    "maxlen": "the queue was full",
}
