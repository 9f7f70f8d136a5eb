"""The RabbitMQ engine under the contract suite: the tests' own node, a virtual host for each place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from actors.runtime.entropy import SystemEntropy
from broker.rabbitmq import RabbitMQBroker, RabbitMQSettings
from broker.relay import Relay
from broker.store.store import Store
from ops.rabbitmq_install import NodeMissing, find_rabbitmq
from ops.rabbitmq_node import shared_node
from tests.support.stores import running_store

_ADDRESS_FILE = "rabbitmq-url"


def absent() -> str | None:
    """Why there is no RabbitMQ here, or None; installs it where that is ours to do."""
    try:
        find_rabbitmq()
    except NodeMissing as missing:
        return str(missing)
    return None


def prepare(place: Path) -> None:
    """Give the place a virtual host of its own on the shared node, and remember its address there; blocks."""
    remembered = place / _ADDRESS_FILE
    if not remembered.exists():
        place.mkdir(parents=True, exist_ok=True)
        node = shared_node()
        remembered.write_text(node.url(node.vhost()))


def engine(url: str) -> RabbitMQBroker:
    """An engine that retries quickly."""
    settings = RabbitMQSettings(url=url, call_seconds=5, watch_seconds=1, retry_base_seconds=0.02, refused_seconds=0.5)
    return RabbitMQBroker(settings, SystemEntropy())


@asynccontextmanager
async def relaying(store: Store, broker: RabbitMQBroker) -> AsyncIterator[Relay]:
    """The relay of store and broker, running."""
    relay = Relay(store, broker, now=lambda: 1, random=lambda: 0.5)
    broker.before_create = relay.forget
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def opened(place: Path) -> AsyncIterator[tuple[RabbitMQBroker, Store]]:
    """Store, connected broker and relay over what is at the place."""
    await asyncio.to_thread(prepare, place)
    url = (place / _ADDRESS_FILE).read_text()
    async with running_store(place) as store:
        broker = engine(url)
        async with broker.connected(), relaying(store, broker):
            yield broker, store
