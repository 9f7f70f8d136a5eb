"""The caller of a system, the ERP poster first: takes waiting calls through the gate, makes them, stores what came.

The order of things is what keeps money safe. Before a call leaves, its intent and its share of the budget are
durable (`_start`). Whatever comes back is stored in one transaction with its consequences (`_store`). A crash in
between leaves the call `in_flight`; the next life turns that into `unknown` (`recovery.py`), and an unknown call is
looked up at the ERP by its intent id before anything is sent again (`_look_ups`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import anyio
import anyio.abc

from actors.adapters.port import Adapter, Answer, Lost
from actors.caller.errands import Errands
from actors.caller.events import gate_rows, restored
from actors.caller.first_looks import FirstLooks
from actors.caller.flight import Flight, begin
from actors.caller.gate import Admission, Closed, Gate
from actors.caller.idle import idle
from actors.caller.insist import RETRY_SECONDS, insist
from actors.caller.lookups import LookUps, to_look_up
from actors.caller.numbers import SpendNumbers
from actors.caller.pace import Pace
from actors.caller.questions import Questions
from actors.caller.recovery import take_over
from actors.caller.results import Results
from actors.caller.settle import settle
from actors.caller.spends import Folding
from actors.caller.steps import Step, after_look_up, after_post
from actors.caller.unasked import Unasked
from actors.caller.worklist import Worklist
from actors.controls import Controls, Order
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.store.rows import Call, SpendEnd
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Committed, Unit
from policies.budget import GUARD_NS, arrival_bound, execution_bound
from policies.lanes import LANES
from policies.order import Block

STARTS_MAX = 64
"""Calls begun in one transaction."""
LEAD_NS_MAX = 50_000_000
"""How far ahead of its moment a call may be made durable."""


class Poster:
    """The caller of one system. Restarted, it goes on from the store."""

    def __init__(
        self,
        store: Store,
        adapter: Adapter,
        gate: Gate,
        results: Results,
        controls: Controls,
        domain: str,
        numbers: SpendNumbers | None = None,
        ask_limits_seconds: float = 0.0,
        pace: Pace | None = None,
        share_percent: int = 10,
    ) -> None:
        """`ask_limits_seconds`: how often the system is asked for its limits; 0: never. `share_percent`: of the
        budget, for comparisons with the ledger.
        """
        self._store = store
        self.adapter = self._adapter = adapter
        self.gate = gate
        self._results = results
        self._controls = controls
        self._domain = domain
        self.pace = pace
        self._worklist = Worklist(store.reads, adapter.system, gate.order, gate.cost)
        self._blocked: list[Block] | None = None
        self._questions = Questions(store, adapter, gate, ask_limits_seconds)
        self._look_ups = LookUps(gate, controls)
        self._unasked = Unasked(store, adapter, results, domain)
        self._flights: dict[int, Flight] = {}
        self._wake = asyncio.Event()
        self.first_looks = FirstLooks(store, adapter.system)
        self.errands = Errands(store, adapter, gate, share_percent, self._wake.set)
        self._turning = asyncio.Lock()
        self._numbers = numbers or SpendNumbers()
        self._folding = Folding(store, adapter.system)
        self._due_at: int | None = None
        self._lead_ns = 0
        """How long the last turns took to make a call durable: a call whose moment is known begins so much earlier."""
        self._holding: str | None = None
        """Why nothing may start any more, until the hold that says so to everybody is durable."""
        self.closed: Closed | None = None
        """Why nothing starts just now, for those who ask."""

    async def run(self, context: Context) -> None:
        """Call until asked to stop; then start nothing more and wait for what is in flight.

        Cancelled with calls in flight, these are found as unknown by the next life.

        Raises:
            StoreUnavailable: the store could not be read at the start.
        """
        await self._adapter.open()
        self._store.watch(self._follow)
        try:
            await self._recover(context)
            context.ready()
            async with anyio.create_task_group() as group:
                while not context.stopping:
                    context.beat()
                    wait_seconds = await self._turn(group, context)
                    await self._folding.step(self._numbers.next, self.gate.budget.limits, context)
                    stands = self._stands(context.clock.boot_ns())
                    await self._questions.ask_if_due(group, context, self._numbers, stands)
                    await idle(self._wake, min(wait_seconds, 1.0), context)
        finally:
            self._store.unwatch(self._follow)
            self.errands.end()
            with anyio.CancelScope(shield=True):
                await self._adapter.close()

    # waking --------------------------------------------------------------------------------------------------

    def _follow(self, unit: Unit, committed: Committed) -> None:
        """Something committed may have made a call ready."""
        new = sum(row.system == self._adapter.system for row in unit.calls)
        if new and self.pace is not None:
            self.pace.came(new)
        more = self._worklist.follow(unit, committed)
        moved = [move for move in unit.call_moves if move.call.system == self._adapter.system]
        later_ones = [row.not_before for row in unit.calls] + [c.call.not_before for c in unit.call_changes]
        for later in [*later_ones, *(move.not_before for move in moved)]:
            if later:
                self._due_at = min(later, self._due_at or later)
        for call in to_look_up(unit, self._adapter.system):
            (self._look_ups if self._adapter.finds else self._unasked).add(call, 0)
            more = True
        if more or unit.controls or unit.control_ends:
            self._wake.set()

    async def looked(self, context: Context) -> None:
        """The system was looked at: read what came of it, and go on with what was held back."""
        await self.first_looks.load(context.clock)
        self._wake.set()

    async def settle_orders(self) -> None:
        """Return when no call can start any more that an order given before now forbids."""
        async with self._turning:
            leaving = list(self._flights.values())
        for flight in leaving:
            await flight.left.wait()

    async def rewrite(self, unit: Unit) -> Committed:
        """Commit a unit that changes waiting calls, while nothing is being started.

        So none of them is started as it was: after this the new lane, time or end holds.

        Raises:
            Conflict: one of them is no longer waiting as it was; nothing was changed.
            StoreUnavailable: nothing was changed.
        """
        async with self._turning:
            committed = await self._store.commit(unit)
            for call in (*(c.call for c in unit.call_changes), *(m.call for m in unit.call_moves)):
                self._worklist.drop(call)
            for move in unit.call_moves:
                self._worklist.returned(move.call.place._replace(lane=move.lane))
        self._wake.set()
        return committed

    def look_up_at(self, seq: int) -> int | None:
        """When a call of unknown outcome is looked up (boot clock); None if that is under way."""
        return self._look_ups.when(seq)

    def in_flight(self) -> int:
        """Calls on their way."""
        return len(self._flights)

    def unknown(self) -> list[tuple[Call, int]]:
        """Calls of unknown outcome, and when (boot clock) each is to be looked up."""
        return self._look_ups.pending()

    def flights(self) -> list[str]:
        """Intent ids of the calls on their way."""
        return [flight.call.intent_id for flight in self._flights.values()]

    async def _recover(self, context: Context) -> None:
        now_ns = context.clock.boot_ns()
        left = await take_over(self._store, self._adapter, self.gate.budget.limits, self._domain, context.clock)
        self.gate.restore(left.spends, now_ns)
        bounds, frozen = restored(await self._store.reads.gate_state(self._adapter.system), context.clock)
        self.gate.governor.restore(bounds, frozen, now_ns)
        for call in left.unknown:
            (self._look_ups if self._adapter.finds else self._unasked).add(call, now_ns)
        await self._unasked.settle(context)
        self._numbers.begin_at(left.next_spend)
        if self.pace is not None:
            self.pace.restore(left.spends)
        await self._worklist.open()
        self._blocked = None
        self._due_at = await self._store.reads.next_not_before(self._adapter.system, microseconds(context.clock.now()))
        await self.first_looks.load(context.clock)

    async def _turn(self, group: anyio.abc.TaskGroup, context: Context) -> float:
        """Start everything that may start now; how many seconds until there may be more."""
        async with self._turning:
            begun_ns = context.clock.boot_ns()
            now = microseconds(context.clock.now())
            if self._due_at is not None and self._due_at <= now:
                await self._worklist.due(now)
                self._due_at = await self._store.reads.next_not_before(self._adapter.system, now)
            await self._worklist.refresh(now)
            await self.errands.go(group, context, self._numbers, self._stands, self._lead_ns)
            flights, closed = self._choose(context.clock.boot_ns(), now)
            self.closed = closed
            if flights:
                await self._start(flights, group, context)
                took_ns = context.clock.boot_ns() - begun_ns
                self._lead_ns = min(max(took_ns, self._lead_ns * 7 // 8), LEAD_NS_MAX)
            if await self._unasked.settle(context) or (flights and closed is None):
                return 0.0
            return self._patience(closed, context, now)

    def _patience(self, closed: Closed | None, context: Context, now: int) -> float:
        now_ns = context.clock.boot_ns()
        dues = (self._look_ups.next_ns(now_ns), self.errands.due_ns())
        moments = [at for at in dues if at is not None and at > now_ns]
        if closed is not None and closed.until_ns is not None:
            moments.append(closed.until_ns - self._lead_ns)
        if self._due_at is not None:
            moments.append(now_ns + (self._due_at - now) * 1_000)
        return max(min([1.0, *((at - now_ns) / 1e9 for at in moments)]), 0.0)

    def _choose(self, now_ns: int, now: int) -> tuple[list[Flight], Closed | None]:
        """Admit calls until the gate closes, nothing is left, or the transaction is full.

        A gate that opens within the time that a commit takes counts as open: the call is admitted for that moment,
        made durable meanwhile, and leaves then. So no commit stands between a free place and its use.
        """
        flights: list[Flight] = []
        at_ns, horizon_ns = now_ns, now_ns + self._lead_ns
        while len(flights) < STARTS_MAX:
            verdict = self._admit_next(at_ns, now)
            if isinstance(verdict, Flight):
                flights.append(verdict)
            elif verdict is not None and verdict.until_ns is not None and at_ns < verdict.until_ns <= horizon_ns:
                at_ns = verdict.until_ns
            else:
                return flights, verdict
        return flights, None

    def _admit_next(self, now_ns: int, now: int) -> Flight | Closed | None:
        if (stands := self._stands(now_ns)) is not None:
            return stands
        if (call := self._look_ups.due(now_ns)) is not None:
            admission = self.gate.admit_look_up(call, now_ns)
            if isinstance(admission, Closed):
                return admission
            self._look_ups.take()
            return Flight(admission, "find", call, self._numbers.take())
        if (closed := self.first_looks.closed) is not None:
            return closed
        if self.pace is not None and (closed := self.pace.posts(now_ns)) is not None:
            return closed
        self._block(now_ns)
        if not self._worklist.any():
            return self._why_none(now_ns)
        admission = self._unasked.admit(self.gate, self._worklist, now_ns, now)
        if isinstance(admission, Closed):
            return (self._why_none(now_ns) if admission.what == "retries" else None) or admission
        if self.first_looks.needed(admission.call, now_ns):
            return self._look_first(admission, now_ns)
        if self.pace is not None:
            self.pace.spent(now_ns)
        return Flight(admission, "post", admission.call, self._numbers.take())

    def _look_first(self, admission: Admission, now_ns: int) -> Flight | Closed:
        """Its turn has come, but the system may have it already: ask instead of sending."""
        self.gate.unsent(admission, now_ns, unreachable=False)
        look_up = self.gate.admit_look_up(admission.call, now_ns)
        if isinstance(look_up, Closed):
            self._worklist.give_back(admission.call)
            return look_up
        return Flight(look_up, "look", admission.call, self._numbers.take())

    def _stands(self, now_ns: int) -> Closed | None:
        """Why no call at all may start, if somebody says so."""
        if self._holding is not None:
            return Closed(None, "hold", self._holding)
        if order := self._controls.first_on([self._adapter.system, self._domain]):
            return Closed(None, order.verb, f"{order.verb} by {order.who}: {order.reason}")
        return None if self.pace is None else self.pace.stands(now_ns)

    def _why_none(self, now_ns: int) -> Closed | None:
        """Why nothing of what waits may start, when nobody has ordered it; None when nothing waits."""
        if not any(self._store.counters.waiting(self._adapter.system, lane) for lane in LANES):
            return None
        found = [*self.gate.rests(now_ns), *(self.pace.lanes(now_ns) if self.pace else [])]
        return min(found, key=lambda closed: (closed.until_ns is None, closed.until_ns or 0), default=None)

    def _block(self, now_ns: int) -> None:
        """Take out of the order what may not go now: by orders, by the calendar, because its operation rests."""
        scopes = self._controls.stopping(self._adapter.system)
        blocks = [Block(s.lane, s.tenant, None, s.operation, s.partition) for s in scopes]
        if self.pace is not None:
            blocks += [Block(lane=lane) for lane in LANES if self.pace.lane(lane, now_ns) is not None]
        blocks += [Block(operation=operation) for operation in self.gate.resting_operations(now_ns)]
        if blocks != self._blocked:
            self._worklist.set_blocks(blocks)
            self._blocked = blocks

    async def _start(self, flights: list[Flight], group: anyio.abc.TaskGroup, context: Context) -> None:
        """Make intents and spent budget durable, then let the calls go."""
        clock = context.clock
        unit = begin(flights, self._adapter.system, self._domain, clock.boot, microseconds(clock.now()))
        try:
            with anyio.CancelScope(shield=True):
                await self._store.commit(unit)
        except StoreUnavailable as problem:
            self._unstart(flights, clock.boot_ns())
            context.notice(f"{self._domain} starts no call: {problem}")
            await clock.wait(context.stop_asked, RETRY_SECONDS)
            return
        for flight in flights:
            self._flights[flight.spend] = flight
            group.start_soon(self._fly, flight, context, name=f"{self._domain}/{flight.call.intent_id}")

    def _unstart(self, flights: Iterable[Flight], now_ns: int) -> None:
        for flight in flights:
            self.gate.unsent(flight.admission, now_ns, unreachable=False)
            if flight.kind != "find":
                self._worklist.give_back(flight.admission.call)
            else:
                self._look_ups.add(flight.call, now_ns)

    # one call ------------------------------------------------------------------------------------------------

    async def _fly(self, flight: Flight, context: Context) -> None:
        try:
            while (early_ns := flight.leaves_ns - context.clock.boot_ns()) > 0:
                await context.clock.sleep(early_ns / 1e9)
        finally:
            flight.left.set()
        started_ns = context.clock.boot_ns()
        answer = self.gate.believe(await self._ask(flight))
        ended_ns = context.clock.boot_ns()
        flight.held_ns = ended_ns - started_ns
        bound_ns = arrival_bound(started_ns, ended_ns, answer.server_ns)
        now = microseconds(context.clock.now())
        follow = after_post if flight.kind == "post" else after_look_up
        step = follow(flight.call, answer, self._adapter, now, context.entropy.random())
        self._holding = step.hold_system or self._holding
        safe_ns = ended_ns + int(self._adapter.lost_seconds * 1e9)
        settle(self.gate, flight.admission, answer, bound_ns, safe_ns, ended_ns, ended_ns - started_ns)
        self._wake.set()  # there may be room already, whatever the store says later
        lost = isinstance(answer.outcome, Lost)
        safe_us = int(self._adapter.lost_seconds * 1e6) if lost else 0
        executed_ns = execution_bound(flight.leaves_ns, ended_ns, bound_ns, GUARD_NS) + safe_us * 1_000
        end = SpendEnd(flight.spend, bound_ns + safe_us * 1_000, now + safe_us, executed_ns)
        with anyio.CancelScope(shield=True):
            if await self._store_step(flight, step, end, context):
                del self._flights[flight.spend]
        self._wake.set()

    async def _ask(self, flight: Flight) -> Answer:
        if flight.kind != "post":
            return await self._adapter.find_by_intent(flight.call)
        problem = self._adapter.validate(flight.call)
        return Answer(problem) if problem else await self._adapter.post(flight.call)

    async def _store_step(self, flight: Flight, step: Step, end: SpendEnd, context: Context) -> bool:
        """Store the outcome: the answer exists only here. Whether it was; if not, the next life looks the call up."""
        was = flight.call.status
        unit = self._results.unit(was, step, end, microseconds(context.clock.now()))
        unit.gate_events = gate_rows(self.gate.governor.take_news(), self._adapter.system, context.clock)
        if flight.kind != "post":
            unit.strays_settled = self.first_looks.looked(step.call, unit.at)
        if not await insist(lambda: self._store.commit(unit), f"the outcome of {flight.call.intent_id}", context):
            return False
        if flight.kind != "find":
            self._worklist.settled(step.call, flight.held_ns)
        elif step.call.status == "waiting":
            self._worklist.returned(step.call.place)
        if step.look_up_after_us is not None:
            self._look_ups.add(step.call, context.clock.boot_ns() + step.look_up_after_us * 1_000)
        if step.hold_system is not None:
            await self._hold(step.hold_system, context)
        return True

    async def _hold(self, reason: str, context: Context) -> None:
        order = Order("hold", self._adapter.system, self._domain, reason)
        context.notice(f"{self._domain} holds every call to {self._adapter.system}: {reason}")
        if self._controls.exact(order.verb, order.target) is None:
            await insist(lambda: self._controls.give(order), f"the hold of {order.target}", context)
        self._holding = None
