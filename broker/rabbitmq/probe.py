"""Proof at start that dead letters arrive: a message is rejected in a queue like ours and seen where they go."""

from __future__ import annotations

import asyncio

from broker.port import BrokerError, Delivery, Outgoing, Queue
from broker.rabbitmq.inlet import Inlet
from broker.rabbitmq.layout import DEAD, queue_arguments
from broker.rabbitmq.session import Session
from broker.rabbitmq.settings import RabbitMQSettings

_LEFTOVERS_MS = 60_000
"""A probe that is killed leaves two empty queues; the broker deletes them after this time without use."""


class DeadLettersLost(BrokerError):
    """A rejected message did not arrive in the dead-letter queue: starting would mean losing some."""

    retry = False


async def probe_dead_letters(session: Session, settings: RabbitMQSettings, stamp: str) -> None:
    """Send a message the whole way. The exchange `tidegate.dead` must have been declared.

    Raises:
        DeadLettersLost: it did not arrive within `call_seconds`.
        BrokerError: the broker failed on the way.
    """
    source = f"tidegate.probe.{stamp}"
    target = f"{source}.dead"
    arguments = {**queue_arguments(Queue(source), settings), "x-expires": _LEFTOVERS_MS}
    async with session.into.brief_channel() as channel:
        await channel.queue(source, arguments)
        await channel.queue(target, {"x-queue-type": "quorum", "x-expires": _LEFTOVERS_MS})
        await channel.bind(target, DEAD, source)
        try:
            await session.outlet.publish([Outgoing(stamp, b"probe", source)])
            await _take(session, source)
            found = await _take(session, target)
        finally:
            await channel.delete_queue(source)
            await channel.delete_queue(target)
    if found is None or found.message_id != stamp:
        raise DeadLettersLost(
            f"a rejected test message did not reach the queue behind {DEAD!r} at {settings.place} within "
            f"{settings.call_seconds:g} s. Look for a policy that overrides our queues (`rabbitmqctl list_policies`) "
            "and at `rabbitmqctl list_feature_flags` (stream_queue must be enabled), then start again."
        )


async def _take(session: Session, queue: str) -> Delivery | None:
    """Reject the first message of the queue and return it; None when none comes in time."""
    arrived = asyncio.Event()
    inlet = Inlet(session.into, await session.into.channel(), queue, 0, arrived.set)
    try:
        await inlet.start(1)
        try:
            async with asyncio.timeout(session.into.settings.call_seconds):
                while not inlet.ready and inlet.lost is None:
                    arrived.clear()
                    await arrived.wait()
        except TimeoutError:
            return None
        if not inlet.ready:
            return None
        delivery = inlet.ready.popleft()
        inlet.discard(delivery.tag)
        return delivery
    finally:
        await inlet.close()
