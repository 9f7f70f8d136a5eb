"""Both clocks keep one contract; the virtual one stands still until it is moved."""

import asyncio
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from actors.runtime.actor import Context
from actors.runtime.clock import SystemClock, VirtualClock, microseconds, moment
from actors.runtime.entropy import SeededEntropy, SystemEntropy
from tests.support.loops import cut_short, steps

pytestmark = pytest.mark.anyio


def test_a_moment_survives_the_way_through_the_store() -> None:
    instant = datetime(2026, 1, 5, 9, 30, 0, 123456, tzinfo=UTC)
    assert microseconds(instant) == 1_767_605_400_123_456
    assert moment(microseconds(instant)) == instant


def test_the_system_clock_is_aware_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    readings = [clock.boot_ns() for _ in range(100)]
    assert readings == sorted(readings)
    assert clock.boot == SystemClock().boot


@pytest.mark.parametrize("make", [SystemClock, VirtualClock])
async def test_an_event_that_is_set_is_not_waited_for(make) -> None:
    event = asyncio.Event()
    event.set()
    assert await make().wait(event, 0)
    assert await make().wait(event, 1000)
    assert await make().wait(event, None)


@pytest.mark.parametrize("make", [SystemClock, VirtualClock])
async def test_a_wait_ends_with_its_event(make) -> None:
    event = asyncio.Event()
    with anyio.fail_after(10):
        for seconds in (1000, None):
            event.clear()
            waiting = asyncio.ensure_future(make().wait(event, seconds))
            await steps(5)
            event.set()
            assert await waiting


async def test_a_wait_on_the_system_clock_ends_with_its_time() -> None:
    with anyio.fail_after(10):
        assert not await SystemClock().wait(asyncio.Event(), 0)
        assert not await SystemClock().wait(asyncio.Event(), 0.001)
        await SystemClock().sleep(-1)


async def test_virtual_time_passes_only_when_it_is_moved() -> None:
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    sleeping = asyncio.ensure_future(clock.sleep(2))
    await steps(50)
    assert (clock.boot_ns(), sleeping.done()) == (0, False)
    await clock.advance(1.5)
    assert (clock.boot_ns(), sleeping.done()) == (1_500_000_000, False)
    await clock.advance(0.5)
    assert sleeping.done()
    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=2)


async def test_sleepers_wake_in_order_each_at_its_own_moment_also_those_who_sleep_again() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.boot_ns() / 1e9))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep, "a", 3, 1)
        tasks.start_soon(sleep, "b", 1, 1, 1)
        tasks.start_soon(sleep, "c", 2)
        await clock.advance(10)
    assert woken == [("b", 1), ("c", 2), ("b", 2), ("a", 3), ("b", 3), ("a", 4)]
    assert clock.boot_ns() == 10_000_000_000


async def test_a_virtual_wait_ends_with_its_time_and_says_no() -> None:
    clock = VirtualClock()
    waiting = asyncio.ensure_future(clock.wait(asyncio.Event(), 5))
    await clock.advance(4.9)
    assert not waiting.done()
    await clock.advance(0.1)
    assert await waiting is False


async def test_waits_that_ended_or_were_cancelled_leave_nothing_behind() -> None:
    clock = VirtualClock()
    before = asyncio.all_tasks()
    event = asyncio.Event()
    for _ in range(20):
        waiting = asyncio.ensure_future(clock.wait(event, 1000))
        sleeping = asyncio.ensure_future(clock.sleep(1000))
        await steps(2)
        waiting.cancel()
        sleeping.cancel()
        await asyncio.wait({waiting, sleeping})
    waiting = asyncio.ensure_future(clock.wait(event, 1000))
    await steps(2)
    event.set()
    assert await waiting
    await steps(3)
    assert clock._sleepers == []
    assert asyncio.all_tasks() == before


async def test_a_pause_ends_by_event_by_stop_or_by_time_and_beats_meanwhile() -> None:
    clock = VirtualClock()
    context = Context("a", clock, SeededEntropy(1))
    event = asyncio.Event()
    pausing = asyncio.ensure_future(context.pause(event, 30))
    await clock.advance(20.5)
    assert not pausing.done()
    assert context.last_beat_ns == 20_000_000_000
    await clock.advance(10)
    assert await pausing is False
    pausing = asyncio.ensure_future(context.pause(event, 30))
    await steps(5)
    event.set()
    assert await pausing is True
    pausing = asyncio.ensure_future(context.pause(asyncio.Event(), 30))
    await steps(5)
    context.stop_asked.set()
    await clock.advance(1)
    assert await pausing is False


async def test_a_seed_gives_the_same_chances_and_ids_again() -> None:
    one, two, other = SeededEntropy(7), SeededEntropy(7), SeededEntropy(8)
    drawn = [(e.random(), e.new_id(), e.random()) for e in (one, two, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(one.new_id()) == len(SystemEntropy().new_id()) == 32
    assert all(0 <= SystemEntropy().random() < 1 for _ in range(100))


async def test_loop_steps_reach_every_kind_of_instant() -> None:
    """The storms rely on this: some works are cut off, some are finished."""
    import random

    chance = random.Random(1)
    told = [(await cut_short(steps(10), chance))[0] for _ in range(50)]
    assert set(told) == {True, False}
