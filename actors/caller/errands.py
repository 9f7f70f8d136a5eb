"""Calls to a system that nobody waits for: listings and look-ups that hold the ledger against it.

They go through the gate like any call and are written down as spent before they start. One is made at a time, and no
more than a share of each rate and of the time of one call (`policies/reconcile.every_ns`); so a comparison that runs
for hours takes nothing that can be felt. What is due goes first, because it is so little: else a full backlog would
keep it waiting for ever. An urgent errand is asked for while nothing may be posted before it has ended; it is held
back by the gate alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.abc
import msgspec

from actors.adapters.port import Adapter, Answer, Lost, NotSent
from actors.caller.events import gate_rows
from actors.caller.gate import Closed, Gate
from actors.caller.numbers import SpendNumbers
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.store.rows import SpendEnd, SpendRow
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Unit
from policies.budget import GUARD_NS
from policies.lanes import LANES
from policies.limits import Ask, Lease, RateLimit, arrival_bound, execution_bound
from policies.reconcile import every_ns

Ways = Callable[[], Awaitable[tuple[Answer, Any]]]


class _Errand(msgspec.Struct):
    """One call that somebody wants made: `kind` is `list` or `find`, `name` what it is about."""

    kind: str
    name: str
    ways: Ways
    urgent: bool
    answer: asyncio.Future[tuple[Answer, Any]]


class Errands:
    """The errands of one caller. `ask` may be called from any task; the rest is the caller's."""

    def __init__(
        self, store: Store, adapter: Adapter, gate: Gate, share_percent: int, wake: Callable[[], None]
    ) -> None:
        """`wake` is called when there may be something to start."""
        self._store = store
        self._adapter = adapter
        self._gate = gate
        self._share_percent = share_percent
        self._waiting: deque[_Errand] = deque()
        self._busy = False
        self._due_ns = 0
        self.calls = 0
        """Errands made since the start."""
        self.closed: Closed | None = None
        """Why the first one waits, if it does."""
        self._wake = wake

    async def ask(self, kind: str, name: str, ways: Ways, urgent: bool = False) -> tuple[Answer, Any]:
        """Have a call made when there is room for it; what came of it.

        Cancelled before it has started, it is not made.
        """
        errand = _Errand(kind, name, ways, urgent, asyncio.get_running_loop().create_future())
        self._waiting.append(errand)
        self._wake()
        return await errand.answer

    @property
    def seconds_a_call(self) -> float:
        """How long after one the next may start at the earliest."""
        return self._pause_ns(0) / 1e9

    def end(self) -> None:
        """The caller ends: whoever waits is told that nothing was sent."""
        while self._waiting:
            errand = self._waiting.popleft()
            if not errand.answer.done():
                errand.answer.set_result((Answer(NotSent("the caller is being restarted")), None))

    def due_ns(self) -> int | None:
        """When the next may start, as far as its share tells; None if there is none, or one is under way."""
        return self._due_ns if self._waiting and not self._busy else None

    async def go(
        self,
        group: anyio.abc.TaskGroup,
        context: Context,
        numbers: SpendNumbers,
        stands: Callable[[int], Closed | None],
        lead_ns: int,
    ) -> None:
        """Start the first in a task of the group if it may go now, or within `lead_ns`. `stands`: why nothing may."""
        while self._waiting and self._waiting[0].answer.done():
            self._waiting.popleft()
        now_ns = context.clock.boot_ns()
        self.closed = None
        if not self._waiting or self._busy:
            return
        errand = self._waiting[0]
        if not errand.urgent and now_ns < self._due_ns:
            return
        lease = self._admit(errand, now_ns, lead_ns, stands)
        if isinstance(lease, Closed):
            self.closed = lease
            return
        self._waiting.popleft()
        number = numbers.take()
        clock = context.clock
        at = microseconds(clock.now())
        row = SpendRow(number, self._adapter.system, errand.kind, errand.name, clock.boot, lease.admitted_ns, at)
        try:
            with anyio.CancelScope(shield=True):
                await self._store.commit(Unit(at, spends=[row]))
        except StoreUnavailable:
            self._gate.errand_ended(lease, Answer(NotSent("the store is away")), now_ns, now_ns)
            self._waiting.appendleft(errand)
            return
        self._busy = True
        group.start_soon(self._make, errand, lease, number, context, stands, name=f"errand/{errand.name}")

    def _admit(
        self, errand: _Errand, now_ns: int, lead_ns: int, stands: Callable[[int], Closed | None]
    ) -> Lease | Closed:
        if (standing := stands(now_ns)) is not None:
            return standing
        ask = Ask(errand.kind)
        probe = errand.urgent or not any(self._store.counters.waiting(self._adapter.system, lane) for lane in LANES)
        lease = self._gate.admit_errand(ask, now_ns, probe)
        if isinstance(lease, Closed) and lease.until_ns is not None and now_ns < lease.until_ns <= now_ns + lead_ns:
            lease = self._gate.admit_errand(ask, lease.until_ns, probe)
        return lease

    async def _make(
        self, errand: _Errand, lease: Lease, number: int, context: Context, stands: Callable[[int], Closed | None]
    ) -> None:
        clock = context.clock
        result: tuple[Answer, Any] = Answer(Lost("it was cut off")), None
        try:
            while (early_ns := lease.admitted_ns - clock.boot_ns()) > 0:
                await clock.sleep(early_ns / 1e9)
            started_ns = clock.boot_ns()
            if stands(started_ns) is not None:  # an order came while it was made durable
                result = Answer(NotSent("an order forbids it")), None
            else:
                self.calls += 1
                result = await errand.ways()
            result = self._gate.believe(result[0]), result[1]
            await self._ended(errand, lease, number, result[0], started_ns, context)
        finally:
            self._busy = False
            if not errand.answer.done():
                errand.answer.set_result(result)
            self._wake()

    async def _ended(
        self, errand: _Errand, lease: Lease, number: int, answer: Answer, started_ns: int, context: Context
    ) -> None:
        clock = context.clock
        now_ns = clock.boot_ns()
        lost_ns = int(self._adapter.lost_seconds * 1e9) if isinstance(answer.outcome, Lost) else 0
        bound_ns = arrival_bound(started_ns, now_ns, answer.server_ns)
        executed_ns = execution_bound(lease.admitted_ns, now_ns, bound_ns, GUARD_NS) + lost_ns
        bound_ns += lost_ns
        self._gate.errand_ended(lease, answer, bound_ns, now_ns)
        self._due_ns = started_ns + self._pause_ns(now_ns - started_ns)
        unit = Unit(microseconds(clock.now()))
        unit.spend_ends = [SpendEnd(number, bound_ns, unit.at + lost_ns // 1_000, executed_ns)]
        unit.gate_events = gate_rows(self._gate.governor.take_news(), self._adapter.system, clock)
        try:
            with anyio.CancelScope(shield=True):
                await self._store.commit(unit)
        except StoreUnavailable as problem:  # the spend stays open, which is the safe side
            context.notice(f"the end of {errand.kind} {errand.name} is not stored: {problem}")

    def _pause_ns(self, took_ns: int) -> int:
        rates = [
            limit.limit * 1e9 / limit.window_ns
            for limit in self._gate.budget.limits
            if isinstance(limit, RateLimit) and limit.unit == "calls" and limit.operation in (None, "list", "find")
        ]
        return every_ns(rates, took_ns, self._share_percent)
