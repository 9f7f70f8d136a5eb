"""An event loop whose time is ours: it jumps to the next alarm, so an hour of a limiter costs as long as its work."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

TURN_NS = 1_000
"""What a turn of the loop takes at least: who asks again and again without waiting must see time pass."""


class _Jumping(selectors.SelectSelector):
    """Never waits; tells the loop how long it would have."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        self.loop.now_ns += max(round((timeout or 0) * 1e9), TURN_NS)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at 0 and moves only when nothing is ready to run."""

    def __init__(self) -> None:
        self.now_ns = 0
        jumping = _Jumping()
        jumping.loop = self
        super().__init__(jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self.now_ns / 1e9


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end in virtual time."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
