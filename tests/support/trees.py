"""Small supervision trees of actors that do what a test tells them, under a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from actors.runtime.actor import Context
from actors.runtime.clock import VirtualClock
from actors.runtime.entropy import SeededEntropy
from actors.runtime.events import SupervisionEvent
from actors.runtime.supervisor import Child, ChildSpec, Supervisor, SupervisorSpec
from tests.support.loops import steps

Part = Callable[[Context], Awaitable[None]]
"""What an actor does when it is told to."""

_SECONDS = 20


@dataclass
class Stage:
    """Where the actors play: what they did, in order, and what each is to do next."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    log: list[str] = field(default_factory=list)
    events: list[SupervisionEvent] = field(default_factory=list)
    slow: dict[str, asyncio.Event] = field(default_factory=dict)
    """Names that are not ready before their event is set."""
    root: Supervisor = None  # type: ignore[assignment]
    _orders: dict[str, asyncio.Queue[Part]] = field(default_factory=dict)

    def child(self, name: str, **patience: Any) -> ChildSpec:
        """An actor of this name."""
        return ChildSpec(name, lambda: _Puppet(self, name), **patience)

    def tell(self, name: str, part: Part) -> None:
        """Have the running (or the next) actor of this name do this."""
        self.orders(name).put_nowait(part)

    def orders(self, name: str) -> asyncio.Queue[Part]:
        """What the actor waits for."""
        return self._orders.setdefault(name, asyncio.Queue())

    def place(self, name: str) -> Child:
        """An actor's place in the tree."""
        return next(child for child in self.root.census() if child.spec.name == name)

    def starts(self) -> dict[str, int]:
        """How often each leaf that exists now was started."""
        return {c.spec.name: c.starts for c in self.root.census() if isinstance(c.spec, ChildSpec)}

    async def all_up(self) -> None:
        """Let time pass until everybody is; none, if they come up by themselves."""
        await steps(100)
        while not all(child.state == "up" for child in self.root.census()):
            await self.clock.advance(0.05)

    async def came_up_again(self, name: str, starts: int) -> None:
        """Let time pass until an actor has been started so often and is up."""
        while self.starts().get(name) != starts or self.place(name).state != "up":
            await self.clock.advance(0.05)

    def told(self, *kinds: type) -> list[str]:
        """The events, shortened; of these kinds only, if any are given."""
        return [
            f"{type(event).__name__} {event.path.removeprefix('/root')}"
            for event in self.events
            if not kinds or isinstance(event, kinds)
        ]

    def context(self, spec: SupervisorSpec) -> Context:
        """Make the root, and what it runs in."""
        self.root = Supervisor(spec, self.clock, SeededEntropy(1), self.events.append)
        return Context("/", self.clock, SeededEntropy(2))

    @asynccontextmanager
    async def playing(self, spec: SupervisorSpec) -> AsyncIterator[Context]:
        """Run the tree until the block ends, then stop it. What it raises, the block raises."""
        context = self.context(spec)
        with anyio.fail_after(_SECONDS):
            running = asyncio.ensure_future(self.root.run(context))
            try:
                yield context
                context.stop_asked.set()
                await running
            finally:
                running.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait({running})


class _Puppet:
    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._name = name

    async def run(self, context: Context) -> None:
        """Be ready, then wait for orders or the stop."""
        self._stage.log.append(f"{self._name} starts")
        if slow := self._stage.slow.get(self._name):
            await slow.wait()
        context.ready()
        order = asyncio.ensure_future(self._stage.orders(self._name).get())
        stop = asyncio.ensure_future(context.stop_asked.wait())
        try:
            await asyncio.wait({order, stop}, return_when=asyncio.FIRST_COMPLETED)
            if order.done():
                await order.result()(context)
        finally:
            order.cancel()
            stop.cancel()
            self._stage.log.append(f"{self._name} ends")


def raising(error: BaseException) -> Part:
    """Raise it."""

    async def part(context: Context) -> None:
        raise error

    return part


async def returning(context: Context) -> None:
    """Return although nobody asked."""


async def hanging(context: Context) -> None:
    """Never do anything any more."""
    await asyncio.Event().wait()


class Stubborn:
    """Ignores every cancellation until it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def __call__(self, context: Context) -> None:
        """Hold on."""
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
