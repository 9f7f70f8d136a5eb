"""The gate and what else there is, behind one way of asking: each lets calls go, and is told when they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from aiolimiter import AsyncLimiter

from policies.budget import Ask, Budget, arrival_bound
from policies.limits import ConcurrencyLimit, ExecutionLimit, Lease, Limit, RateLimit
from tests.load.virtual import VirtualLoop

SECOND_NS = 1_000_000_000
_ASK = Ask("post")


class Limiter(Protocol):
    """`acquire` returns when a call may go; `release` is told its end, and how long the system says it had it."""

    async def acquire(self) -> object: ...

    def release(self, ticket: object, started_ns: int, ended_ns: int, server_ns: int | None) -> None: ...


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


class Gate:
    """The budget of this repository."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.budget = Budget(limits)
        self._ended = asyncio.Event()

    async def acquire(self) -> object:
        while True:
            answer = self.budget.admit(_loop().now_ns, ask=_ASK)
            if isinstance(answer, Lease):
                return answer
            self._ended.clear()
            wait = None if answer.until_ns is None else (answer.until_ns - _loop().now_ns) / 1e9
            try:
                async with asyncio.timeout(wait):
                    await self._ended.wait()
            except TimeoutError:
                pass

    def release(self, ticket: object, started_ns: int, ended_ns: int, server_ns: int | None) -> None:
        assert isinstance(ticket, Lease)
        bound_ns = arrival_bound(started_ns, ended_ns, server_ns)
        self.budget.ended(ticket, bound_ns, ended_ns=ended_ns)
        self._ended.set()


class _Slots:
    """What people put beside a rate limiter: a semaphore, if the system limits calls at the same time."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        widths = [limit.limit for limit in limits if isinstance(limit, ConcurrencyLimit)]
        self._slots = asyncio.Semaphore(min(widths)) if widths else None

    async def acquire(self) -> object:
        if self._slots is not None:
            await self._slots.acquire()
        await self._pass()
        return None

    async def _pass(self) -> None:
        raise NotImplementedError

    def release(self, ticket: object, started_ns: int, ended_ns: int, server_ns: int | None) -> None:
        if self._slots is not None:
            self._slots.release()


class Aiolimiter(_Slots):
    """aiolimiter's leaky bucket, one for each rate."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        super().__init__(limits)
        self._limiters = [AsyncLimiter(limit.limit, seconds) for limit, seconds in _rates(limits)]

    async def _pass(self) -> None:
        for limiter in self._limiters:
            await limiter.acquire()


class TokenBucket(_Slots):
    """A bucket of N tokens that refills evenly within its window, one for each rate."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        super().__init__(limits)
        self._buckets = [[float(limit.limit), 0.0, limit.limit, seconds] for limit, seconds in _rates(limits)]

    async def _pass(self) -> None:
        for bucket in self._buckets:
            while True:
                now = _loop().time()
                level, at, limit, seconds = bucket
                bucket[0] = min(level + (now - at) * limit / seconds, limit)
                bucket[1] = now
                if bucket[0] >= 1 - 1e-9:
                    bucket[0] -= 1
                    break
                await asyncio.sleep((1 - bucket[0]) * seconds / limit)


class FixedWindow(_Slots):
    """A counter that begins at zero in every window of the clock, one for each rate."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        super().__init__(limits)
        self._counts = [[0, 0, limit.limit, seconds] for limit, seconds in _rates(limits)]

    async def _pass(self) -> None:
        for count in self._counts:
            while True:
                window = int(_loop().time() // count[3])
                if window != count[1]:
                    count[0], count[1] = 0, window
                if count[0] < count[2]:
                    count[0] += 1
                    break
                await asyncio.sleep((window + 1) * count[3] - _loop().time())


def _rates(limits: Sequence[Limit]) -> list[tuple[Limit, int]]:
    """Rates with their windows in seconds; execution time is beyond the others, so they get none for it."""
    return [(limit, limit.window_ns // SECOND_NS) for limit in limits if isinstance(limit, RateLimit)]


LIMITERS: dict[str, Callable[[Sequence[Limit]], Limiter]] = {
    "gate": Gate,
    "aiolimiter": Aiolimiter,
    "token bucket": TokenBucket,
    "fixed window": FixedWindow,
}

__all__ = ["LIMITERS", "ExecutionLimit", "Gate", "Limiter"]
