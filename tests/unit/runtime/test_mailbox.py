"""The mailbox: bounded, first in first out, and nothing is ever dropped."""

import asyncio
import random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.mailbox import Mailbox
from tests.support.loops import cut_short, steps

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def deadline():
    """A wake-up that is lost fails its test instead of hanging it."""
    with anyio.fail_after(20):
        yield


async def test_messages_come_in_order() -> None:
    box: Mailbox[int] = Mailbox(3)
    for n in range(3):
        await box.put(n)
    assert [await box.get() for _ in range(3)] == [0, 1, 2]


async def test_a_full_mailbox_makes_the_sender_wait_and_drops_nothing() -> None:
    box: Mailbox[int] = Mailbox(2)
    sending = [asyncio.ensure_future(box.put(n)) for n in range(5)]
    await steps(10)
    assert [task.done() for task in sending] == [True, True, False, False, False]
    assert [await box.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert box.statistics().waits == 3


async def test_a_flood_stays_within_the_bound_and_arrives_whole() -> None:
    box: Mailbox[tuple[int, int]] = Mailbox(8)
    got: list[tuple[int, int]] = []

    async def send(sender: int) -> None:
        for n in range(2_500):
            await box.put((sender, n))

    async with anyio.create_task_group() as tasks:
        for sender in range(4):
            tasks.start_soon(send, sender)
        while len(got) < 10_000:
            got.append(await box.get())
    assert box.statistics().peak == 8
    assert box.statistics().size == 0
    for sender in range(4):
        assert [n for s, n in got if s == sender] == list(range(2_500))


async def test_an_offer_is_taken_or_refused_at_once() -> None:
    box: Mailbox[int] = Mailbox(1)
    assert box.offer(1)
    assert not box.offer(2)
    statistics = box.statistics()
    assert (statistics.size, statistics.capacity, statistics.peak) == (1, 1, 1)


@pytest.mark.parametrize("capacity", [0, -1])
async def test_a_mailbox_holds_at_least_one(capacity: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 message, not {capacity}"):
        Mailbox(capacity)


@pytest.mark.parametrize("seed", range(5))
async def test_cancelled_senders_and_receivers_lose_nothing_and_double_nothing(seed: int) -> None:
    chance = random.Random(seed)
    box: Mailbox[int] = Mailbox(2)
    sent: list[int] = []
    got: list[int] = []

    async def send() -> None:
        for n in range(300):
            finished, _ = await cut_short(box.put(n), chance)
            if finished:
                sent.append(n)

    async def receive() -> None:
        while True:
            finished, item = await cut_short(box.get(), chance)
            if finished and item is not None:
                got.append(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await send()
        while len(got) < len(sent):
            await steps(1)
        tasks.cancel_scope.cancel()
    assert got == sent
    assert len(sent) > 50


@given(st.lists(st.sampled_from(["put", "get"]), max_size=60), st.integers(1, 4))
async def test_any_sequence_of_puts_and_gets_is_a_bounded_queue(actions: list[str], capacity: int) -> None:
    box: Mailbox[int] = Mailbox(capacity)
    model: list[int] = []
    for n, action in enumerate(actions):
        if action == "put":
            assert box.offer(n) is (len(model) < capacity)
            model = [*model, n][:capacity]
        elif model:
            assert await box.get() == model.pop(0)
        assert box.statistics().size == len(model)
