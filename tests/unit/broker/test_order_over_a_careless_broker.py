"""A broker may deliver a key's messages in any order; they are handled in the order in which they were accepted."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker import order
from broker.accept import Acceptor
from broker.effects import Done, Milestone, Outcome
from broker.embedded import EmbeddedBroker
from broker.life import Life
from broker.order import ITEM_HEADER
from broker.port import Delivery
from broker.store.store import Store
from broker.store.unit import Unit
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.envelope import Envelope, decode_envelope
from policies.partitions import queue_name
from tests.load.events import case
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio
QUEUE = queue_name("credit-policy", "standard", 0)


class Careless(EmbeddedBroker):
    """Says that it keeps no order."""

    features = msgspec.structs.replace(EmbeddedBroker.features, server_side_order=False)


class Witness:
    """Writes down what it is shown."""

    domain = "credit-policy"
    handles = frozenset({"support.case.opened"})
    state = None

    def state_key(self, envelope: Envelope, data: Any) -> str:
        return str(data.account_id)

    def decide(self, envelope: Envelope, data: Any, state: None, at: datetime) -> Outcome:
        return Done((Milestone("case", "seen", {}),))


async def _accept(store: Store, acceptor: Acceptor, accounts: list[str]) -> None:
    unit = Unit(1)
    for number, account in enumerate(accounts):
        event = case("order", number)
        event["data"]["account_id"] = account
        unit.accepts.append(acceptor.prepare(acceptor.read(decode_envelope(msgspec.json.encode(event))), 1))
    await store.commit(unit)


async def _shown(store: Store) -> list[int]:
    """Numbers of the cases in the order in which the decider saw them."""
    seen = []
    for number in range(20):
        seen += [(row.seq, number) for row in await store.reads.milestones(f"case-order-{number:08d}")]
    return [number for _, number in sorted(seen)]


async def _handle(directory: Path, accounts: list[str], delivered: list[list[int]]) -> list[int]:
    """Accept a case for each account, deliver the batches, and tell in which order the cases were handled."""
    async with running_store(directory) as store:
        broker = Careless(store)
        acceptor = Acceptor(broker, REGISTRY, {"support.case.opened": "credit-policy"}, 1)
        async with broker.connected():
            await broker.declare(build(["credit-policy"], 1))
            await _accept(store, acceptor, accounts)
            life = Life(store, broker, acceptor, REGISTRY, Witness())
            async with broker.subscribe([QUEUE], prefetch=50) as subscription:
                taken: list[Delivery] = []
                while len(taken) < len(accounts):
                    taken += await subscription.receive(50)
                named = [msgspec.structs.replace(d, headers={ITEM_HEADER: str(d.tag)}) for d in taken]
                for batch in delivered:
                    await life.live([named[place] for place in batch], subscription, 2)
            return await _shown(store)


async def test_a_batch_in_the_wrong_order_is_handled_in_the_right_one(tmp_path: Path) -> None:
    assert await _handle(tmp_path, ["a"] * 4, [[2, 0, 3, 1]]) == [0, 1, 2, 3]


async def test_what_the_broker_still_owes_is_taken_from_the_store_first(tmp_path: Path) -> None:
    assert await _handle(tmp_path, ["a"] * 4, [[3], [0, 1, 2]]) == [0, 1, 2, 3]


async def test_other_keys_are_not_waited_for(tmp_path: Path) -> None:
    assert await _handle(tmp_path, ["a", "b", "a", "b"], [[2]]) == [0, 2]


async def test_a_long_row_before_it_takes_several_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "EARLIER_MAX", 2)
    assert await _handle(tmp_path, ["a"] * 6, [[5], [5], [5]]) == [0, 1, 2, 3, 4, 5]
