"""Bugs to plant in the RabbitMQ engine: each is the absence of one remedy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from broker.life import Life, Received, Report
from broker.port import Delivery, Outgoing, Queue, Subscription, Topology
from broker.rabbitmq import RabbitMQBroker, layout, wire
from broker.rabbitmq.inlet import Inlet
from broker.rabbitmq.link import Channel, Link
from broker.rabbitmq.outlet import Outlet, _Batch
from broker.rabbitmq.session import Session
from broker.rabbitmq.settings import RabbitMQSettings
from broker.rabbitmq.subscription import RabbitMQSubscription
from broker.relay import Relay
from tests.support.rabbitmq_rig import HeldLife


class AcknowledgesFirst(HeldLife):
    """Settles, then commits."""

    async def live(self, deliveries: Sequence[Delivery], subscription: Subscription, at: int) -> Report:
        """As `Life.live`, the wrong way round."""
        await subscription.acknowledge(deliveries)
        return await super().live(deliveries, subscription, at)


async def unconfirmed(self: Outlet, messages: Sequence[Outgoing]) -> None:
    batch = _Batch()
    batch.open = len(messages)
    at = 0
    while at < len(messages):
        await self._wait_for_room()
        at = self._send(messages, at, batch)


def whatever_there_is(self: Outlet, messages: Sequence[Outgoing], order: Sequence[int], at: int, batch: _Batch) -> int:
    kept = self._link.settings
    self._link.settings = msgspec.structs.replace(kept, window=10**6, window_bytes=10**9)
    try:
        return _true_send(self, messages, order, at, batch)
    finally:
        self._link.settings = kept


_true_method, _true_content, _true_shape = wire.publish_method, wire.content, layout.shape
_true_consume, _true_send = Channel.consume, Outlet._send


def never_mandatory(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    return _true_method(channel, exchange, routing_key, False)


def one_id(channel: int, attempt: bytes, *rest: Any) -> bytes:
    return _true_content(channel, b"the-business-id", *rest)


def no_alternate(topology: Topology, settings: RabbitMQSettings) -> Any:
    exchanges, queues = _true_shape(topology, settings)
    return [(name, kind, {}) for name, kind, _ in exchanges], queues


def of_any_generation(self: RabbitMQSubscription, deliveries: Sequence[Delivery]) -> Any:
    found: dict[str, tuple[Inlet, list[Delivery]]] = {}
    for delivery in deliveries:
        found.setdefault(delivery.queue, (self.inlets[delivery.queue], []))[1].append(delivery)
    return list(found.values())


async def recognises_nothing(_self: Life, received: Sequence[Received]) -> list[Received]:
    return list(received)


async def arranges_nothing(_self: Life, fresh: Sequence[Received]) -> tuple[list[Received], list[Delivery]]:
    return list(fresh), []


async def takes_everything(self: Channel, queue: str, tag: str, prefetch: int | None = None) -> None:
    await _true_consume(self, queue, tag, 0)


async def asks_nobody(_self: RabbitMQBroker, _session: Session) -> None:
    """Believes that everything is as it was."""


def forgets_nothing(self: Relay, queues: Sequence[str]) -> Any:
    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    return nothing()


async def one_connection(settings: RabbitMQSettings, stamp: str) -> Session:
    link = await Link.open(settings, "tidegate does everything")
    session = Session(link, link, await Outlet.open(link, stamp))
    link.on_lost(lambda _: session.stir.set())
    return session


def few_deliveries(queue: Queue, settings: RabbitMQSettings) -> dict[str, Any]:
    return {"x-queue-type": "quorum", "x-delivery-limit": 3, "x-dead-letter-exchange": layout.DEAD}
