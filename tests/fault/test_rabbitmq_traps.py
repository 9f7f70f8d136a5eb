"""Traps of the libraries and the broker that no other suite walks into; ops/docs/broker-traps.md lists them all."""

import asyncio
import gc
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import anyio
import msgspec
import pytest

from actors.consumer import Consumer
from actors.controls import Controls
from actors.runtime.actor import Context
from actors.runtime.clock import SystemClock
from actors.runtime.entropy import SystemEntropy
from broker.port import BrokerLost, Delivery, Subscription
from broker.rabbitmq import RabbitMQBroker
from broker.rabbitmq.layout import DEAD
from broker.rabbitmq.link import Link
from broker.rabbitmq.settings import RabbitMQSettings
from ops.rabbitmq_node import shared_node
from tests.contract.engines_rabbitmq import engine, opened
from tests.support.loops import STEPS, steps, until
from tests.support.messages import drain, figures, ids, numbered, outgoing, take, with_queues

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    """What hangs fails."""
    shared_node()
    with anyio.fail_after(30):
        yield


async def ready(broker: RabbitMQBroker, queue: str, count: int) -> None:
    """Wait until so many are ready in the queue itself."""
    while (await figures(broker, queue)).ready != count:
        pass


async def test_while_a_door_is_closed_and_while_a_queue_is_paused_nothing_sent_ahead_is_held(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, store):
        await with_queues(broker, "q")
        witness = engine((tmp_path / "rabbitmq-url").read_text())
        async with witness.connected():
            await with_queues(witness, "q")
            controls, closed, carried = Controls(store, SystemClock()), True, []

            async def carry(batch: list[Delivery], subscription: Subscription, _context: Context) -> None:
                carried.extend(ids(batch))
                await subscription.acknowledge(batch)

            consumer = Consumer(broker, ["q"], controls, 10, closed=lambda: closed)
            context = Context("door", SystemClock(), SystemEntropy())
            running = asyncio.create_task(consumer.run(context, carry))
            await broker.publish(numbered("q", 50))
            await ready(witness, "q", 50)
            closed = False
            while len(carried) < 50:
                await steps(1)
            closed = True
            await until(lambda: "q" in broker._paused)
            await broker.publish(numbered("q", 30))
            await ready(witness, "q", 30)
            await broker.resume("q")  # as if it had been open, with much sent ahead
            await ready(witness, "q", 0)
            await broker.pause("q")
            await ready(witness, "q", 30)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert carried == [f"m{n}" for n in range(50)]


async def test_a_limit_of_n_means_n_plus_1_deliveries_and_then_the_dead_letters(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        broker._settings = msgspec.structs.replace(broker._settings, delivery_limit=3)
        await with_queues(broker, "q")
        await broker.publish(outgoing("q", "m"))
        for _ in range(4):
            async with broker.subscribe(["q"], prefetch=1) as subscription:
                await take(subscription, 1)
        while ids(await broker.peek(DEAD, 1)) != ["m"]:
            pass
        assert (await figures(broker, "q")).ready == 0


async def test_messages_and_their_dead_letters_are_persistent(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        await broker.publish(outgoing("q", "m"))
        async with broker.subscribe(["q"], prefetch=1) as subscription:
            (held,) = await take(subscription, 1)
            broker._subscriptions[0].inlets["q"].discard(held.tag)
            while not await broker.peek(DEAD, 1):
                pass
        connection = await aio_pika.connect((tmp_path / "rabbitmq-url").read_text())
        async with connection, connection.channel() as channel:
            kept = await (await channel.get_queue(DEAD)).get()
            assert kept.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
            await kept.ack()


async def test_nothing_that_is_in_use_is_collected_as_garbage(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        async with broker.subscribe(["q"], prefetch=5) as subscription:
            for _ in range(3):
                gc.collect()
                await steps(5)
            await broker.publish(numbered("q", 3))
            gc.collect()
            await subscription.acknowledge(await take(subscription, 3))
            assert await broker.consuming()
        assert broker.reconnects == 0


@pytest.mark.parametrize("after", STEPS)
async def test_a_question_that_is_cancelled_half_way_costs_nobody_else_a_channel(tmp_path: Path, after: int) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        async with broker.subscribe(["q"], prefetch=5) as subscription:
            asking = asyncio.ensure_future(broker.statistics())
            await steps(after)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await broker.publish(outgoing("q", "m"))
            await subscription.acknowledge(await take(subscription, 1))
        assert ids(await drain(broker, "q", 0)) == []
        assert broker.reconnects == 0


async def test_questions_that_are_cancelled_anywhere_never_cost_the_connection(tmp_path: Path) -> None:
    chance = random.Random(13)
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        async with broker.subscribe(["q"], prefetch=5) as subscription:
            for number in range(100):
                with anyio.move_on_after(chance.random() / 100):
                    await broker.statistics()
                await broker.publish(outgoing("q", f"m{number}"))
                await subscription.acknowledge(await take(subscription, 1))
        assert broker.reconnects == 0
        with anyio.fail_after(10):
            while broker.channels > 1:  # what was cancelled is closed behind it; one channel publishes
                await broker.statistics()


async def test_a_connection_that_the_library_ends_by_cancellation_is_told_as_lost(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        link = await Link.open(RabbitMQSettings(url=(tmp_path / "rabbitmq-url").read_text()), "test")
        async with link.brief_channel() as channel:
            asking = asyncio.ensure_future(channel.look("q"))
            await steps(1)
            link._transport.writer.transport.abort()
            with pytest.raises(BrokerLost):
                await asking
        assert link.lost


async def test_nothing_of_ours_gets_single_messages_or_settles_by_leaving_a_block() -> None:
    forbidden = re.compile(r"\.(basic_get|process|iterator)\(|connect_robust|global_=True|no_ack=True")
    found = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "broker/rabbitmq").glob("*.py")
        for line in path.read_text().splitlines()
        if forbidden.search(line)
    ]
    assert found == []
