"""What an actor is, and what it is given to live with."""

from __future__ import annotations

import asyncio
from typing import Protocol

from loguru import logger

from actors.runtime.clock import Clock
from actors.runtime.entropy import Entropy


class Actor(Protocol):
    """A body that runs until it is asked to stop. Ending unasked, in whatever way, is a crash."""

    async def run(self, context: Context) -> None:
        """Live. Say `context.ready()` once others may rely on you; return soon after `context.stop_asked` is set.

        Cancellation comes when the stop took too long: leave everything durable as it is, it will be found.
        """
        ...


class Context:
    """An actor's link to its supervisor."""

    def __init__(self, name: str, clock: Clock, entropy: Entropy) -> None:
        self.name = name
        self.clock = clock
        self.entropy = entropy
        self.stop_asked = asyncio.Event()
        self.is_ready = asyncio.Event()
        self.last_beat_ns = clock.boot_ns()
        self._noticed = ""

    @property
    def stopping(self) -> bool:
        """Whether the supervisor has asked for an end."""
        return self.stop_asked.is_set()

    def ready(self) -> None:
        """Say that the actor is up; the supervisor starts the next child after this."""
        self.beat()
        self.is_ready.set()

    def beat(self) -> None:
        """Say that the actor is alive; the watchdog restarts one that has not said so for too long."""
        self.last_beat_ns = self.clock.boot_ns()

    def notice(self, text: str) -> None:
        """Tell the log why work waits; the same text again is not told again."""
        if text != self._noticed:
            self._noticed = text
            logger.warning("{}: {}", self.name, text)

    async def pause(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for the event, a stop, or the time; whether the event is set. Beats at least every second."""
        left = seconds
        while not event.is_set() and not self.stopping and left > 0:
            self.beat()
            step = min(left, 1.0)
            await self.clock.wait(event, step)
            left -= step
        self.beat()
        return event.is_set()

    async def until_stopped(self) -> None:
        """Beat until the supervisor asks for an end."""
        while not self.stopping:
            self.beat()
            await self.clock.wait(self.stop_asked, 1.0)
