"""Supervision after OTP: children start in list order, stop in reverse, and are restarted within a limit.

A child that ends unasked has crashed, whether it returned, raised, or died of a cancellation that nobody sent. (A
library that raises CancelledError on its own makes a plain task group lose the task without a trace; here it is
one more crash.) No exception ever crosses from a child into a sibling: each runs in a task of its own, outside any
group, so that even a child that no cancellation can end does not keep its supervisor from ending.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import anyio
import msgspec

from actors.runtime.actor import Actor, Context
from actors.runtime.clock import Clock
from actors.runtime.entropy import Entropy
from actors.runtime.events import (
    ChildCrashed,
    ChildHung,
    ChildRestarting,
    ChildStarted,
    ChildStopped,
    Escalated,
    SupervisionEvent,
)
from actors.runtime.mailbox import Mailbox
from policies.restarts import Backoff, Escalate, RestartCounter, RestartLimit

CANCEL_SECONDS = 5.0
"""How long a cancelled child may take to end before it is given up as stuck."""


class Strategy(Enum):
    """Who is restarted when one child crashes."""

    ONE_FOR_ONE = "the child"
    REST_FOR_ONE = "the child and those started after it"
    ONE_FOR_ALL = "all children"


class ChildSpec(msgspec.Struct, frozen=True):
    """One child: how to make it (anew for each start) and how patient to be with it."""

    name: str
    make: Callable[[], Actor]
    start_seconds: float = 30.0
    stop_seconds: float = 10.0
    silent_seconds: float | None = 10.0
    """Without a beat for so long it counts as hung; None for children that watch themselves."""


class SupervisorSpec(msgspec.Struct, frozen=True):
    """A supervisor as data: what the tree file is made of."""

    name: str
    children: tuple[ChildSpec | SupervisorSpec, ...]
    strategy: Strategy = Strategy.ONE_FOR_ONE
    limit: RestartLimit = RestartLimit(count=5, period_ns=30 * 1_000_000_000)
    backoff: Backoff = Backoff()


class GaveUp(Exception):
    """A supervisor reached its restart limit. Its parent decides; at the root the process ends, loudly."""


@dataclass(slots=True, eq=False)
class Run:
    """One start of a child, to its end."""

    number: int
    context: Context
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    actor: Actor | None = None
    stopping: bool = False
    verdict: str | None = None
    """Why it was cancelled although nobody wanted it gone: hung, or not ready in time."""


@dataclass(slots=True, eq=False)
class Child:
    """A child's place in the tree, alive or not."""

    spec: ChildSpec | SupervisorSpec
    path: str
    run: Run | None = None
    starts: int = 0
    last_crash: str | None = None

    @property
    def state(self) -> str:
        """`down`, `starting`, `up` or `stopping`."""
        if self.run is None or self.run.ended.is_set():
            return "down"
        if self.run.stopping:
            return "stopping"
        return "up" if self.run.context.is_ready.is_set() else "starting"


class Supervisor:
    """Runs the children of a spec; an actor itself, so supervisors nest."""

    def __init__(
        self,
        spec: SupervisorSpec,
        clock: Clock,
        entropy: Entropy,
        report: Callable[[SupervisionEvent], None],
        path: str = "",
        haste: asyncio.Event | None = None,
    ) -> None:
        self.spec = spec
        self.path = f"{path}/{spec.name}"
        self._clock = clock
        self._entropy = entropy
        self._report = report
        self.haste = haste or asyncio.Event()
        """Set it to stop at once: children are cancelled without being waited for."""
        self._counter = RestartCounter(spec.limit, spec.backoff)
        self._ends: Mailbox[tuple[Child, Run]] = Mailbox(4 * len(spec.children) + 4)
        self._lives: set[asyncio.Task[None]] = set()
        self._errands: set[asyncio.Task[None]] = set()
        """Restarts under way, and waits for children that were cancelled."""
        self.children = [Child(child, f"{self.path}/{child.name}") for child in spec.children]

    async def run(self, context: Context) -> None:
        """Start all, keep them alive, stop all in reverse order.

        Raises:
            GaveUp: more crashes than the limit allows.
        """
        try:
            for child in self.children:
                if not context.stopping:
                    await self._start(child, context)
            context.ready()
            await self._supervise(context)
        finally:
            with anyio.CancelScope(shield=True):
                for errand in self._errands:
                    errand.cancel()
                await self._stop(self.children)

    async def _supervise(self, context: Context) -> None:
        ends = asyncio.ensure_future(self._ends.get())
        stop = asyncio.ensure_future(context.stop_asked.wait())
        try:
            while not context.stopping:
                await asyncio.wait({ends, stop}, return_when=asyncio.FIRST_COMPLETED)
                if ends.done() and not context.stopping:
                    child, run = ends.result()
                    ends = asyncio.ensure_future(self._ends.get())
                    if child.run is run:  # otherwise it was started again together with a sibling
                        await self._handle(context, child)
        finally:
            ends.cancel()
            stop.cancel()

    async def _handle(self, context: Context, child: Child) -> None:
        decision = self._counter.record(self._clock.boot_ns(), self._entropy.random())
        if isinstance(decision, Escalate):
            why = f"{child.spec.name} crashed again ({child.last_crash}); {decision.reason}"
            self._report(Escalated(self.path, why))
            raise GaveUp(f"{self.path}: {why}")
        seconds = decision.after_ns / 1e9
        self._report(ChildRestarting(child.path, seconds, decision.number))
        restart = self._restart(self._affected(child), seconds, context)
        if self.spec.strategy is Strategy.ONE_FOR_ONE:
            _keep(self._errands, restart, f"{child.path} restart")  # a sibling that crashes need not wait for it
        else:
            await restart

    async def _restart(self, affected: list[Child], seconds: float, context: Context) -> None:
        await self._stop(affected)
        await self._clock.wait(context.stop_asked, seconds)
        for child in affected:
            if not context.stopping:
                await self._start(child, context)

    def _affected(self, child: Child) -> list[Child]:
        place = self.children.index(child)
        if self.spec.strategy is Strategy.ONE_FOR_ALL:
            return self.children
        return self.children[place:] if self.spec.strategy is Strategy.REST_FOR_ONE else [child]

    # one child -----------------------------------------------------------------------------------------------

    async def _start(self, child: Child, context: Context) -> None:
        """Start and wait until it is ready, has ended (then its end is in the mailbox), or was too slow."""
        child.starts += 1
        own = Context(child.path, self._clock, self._entropy)
        child.run = run = Run(child.starts, own)
        _keep(self._lives, self._live(child, run), child.path)
        patience = child.spec.start_seconds if isinstance(child.spec, ChildSpec) else None
        await self._first(own.is_ready, run.ended, context.stop_asked, seconds=patience)
        if own.is_ready.is_set():
            self._report(ChildStarted(child.path, run.number))
        elif not run.ended.is_set() and not context.stopping:
            self._cancel(child, run, f"was not ready within {patience:g} s")

    async def _live(self, child: Child, run: Run) -> None:
        crash = None
        detail = ""
        try:
            with run.scope:
                run.actor = self._make(child)
                await run.actor.run(run.context)
            if not run.stopping:
                crash = run.verdict or "returned although nobody asked it to stop"
        except asyncio.CancelledError:
            _clear_cancellation()
            if not run.stopping:
                crash = "ended by a cancellation that nobody sent (a library's, most likely)"
        except BaseException as error:
            crash, detail = run.verdict or describe(error), "".join(traceback.format_exception(error, chain=True))
        if run.ended.is_set():
            return  # given up long ago, and replaced
        if crash is not None:
            child.last_crash = crash
            self._report(ChildCrashed(child.path, crash, detail))
        run.ended.set()
        if not run.stopping:
            self._ends.offer((child, run))

    def _make(self, child: Child) -> Actor:
        if isinstance(child.spec, ChildSpec):
            return child.spec.make()
        return Supervisor(child.spec, self._clock, self._entropy, self._report, self.path, self.haste)

    async def _stop(self, children: list[Child]) -> None:
        for child in reversed(children):
            run = child.run
            if run is None or run.ended.is_set():
                continue
            run.stopping = True
            run.context.stop_asked.set()
            patience = child.spec.stop_seconds if isinstance(child.spec, ChildSpec) else None
            await self._first(run.ended, self.haste, seconds=patience)
            if run.ended.is_set():
                self._report(ChildStopped(child.path))
                continue
            run.scope.cancel("did not stop in time")
            gone = await self._clock.wait(run.ended, CANCEL_SECONDS)
            self._report(ChildStopped(child.path, forced=True, abandoned=not gone))

    def _cancel(self, child: Child, run: Run, verdict: str) -> None:
        """End a child that is no good as it is; it is restarted like a crashed one."""
        run.verdict = verdict
        run.scope.cancel(verdict)
        _keep(self._errands, self._give_up(child, run), f"{child.path} cancelled")

    async def _give_up(self, child: Child, run: Run) -> None:
        """A child that does not even end when cancelled is left behind and replaced; only the process can end it."""
        if not await self._clock.wait(run.ended, CANCEL_SECONDS) and not run.stopping:
            child.last_crash = f"{run.verdict}; it ignores cancellation"
            self._report(ChildStopped(child.path, forced=True, abandoned=True))
            run.ended.set()
            self._ends.offer((child, run))

    async def _first(self, *events: asyncio.Event, seconds: float | None) -> None:
        """Wait until one of the events is set or the time is over."""
        waiters = [asyncio.ensure_future(event.wait()) for event in events]
        alarm = [] if seconds is None else [asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait([*waiters, *alarm], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in (*waiters, *alarm):
                waiter.cancel()

    # census --------------------------------------------------------------------------------------------------

    def census(self) -> list[Child]:
        """Every place in the tree below, supervisors included, in start order."""
        found: list[Child] = []
        for child in self.children:
            found.append(child)
            if child.run is not None and isinstance(child.run.actor, Supervisor):
                found += child.run.actor.census()
        return found

    def replace_hung(self, now_ns: int) -> list[Child]:
        """Cancel the children that have been silent for too long; they are restarted like crashed ones."""
        hung = []
        for child in self.children:
            run = child.run
            if run is None or child.state != "up":
                continue
            if isinstance(run.actor, Supervisor):
                hung += run.actor.replace_hung(now_ns)
            elif self._silent(child, run, now_ns):
                hung.append(child)
        return hung

    def _silent(self, child: Child, run: Run, now_ns: int) -> bool:
        limit = child.spec.silent_seconds if isinstance(child.spec, ChildSpec) else None
        silent = (now_ns - run.context.last_beat_ns) / 1e9
        if limit is None or silent <= limit or run.verdict is not None:
            return False
        self._report(ChildHung(child.path, silent))
        self._cancel(child, run, f"gave no sign of life for {silent:.0f} s and was cancelled")
        return True


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None], name: str) -> None:
    """Run it in a task that is referred to until it ends: the loop alone would let it be collected."""
    task = asyncio.create_task(work, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _clear_cancellation() -> None:
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def describe(error: BaseException) -> str:
    """One line that names the innermost causes, through exception groups."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(describe(inner) for inner in error.exceptions))
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
