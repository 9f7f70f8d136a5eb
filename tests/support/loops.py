"""Loop steps instead of sleeps: a test says how far others may get, not how long they may take."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STEPS = (0, 1, 2, 3, 4, 5, 8, 13, 30, 100, 300)
"""How many loop steps to let pass before a cancellation; the long ones reach past a read of the disk."""


async def steps(count: int) -> None:
    """Let everybody else run, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let everybody else run until it is so; a test's deadline is its caller's."""
    while not condition():
        await steps(1)


async def cut_short(work: Coroutine[Any, Any, T], chance: random.Random) -> tuple[bool, T | None]:
    """Start the work and cancel it at a random loop step; whether it was finished all the same, and its result."""
    task = asyncio.ensure_future(work)
    await steps(chance.choice(STEPS))
    task.cancel()
    try:
        return True, await task
    except asyncio.CancelledError:
        return False, None
