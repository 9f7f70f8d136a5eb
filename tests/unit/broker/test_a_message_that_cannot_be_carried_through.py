"""One message that our own code cannot carry through is set aside whole; its neighbours go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.accept import Acceptor
from broker.effects import Done, Emit, Milestone, Outcome
from broker.embedded import EmbeddedBroker
from broker.life import Life
from broker.store.store import Store
from broker.store.unit import Unit
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.envelope import Envelope, decode_envelope
from policies.partitions import queue_name
from tests.load.events import case
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


class Clumsy:
    """Asks for something impossible when it sees the case that it is told to trip over."""

    domain = "credit-policy"
    handles = frozenset({"support.case.opened"})
    state = None

    def __init__(self, trips_over: str, how: str) -> None:
        self._trips_over, self._how = trips_over, how

    def state_key(self, envelope: Envelope, data: Any) -> str:
        return str(data.account_id)

    def decide(self, envelope: Envelope, data: Any, state: None, at: datetime) -> Outcome:
        if data.case_id != self._trips_over:
            return Done((Milestone("case", "seen", {}),))
        if self._how == "emits what nobody knows":
            return Done((Emit("no.such.type", data),))
        return Done((Milestone("case", "seen", {"half": "\ud800"}),))


@asynccontextmanager
async def _connected(store: Store) -> AsyncIterator[EmbeddedBroker]:
    broker = EmbeddedBroker(store)
    async with broker.connected():
        yield broker


@pytest.mark.parametrize("how", ["emits what nobody knows", "writes what no database takes"])
async def test_it_is_set_aside_and_the_others_are_done(tmp_path: Path, how: str) -> None:
    async with running_store(tmp_path) as store, _connected(store) as broker:
        await broker.declare(build(["credit-policy"], 1))
        acceptor = Acceptor(broker, REGISTRY, {"support.case.opened": "credit-policy"}, 1)
        unit = Unit(1)
        for number in range(3):
            envelope = decode_envelope(msgspec.json.encode(case("poison", number)))
            unit.accepts.append(acceptor.prepare(acceptor.read(envelope), 1))
        await store.commit(unit)
        life = Life(store, broker, acceptor, REGISTRY, Clumsy("case-poison-00000001", how))
        async with broker.subscribe([queue_name("credit-policy", "standard", 0)], prefetch=10) as subscription:
            report = await life.live(await subscription.receive(10), subscription, 2)
        assert (report.handled, report.set_aside) == (2, 1)
        (exception,) = await store.reads.exceptions()
        assert (exception.failure, exception.owner, exception.key) == ("bug", "it", "case-poison-00000001")
        assert exception.body is not None
        assert await store.reads.queue_depths() == {}
