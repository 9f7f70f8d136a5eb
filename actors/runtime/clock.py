"""Time comes in here and nowhere else, so the whole daemon can run under a clock that a test moves."""

from __future__ import annotations

import asyncio
import heapq
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What actors may know about time."""

    boot: str
    """Names the boot that `boot_ns` counts from: figures of another boot cannot be compared."""

    def now(self) -> datetime:
        """Wall clock, aware UTC. May jump; never measure a duration with it."""
        ...

    def boot_ns(self) -> int:
        """Nanoseconds since boot, suspended time included; never goes back within one boot."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for the event at most so long; whether it is set. Cancelling leaves nothing behind."""
        ...


def microseconds(moment: datetime) -> int:
    """Microseconds since the epoch, the store's form of a moment."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(microseconds: int) -> datetime:
    """The moment that the store keeps as this number."""
    return _EPOCH + timedelta(microseconds=microseconds)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self.boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else f"started-{time.time_ns()}"

    def now(self) -> datetime:
        """The system's wall clock."""
        return datetime.now(UTC)

    def boot_ns(self) -> int:
        """CLOCK_BOOTTIME: monotonic, and it counts while the machine is suspended."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(max(seconds, 0))

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait on the loop."""
        if event.is_set():
            return True
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass  # the event may have been set in the same moment
        return event.is_set()


class VirtualClock:
    """A clock that stands still until it is moved; then it wakes its sleepers in order, one moment at a time."""

    def __init__(self, start: datetime = datetime(2026, 1, 5, 9, tzinfo=UTC)) -> None:
        self.boot = "virtual"
        self._start = start
        self._ns = 0
        self._count = 0
        self._sleepers: list[tuple[int, int, asyncio.Event]] = []

    def now(self) -> datetime:
        """The start plus what has passed."""
        return self._start + timedelta(microseconds=self._ns // 1000)

    def boot_ns(self) -> int:
        """What has passed."""
        return self._ns

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved so far."""
        alarm = self._alarm(seconds)
        try:
            await alarm.wait()
        finally:
            self._forget(alarm)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Wait for the event or for the clock to be moved past the time-out."""
        if event.is_set() or seconds is None:
            await event.wait()
            return True
        alarm = self._alarm(seconds)
        tasks = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(alarm.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self._forget(alarm)
        return event.is_set()

    def _alarm(self, seconds: float) -> asyncio.Event:
        alarm = asyncio.Event()
        self._count += 1
        heapq.heappush(self._sleepers, (self._ns + max(int(seconds * 1e9), 0), self._count, alarm))
        return alarm

    def _forget(self, alarm: asyncio.Event) -> None:
        if not alarm.is_set():
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[2] is not alarm]
            heapq.heapify(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move the clock, letting everybody who wakes on the way run before it goes on."""
        end = self._ns + int(seconds * 1e9)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, alarm = heapq.heappop(self._sleepers)
            self._ns = max(self._ns, due)
            alarm.set()
            await _settle()
        self._ns = end
        await _settle()


async def _settle(rounds: int = 20) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)
