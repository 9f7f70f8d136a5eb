"""Queues that refuse what is published to them (they are full) wait, each for itself, while all others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from broker.store.reads import QueueRecord
from policies.restarts import Backoff

_NS = 1_000_000_000


class Brakes:
    """Which queues are held, for how long, and from where to publish again when one is let go.

    `random` gives a number in [0, 1); `wake` is called when a queue may be tried again.
    """

    def __init__(
        self, random: Callable[[], float], sleep: Callable[[float], Awaitable[None]], wake: Callable[[], None]
    ) -> None:
        self._random = random
        self._sleep = sleep
        self._wake = wake
        self._backoff = Backoff(cap_ns=5 * _NS)
        self._attempts: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._waits: dict[str, asyncio.Task[None]] = {}
        self._back_to: int | None = None

    @property
    def held(self) -> list[str]:
        """Queues to which nothing is to be published now."""
        return list(self._first)

    def free(self, rows: Sequence[QueueRecord]) -> list[QueueRecord]:
        """Those of the rows that may be published now."""
        return [row for row in rows if row.exchange or row.queue not in self._first]

    def hold(self, refused: Iterable[QueueRecord]) -> None:
        """Hold the queues of what was refused; longer each time, until one has taken something."""
        for row in refused:
            first = self._first.get(row.queue)
            self._first[row.queue] = row.seq if first is None else min(first, row.seq)
            if row.queue not in self._waits:
                attempt = self._attempts[row.queue] = self._attempts.get(row.queue, 0) + 1
                delay = self._backoff.delay_ns(attempt, self._random()) / _NS
                self._waits[row.queue] = asyncio.create_task(self._let_go(row.queue, delay))

    def took(self, rows: Iterable[QueueRecord]) -> None:
        """Note which queues take messages."""
        for row in rows:
            self._attempts.pop(row.queue, None)

    async def _let_go(self, queue: str, delay: float) -> None:
        await self._sleep(delay)
        del self._waits[queue]
        first = self._first.pop(queue) - 1
        self._back_to = first if self._back_to is None else min(self._back_to, first)
        self._wake()

    def position(self, position: int) -> int:
        """Where to read on: at `position`, or before what was refused by a queue that was let go meanwhile."""
        if self._back_to is not None:
            position, self._back_to = min(position, self._back_to), None
        return position

    @property
    def moved(self) -> bool:
        """Whether `position` would give another one."""
        return self._back_to is not None

    def release(self) -> None:
        """Hold nothing; for when everything is read from the start again."""
        for wait in self._waits.values():
            wait.cancel()
        self._waits.clear()
        self._first.clear()
        self._attempts.clear()
        self._back_to = None
