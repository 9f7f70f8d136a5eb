"""What only the embedded engine promises: the store is the truth, and what is in memory follows it."""

import asyncio
import random
import re
import sqlite3

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.embedded import EmbeddedBroker, matches
from broker.store.unit import Committed, Unit
from tests.support.loops import cut_short, steps
from tests.support.messages import figures, ids, numbered, outgoing, take, with_queues
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def broker(tmp_path):
    async with running_store(tmp_path) as store:
        opened = EmbeddedBroker(store)
        async with opened.connected():
            with anyio.fail_after(30):
                yield opened


def stored(broker: EmbeddedBroker, queue: str) -> list[str]:
    with sqlite3.connect(broker._store.path) as connection:
        query = "SELECT message_id FROM queue_item WHERE queue = ? ORDER BY seq"
        return [row[0] for row in connection.execute(query, (queue,))]


async def test_a_receive_cancelled_while_it_reads_hides_nothing(broker: EmbeddedBroker) -> None:
    """Nothing arrives afterwards, so nothing but the queue's own memory tells that there is more to read."""
    for count in range(0, 400, 7):
        queue = f"q{count}"
        await with_queues(broker, queue)
        await broker.publish(outgoing(queue, "m"))
        async with broker.subscribe([queue], prefetch=1) as subscription:
            receiving = asyncio.ensure_future(subscription.receive(1))
            await steps(count)
            receiving.cancel()
            await asyncio.wait({receiving})
            if receiving.cancelled():
                assert ids(await subscription.receive(1)) == ["m"]


async def test_a_message_that_arrives_while_the_queue_is_read_is_not_overlooked(broker: EmbeddedBroker) -> None:
    chance = random.Random(5)
    for round in range(60):
        queue = f"q{round}"
        await with_queues(broker, queue)
        async with broker.subscribe([queue], prefetch=2) as subscription:
            taking = asyncio.ensure_future(take(subscription, 2))
            await steps(2)
            first = asyncio.ensure_future(broker.publish(outgoing(queue, "first")))
            await steps(chance.randrange(1200))
            await broker.publish(outgoing(queue, "second"))
            await first
            assert sorted(ids(await taking)) == ["first", "second"]


async def test_what_is_given_back_while_its_settlement_is_under_way_comes_again_only_if_it_is_still_stored(
    broker: EmbeddedBroker,
) -> None:
    chance = random.Random(6)
    for round in range(60):
        queue = f"q{round}"
        await with_queues(broker, queue)
        await broker.publish(numbered(queue, 3))
        async with broker.subscribe([queue], prefetch=9) as subscription:
            held = await take(subscription, 3)
            await cut_short(subscription.acknowledge(held[:2]), chance)
            await subscription.give_back(held)
            await broker.publish(outgoing(queue, "end"))  # and with it, whatever was under way
            left = stored(broker, queue)
            assert ids(await take(subscription, len(left))) == left
            row = await figures(broker, queue)
            assert (row.ready, row.unsettled) == (0, len(left))


async def test_every_batch_keeps_at_least_half_for_the_most_urgent_queue_with_work(broker: EmbeddedBroker) -> None:
    queues = ["urgent", *(f"bulk {n}" for n in range(30))]
    await with_queues(broker, *queues)
    for queue in queues:
        await broker.publish(numbered(queue, 300))
    async with broker.subscribe(queues, prefetch=8) as subscription:
        for _ in range(60):
            batch = await subscription.receive(8)
            assert [delivery.queue for delivery in batch].count("urgent") >= 4
            await subscription.acknowledge(batch)


async def test_statistics_are_right_after_connecting_beside_running_traffic(tmp_path) -> None:
    async with running_store(tmp_path) as store:
        publisher = EmbeddedBroker(store)
        async with publisher.connected(), anyio.create_task_group() as tasks:
            await with_queues(publisher, "q")

            async def publish() -> None:
                for message in numbered("q", 100):
                    await publisher.publish([message])

            tasks.start_soon(publish)
            for number in range(20):
                late = EmbeddedBroker(store)
                async with late.connected():
                    await with_queues(late, "q")
                    # what it counted, the store's writer may not have told of yet; by its next answer it has
                    await publisher.publish(outgoing("q", f"{number} are late"))
                    now, known = await figures(late, "q"), await figures(publisher, "q")
                    assert (now.ready, now.ready > number) == (known.ready, True)


async def test_a_commit_that_was_counted_before_it_is_told_of_is_not_counted_twice(tmp_path) -> None:
    told: list[tuple[Unit, Committed]] = []

    def hear(unit: Unit, committed: Committed) -> None:
        told.append((unit, committed))

    async with running_store(tmp_path) as store:
        store.watch(hear)
        broker, late = EmbeddedBroker(store), EmbeddedBroker(store)
        async with broker.connected():
            await with_queues(broker, "q")
            await broker.publish(numbered("q", 3))
            async with late.connected():
                await with_queues(late, "q")
                late._follow(*told[-1])  # the store's file had the commit before its writer had told of it
                assert (await figures(late, "q")).ready == 3
                await broker.publish(numbered("q", 2))
                assert (await figures(late, "q")).ready == 5


async def test_a_connection_that_comes_back_knows_what_happened_meanwhile(tmp_path) -> None:
    async with running_store(tmp_path) as store:
        broker, other = EmbeddedBroker(store), EmbeddedBroker(store)
        async with broker.connected():
            await with_queues(broker, "q")
            await broker.publish(numbered("q", 4))
            async with broker.subscribe(["q"], prefetch=4) as subscription:
                await take(subscription, 2)
        async with other.connected():
            await with_queues(other, "q")
            async with other.subscribe(["q"], prefetch=4) as subscription:
                await subscription.acknowledge(await take(subscription, 3))
            await other.publish(outgoing("q", "new"))
        async with broker.connected(), broker.subscribe(["q"], prefetch=4) as subscription:
            assert (await figures(broker, "q")).ready == 2
            assert ids(await take(subscription, 2)) == ["m3", "new"]


def as_expression(pattern: str) -> re.Pattern[str]:
    """The same pattern as a regular expression over words that each end with a dot."""
    parts = {"*": r"[^.]*\.", "#": r"([^.]*\.)*"}
    return re.compile("".join(parts.get(word, re.escape(word) + r"\.") for word in pattern.split(".")))


@given(
    st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=5).map(".".join),
    st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=6).map(".".join),
)
async def test_topic_patterns_match_as_their_regular_expressions_do(pattern: str, key: str) -> None:
    expected = as_expression(pattern).fullmatch(key + ".") is not None
    assert matches(pattern.split("."), key.split(".")) is expected
