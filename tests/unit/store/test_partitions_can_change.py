"""Another number of partitions: what nobody has handled moves with its key, in one transaction, in its old order."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from broker.accept import Acceptor
from broker.embedded import EmbeddedBroker
from broker.store import schema as s
from broker.store.rows import Handled
from broker.store.store import Store
from broker.store.unit import Unit
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.envelope import decode_envelope
from policies.partitions import PartitionMap, partition_of
from tests.load.events import case
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio
DOMAIN, TYPE = "credit-policy", "support.case.opened"


async def accept(directory: Path, count: int, partitions: int) -> None:
    """Accept cases of ten accounts, the first of them handled."""
    async with running_store(directory) as store:
        broker = EmbeddedBroker(store)
        async with broker.connected():
            await broker.declare(build([DOMAIN], partitions))
            acceptor = Acceptor(broker, REGISTRY, {TYPE: DOMAIN}, partitions)
            unit = Unit(1)
            for number in range(count):
                event = case("part", number)
                event["data"]["account_id"] = f"ACC-{number % 10}"
                unit.accepts.append(acceptor.prepare(acceptor.read(decode_envelope(msgspec.json.encode(event))), 1))
            await store.commit(unit)
            await store.commit(Unit(2, handled=[Handled(unit.accepts[0].row.dedupe, 2, "done")]))


async def waiting(store: Store) -> list[tuple[str, str, str]]:
    """Queue of the item, queue of its message, and tenant and key, in order."""
    query = (
        select(s.queue_item.c.queue, s.message.c.queue, s.message.c.tenant + "/" + s.message.c.partition_key)
        .join(s.message, s.message.c.dedupe == s.queue_item.c.message_id)
        .where(s.message.c.handled_at.is_(None))
        .order_by(s.queue_item.c.seq)
    )
    return [tuple(row) for row in await store.reads.rows(query)]


@pytest.mark.parametrize(("before", "after"), [(4, 8), (8, 3)])
async def test_what_waits_moves_with_its_key(tmp_path: Path, before: int, after: int) -> None:
    async with Store(tmp_path) as store:
        assert await store.take_partitions(before) == PartitionMap(1, before, before)
    await accept(tmp_path, 60, before)
    async with Store(tmp_path) as store:
        old = await waiting(store)
        spread = await store.take_partitions(after)
        new = await waiting(store)
    assert spread == PartitionMap(2, after, max(before, after))
    assert [key for *_, key in new] == [key for *_, key in old], "the order of acceptance stays"
    assert any(was[0] != now[0] for was, now in zip(old, new, strict=True))
    for item, message, key in new:
        assert item == message
        assert int(item.rpartition(".")[2]) == partition_of(key, after)
    async with Store(tmp_path) as store:
        assert await store.take_partitions(after) == spread, "the same number again is no change"
        assert len(set(spread.queues(DOMAIN))) == 3 * max(before, after)


async def test_names_that_are_not_of_our_form_stay() -> None:
    assert PartitionMap(1, 8).moved("tidegate.intake", "k") == "tidegate.intake"
    assert PartitionMap(1, 8).moved("elsewhere.a.b.1", "k") == "elsewhere.a.b.1"
