"""F19, F20, F21, F33: the broker dies, stops, drops everybody or comes back empty, under traffic.

Nothing confirmed is lost, whoever receives recognises repetitions by the business id, and order is kept.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from broker.port import BrokerLost, Outgoing, Queue, Topology
from broker.rabbitmq import RabbitMQBroker
from broker.store.rows import Accept, Handled
from broker.store.store import Store
from broker.store.unit import Unit
from ops.rabbitmq_node import RabbitNode, shared_node
from tests.contract.engines_rabbitmq import opened
from tests.support.loops import until
from tests.support.messages import ids, take, with_queues
from tests.support.rabbitmq_rows import message_row
from tests.support.rabbitmq_traffic import publishing, receiving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def node() -> RabbitNode:
    """The run's node, started again if a test before left it dead."""
    return shared_node()


@pytest.fixture(autouse=True)
async def deadline():
    """What does not heal fails instead of hanging."""
    with anyio.fail_after(25):
        yield


async def crash(node: RabbitNode) -> None:
    """SIGKILL, and start again."""
    await asyncio.to_thread(node.settle)
    await asyncio.to_thread(node.kill)
    await asyncio.to_thread(node.start)


async def stop_and_start(node: RabbitNode) -> None:
    """The application in the node, cleanly: for a while the process is up and nobody listens."""
    await asyncio.to_thread(node.ctl, "stop_app")
    await asyncio.to_thread(node.ctl, "start_app")


async def drop_everybody(node: RabbitNode) -> None:
    """Close every connection from the broker's side, five times."""
    for _ in range(5):
        await asyncio.to_thread(node.drop_connections)


@pytest.mark.parametrize("fault", [crash, stop_and_start, drop_everybody])
async def test_nothing_confirmed_is_lost_and_order_is_kept(node: RabbitNode, tmp_path: Path, fault) -> None:
    async with opened(tmp_path) as (broker, _):
        await broker.declare(Topology((), (Queue("q", single_active=True),)))
        async with publishing(broker, "q") as publisher, receiving(broker, "q") as receiver:
            await publisher.more(200)
            await fault(node)
            await publisher.more(200)
            publisher.stop()
            await receiver.has(publisher.confirmed)
        if fault is not stop_and_start:  # a clean stop may have answered everything
            assert publisher.outcomes_unknown >= 1
        assert receiver.lost >= 1
        numbers = [int(id[1:]) for id in receiver.first]
        assert numbers == sorted(numbers)
        assert broker.reconnects >= 1


async def test_a_delivery_of_the_connection_before_is_not_settled_on_the_next(node: RabbitNode, tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        await broker.publish([Outgoing("m", b"", "q")])
        async with broker.subscribe(["q"], prefetch=5) as before:
            stale = await take(before, 1)
            await asyncio.to_thread(node.drop_connections)
            with pytest.raises(BrokerLost):
                await before.receive(1)
            async with broker.subscribe(["q"], prefetch=5) as after:
                again = await take(after, 1)
                await before.acknowledge(stale)
                await after.acknowledge(stale)
                await before.give_back(stale)
                await after.give_back(again)
                assert ids(await take(after, 1)) == ["m"]


async def test_a_socket_that_closes_under_a_publish_ends_it_as_lost(node: RabbitNode, tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        assert broker._session is not None
        broker._session.out._transport.writer.transport.abort()
        await asyncio.sleep(0)  # uvloop now refuses to write; the library has not noticed yet
        with pytest.raises(BrokerLost):
            await broker.publish([Outgoing("m", b"", "q")])


async def accept(store: Store, broker: RabbitMQBroker, count: int, queue: str = "q") -> list[str]:
    """Accept messages as the door does: message row and outbox row in one transaction."""
    names = [f"{queue}{n}" for n in range(count)]
    accepts = [Accept(message_row(name, queue), broker.outbox([Outgoing(name, b"body", queue)])) for name in names]
    await store.commit(Unit(1, accepts=accepts))
    return names


async def handle(store: Store, broker: RabbitMQBroker, count: int, queue: str = "q") -> list[str]:
    """Handle messages as a decider does: inbox mark, outbox row and state in one transaction, then acknowledge."""
    handled: list[str] = []
    async with broker.subscribe([queue], prefetch=count) as subscription:
        while len(handled) < count:
            batch = await subscription.receive(count - len(handled))
            seen = await store.reads.handled(ids(batch))
            unit = Unit(2, handled=[Handled(d.message_id, 2, "done") for d in batch if d.message_id not in seen])
            subscription.enlist(batch, unit)
            await store.commit(unit)
            await subscription.acknowledge(batch)
            handled += [mark.dedupe for mark in unit.handled]
    return handled


async def test_a_broker_that_comes_back_empty_gets_everything_unhandled_again(node: RabbitNode, tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, store):
        await with_queues(broker, "q")
        accepted = await accept(store, broker, 100)
        handled = await handle(store, broker, 30)
        assert sum((await store.reads.queue_depths()).values()) == 70
        address = (tmp_path / "rabbitmq-url").read_text()
        await asyncio.to_thread(node.kill)
        node.wipe()
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(node.make_vhost, address.rpartition("/")[2])
        handled += await handle(store, broker, 70)
        assert handled == accepted
        assert (await store.reads.queue_depths()).get("q", 0) == 0


async def test_a_queue_deleted_under_its_consumer_is_made_again_with_what_was_in_it(
    node: RabbitNode, tmp_path: Path
) -> None:
    async with opened(tmp_path) as (broker, store):
        await with_queues(broker, "q")
        accepted = await accept(store, broker, 50)
        async with broker.subscribe(["q"], prefetch=5) as subscription:
            await take(subscription, 5)  # all that the prefetch allows: the next call can only wait
            vhost = (tmp_path / "rabbitmq-url").read_text().rpartition("/")[2]
            await asyncio.to_thread(node.ctl, "-p", vhost, "delete_queue", "q")
            with pytest.raises(BrokerLost, match="queue was deleted"):
                await subscription.receive(1)
        assert sorted(await handle(store, broker, 50)) == sorted(accepted)


async def test_a_queue_deleted_while_another_is_made_again_is_made_again_with_what_was_in_it(
    node: RabbitNode, tmp_path: Path
) -> None:
    """Between the look at what is missing and the making of it."""
    async with opened(tmp_path) as (broker, store):
        await with_queues(broker, "first", "second")
        published: list[int] = []
        store.watch(lambda unit, _: published.extend(unit.published))
        vhost = (tmp_path / "rabbitmq-url").read_text().rpartition("/")[2]
        accepted = await accept(store, broker, 20, "first") + await accept(store, broker, 20, "second")
        await until(lambda: len(published) == 40)
        forget, deleted = broker.before_create, anyio.Event()

        @asynccontextmanager
        async def deleted_meanwhile(queues: Sequence[str]) -> AsyncIterator[None]:
            if not deleted.is_set():
                await asyncio.to_thread(node.ctl, "-p", vhost, "delete_queue", "second")
                deleted.set()
            async with forget(queues):
                yield

        broker.before_create = deleted_meanwhile
        await asyncio.to_thread(node.ctl, "-p", vhost, "delete_queue", "first")
        await deleted.wait()
        await with_queues(broker, "first")  # returns after whoever is making them
        handled = await handle(store, broker, 20, "first") + await handle(store, broker, 20, "second")
        assert sorted(handled) == sorted(accepted)
