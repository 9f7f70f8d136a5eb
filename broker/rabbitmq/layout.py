"""The shape of what we declare: every argument that decides whether a message survives is said, none is left to a
default that differs between brokers.

Every queue is a quorum queue (a confirm means a disk, performance table in docs) that dead-letters at least once.
That needs three things together, else RabbitMQ silently falls back to at most once: the strategy, overflow
`reject-publish`, and an exchange that can be reached.
Source: rabbitmq.com/docs/quorum-queues, "Activating at-least-once dead-lettering".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from broker.port import Queue, Topology, TopologyConflict
from broker.rabbitmq.link import Different, Link, Missing
from broker.rabbitmq.settings import RabbitMQSettings

DEAD = "tidegate.dead"
"""Exchange (direct, by queue name) and queue of messages that were delivered too often."""
UNROUTABLE = "tidegate.unroutable"
"""Exchange (fanout) and queue of what was published to an exchange and matched no queue."""

BeforeCreate = Callable[[Sequence[str]], AbstractAsyncContextManager[None]]


def queue_arguments(queue: Queue, settings: RabbitMQSettings) -> dict[str, Any]:
    """Arguments of one of the topology's queues."""
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": settings.delivery_limit,
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-routing-key": queue.name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    if queue.single_active:
        arguments["x-single-active-consumer"] = True
    return arguments


_KEPT = {"x-queue-type": "quorum"}


async def missing_queues(link: Link, names: Sequence[str]) -> list[str]:
    """Which of these queues the broker does not have. Raises BrokerLost, BrokerRefused."""
    missing = []
    left = list(names)
    while left:
        async with link.brief_channel() as channel:  # a queue that is missing costs the channel
            try:
                while left:
                    await channel.look(left[0])
                    left.pop(0)
            except Missing:
                missing.append(left.pop(0))
    return missing


async def declare(link: Link, topology: Topology, settings: RabbitMQSettings, before_create: BeforeCreate) -> list[str]:
    """Create what is missing, verify the rest; returns the queues that were missing.

    What is missing is made inside `before_create(names)`: whoever remembers what was published to them forgets it
    first, so a crash in between republishes instead of losing, and publishes nothing to them meanwhile. A queue that
    is deleted after we have looked is made by its verification: RabbitMQ does not say so, but such a queue is empty
    and has no consumer, and then forgetting what was published to it does no harm.

    Raises:
        TopologyConflict: something exists with other arguments; with the broker's own words on the difference.
        BrokerLost, BrokerRefused: see `translated`.
    """
    missing = await missing_queues(link, [queue.name for queue in topology.queues])
    try:
        if missing:
            async with before_create(missing):
                fresh = await _make(link, topology, settings)
        else:
            fresh = await _make(link, topology, settings)
        if suspects := [queue.name for queue in topology.queues if queue.name in fresh - set(missing)]:
            async with before_create(suspects):
                pass
    except Different as difference:
        raise TopologyConflict(
            f"{difference}. Nothing was changed. Either give us another virtual host, or drain and delete what is "
            "there (`rabbitmqctl delete_queue NAME`), then start again."
        ) from None
    return missing


async def _make(link: Link, topology: Topology, settings: RabbitMQSettings) -> set[str]:
    """Make or verify everything; the queues that this may have made."""
    fresh: set[str] = set()
    async with link.brief_channel() as channel:
        exchanges, queues = shape(topology, settings)
        for exchange, kind, arguments in exchanges:
            await channel.exchange(exchange, kind, arguments)
        for name, arguments in queues:
            if await channel.queue(name, arguments):
                fresh.add(name)
        await channel.bind(UNROUTABLE, UNROUTABLE, "")
        for queue in topology.queues:
            await channel.bind(DEAD, DEAD, queue.name)
            for exchange, pattern in queue.bindings:
                await channel.bind(queue.name, exchange, pattern) if exchange else None
    return fresh


def shape(
    topology: Topology, settings: RabbitMQSettings
) -> tuple[list[tuple[str, str, dict[str, Any]]], list[tuple[str, dict[str, Any]]]]:
    """Exchanges (name, kind, arguments) and queues (name, arguments): everything that must be there, ours included."""
    bound_in = {exchange for queue in topology.queues for exchange, _ in queue.bindings}
    exchanges: list[tuple[str, str, dict[str, Any]]] = [(DEAD, "direct", {}), (UNROUTABLE, "fanout", {})]
    for exchange in topology.exchanges:
        # what we read must not vanish for want of a queue; what we only write to is its readers' business
        exchanges.append((exchange, "topic", {"alternate-exchange": UNROUTABLE} if exchange in bound_in else {}))
    queues: list[tuple[str, dict[str, Any]]] = [(DEAD, _KEPT), (UNROUTABLE, _KEPT)]
    queues += [(queue.name, queue_arguments(queue, settings)) for queue in topology.queues]
    return exchanges, queues
