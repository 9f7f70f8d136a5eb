"""Starting and stopping is a contract, and this is its stress test: one line for each actor.

An actor is made anew for each start. It may be stopped before it runs, while it starts, when it is up, several times
at once; it may be cancelled at any loop step and started again; and when it has ended, none of its tasks is left.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import anyio

from actors.runtime.actor import Actor, Context
from actors.runtime.clock import Clock, SystemClock
from actors.runtime.entropy import SeededEntropy
from tests.support.loops import STEPS, steps

_SECONDS = 20
_STEPS_TO_CLEAR_UP = 20_000


async def start_stop_storm(make: Callable[[], Actor], clock: Clock | None = None, seed: int = 0) -> None:
    """Start and stop actors of this make in every order there is. What an actor raises on the way fails the test."""
    clock = clock or SystemClock()
    chance = random.Random(seed)
    before = asyncio.all_tasks()
    with anyio.fail_after(_SECONDS):
        await _stopped_before_start(make, clock)
        await _started_and_stopped(make, clock, stops=1)
        for _ in range(10):
            await _cancelled(make, clock, chance.choice(STEPS))
            await _stopped_while_starting(make, clock, chance.choice(STEPS))
        await _started_and_stopped(make, clock, stops=5)
        left = await _left_over(before)
    assert not left, f"still there after every actor has ended: {left}"


async def _left_over(before: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    for _ in range(_STEPS_TO_CLEAR_UP):
        if not (left := asyncio.all_tasks() - before):
            break
        await steps(1)
    return left


def _context(clock: Clock) -> Context:
    return Context("storm", clock, SeededEntropy(0))


async def _stopped_before_start(make: Callable[[], Actor], clock: Clock) -> None:
    context = _context(clock)
    context.stop_asked.set()
    await make().run(context)


async def _started_and_stopped(make: Callable[[], Actor], clock: Clock, stops: int) -> None:
    context = _context(clock)
    running = asyncio.ensure_future(make().run(context))
    ready = asyncio.ensure_future(context.is_ready.wait())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    assert not running.done(), f"ended before it was stopped: {running}"
    for _ in range(stops):
        context.stop_asked.set()
        await steps(1)
    await running


async def _stopped_while_starting(make: Callable[[], Actor], clock: Clock, after: int) -> None:
    context = _context(clock)
    running = asyncio.ensure_future(make().run(context))
    await steps(after)
    context.stop_asked.set()
    await running


async def _cancelled(make: Callable[[], Actor], clock: Clock, after: int) -> None:
    """As a supervisor does it: by a scope, so that every further wait is cancelled, too."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await steps(after)
                scope.cancel()

            tasks.start_soon(cancel)
            await make().run(_context(clock))
            raise AssertionError("ended before it was cancelled")
