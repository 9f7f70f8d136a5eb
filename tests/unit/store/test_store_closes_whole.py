"""A store that is left at any instant leaves nothing behind: no task, no thread, no open transaction."""

import asyncio
import random
import sqlite3
import threading

import anyio
import pytest

from broker.store.store import Store
from broker.store.unit import Unit
from tests.support.loops import STEPS, cut_short, steps
from tests.support.rows import item
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


async def nothing_left(tasks: set[asyncio.Task[object]], threads: set[threading.Thread]) -> bool:
    for _ in range(20_000):
        if asyncio.all_tasks() == tasks and set(threading.enumerate()) == threads:
            return True
        await steps(1)
    return False


@pytest.mark.parametrize("seed", range(3))
async def test_closing_while_the_writer_opens_or_writes_leaves_no_task_and_no_thread(tmp_path, seed: int) -> None:
    chance = random.Random(seed)
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    for round in range(8):
        async with running_store(tmp_path / str(round)) as store:
            sending = [
                asyncio.ensure_future(store.commit(Unit(1, items=[item("m")]))) for _ in range(chance.choice((0, 3)))
            ]
            await steps(chance.choice(STEPS))
        await asyncio.gather(*sending, return_exceptions=True)
        assert await nothing_left(tasks, threads)


@pytest.mark.parametrize("seed", range(3))
async def test_cancelled_reads_leave_no_task_no_thread_and_no_snapshot(tmp_path, seed: int) -> None:
    chance = random.Random(seed)
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, items=[item(f"m{n}") for n in range(300)]))
        for _ in range(40):
            await cut_short(store.reads.queue_items("q", 0, 300), chance)
            with anyio.CancelScope() as scope:  # and as a supervisor does it
                scope.cancel()
                await store.reads.queue_depths()
        assert await store.reads.queue_depths() == {"q": 300}
        with sqlite3.connect(store.path) as other:
            busy, frames, folded = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        other.close()
        assert (busy, frames) == (0, folded)
    assert await nothing_left(tasks, threads)


async def test_a_read_cancelled_while_its_connection_opens_leaves_no_task_and_no_thread(tmp_path) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    for count in range(0, 90, 3):
        async with Store(tmp_path) as store:
            await store._engines[1].dispose()
            reading = asyncio.ensure_future(store.reads.queue_depths())
            await steps(count)
            reading.cancel()
            await asyncio.wait({reading})
        assert await nothing_left(tasks, threads)
