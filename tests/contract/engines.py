"""The engines that the contract suite runs over. To add one: an `EngineCase` here, and its name in `CASES`.

A case knows how to open a broker over a *place* (a directory that the test owns). Opening the same place again must
find what was durable in it; two places never see each other's messages, whatever server is behind them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from broker.port import Broker, Features
from broker.rabbitmq import RabbitMQBroker
from broker.store.store import Store
from tests.contract import engines_rabbitmq
from tests.support.stores import running_store


@dataclass(frozen=True, slots=True)
class World:
    """A connected broker, and the store whose transactions its outbox rows belong to (with whatever relays them)."""

    broker: Broker
    store: Store


@dataclass(frozen=True, slots=True)
class EngineCase:
    """One engine under the suite."""

    features: Features
    opened: Callable[[Path], AbstractAsyncContextManager[World]]
    """Open (again) what is at the place: store, writer, connected broker and relay, for the length of the block."""
    prepare: Callable[[Path], None] = lambda place: None
    """Make what child processes must find at the place, a server for instance."""
    absent: Callable[[], str | None] = lambda: None
    """Why the engine cannot run on this machine, or None."""

    @property
    def name(self) -> str:
        """The engine's own name."""
        return self.features.name


@asynccontextmanager
async def _embedded(place: Path) -> AsyncIterator[World]:
    async with running_store(place) as store:
        broker = EmbeddedBroker(store)
        async with broker.connected():
            yield World(broker, store)


@asynccontextmanager
async def _rabbitmq(place: Path) -> AsyncIterator[World]:
    async with engines_rabbitmq.opened(place) as (broker, store):
        yield World(broker, store)


CASES: tuple[EngineCase, ...] = (
    EngineCase(EmbeddedBroker.features, _embedded),
    EngineCase(RabbitMQBroker.features, _rabbitmq, engines_rabbitmq.prepare, engines_rabbitmq.absent),
)


def parameters() -> list[object]:
    """The cases as pytest parameters; an engine that cannot run here is shown as skipped, with the reason."""
    return [
        pytest.param(case, id=case.name, marks=[pytest.mark.skipif(bool(why := case.absent()), reason=why or "")])
        for case in CASES
    ]
