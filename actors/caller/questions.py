"""Asking a system for its limits from time to time: a call of its budget like any other, and never a reason to wait."""

from __future__ import annotations

import anyio
import anyio.abc

from actors.adapters.port import Adapter, Answer, Lost, NotSent
from actors.caller.events import gate_rows
from actors.caller.gate import Closed, Gate
from actors.caller.numbers import SpendNumbers
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.store.rows import SpendEnd, SpendRow
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Unit
from policies.limits import Lease, arrival_bound


class Questions:
    """One question at a time, every `every_seconds` (0: never), when the gate has room for it."""

    def __init__(self, store: Store, adapter: Adapter, gate: Gate, every_seconds: float) -> None:
        self._store = store
        self._adapter = adapter
        self._gate = gate
        self._every_ns = int(every_seconds * 1e9) if adapter.tells_limits else 0
        self._due_ns = 0
        self._asking = False

    async def ask_if_due(
        self, group: anyio.abc.TaskGroup, context: Context, numbers: SpendNumbers, stands: Closed | None
    ) -> None:
        """Ask in a task of the group if it is time. `stands`: nothing may start."""
        now_ns = context.clock.boot_ns()
        if not self._every_ns or self._asking or now_ns < self._due_ns or stands is not None:
            return
        lease = self._gate.admit_question(now_ns)
        if isinstance(lease, Closed):
            return
        number = numbers.take()
        row = SpendRow(
            number,
            self._adapter.system,
            "limits",
            "limits",
            context.clock.boot,
            lease.admitted_ns,
            microseconds(context.clock.now()),
        )
        try:
            with anyio.CancelScope(shield=True):
                await self._store.commit(Unit(row.started_at, spends=[row]))
        except StoreUnavailable:
            self._gate.question_ended(lease, Answer(NotSent("the store is away")), now_ns, now_ns, ())
            return
        self._asking = True
        group.start_soon(self._ask, lease, number, context, name="limits")

    async def _ask(self, lease: Lease, number: int, context: Context) -> None:
        clock = context.clock
        started_ns = clock.boot_ns()
        answer, told = await self._adapter.limits()
        now_ns = clock.boot_ns()
        lost_ns = int(self._adapter.lost_seconds * 1e9) if isinstance(answer.outcome, Lost) else 0
        bound_ns = arrival_bound(started_ns, now_ns, answer.server_ns) + lost_ns
        self._gate.question_ended(lease, answer, bound_ns, now_ns, told)
        self._asking, self._due_ns = False, now_ns + self._every_ns
        unit = Unit(microseconds(clock.now()))
        unit.spend_ends = [SpendEnd(number, bound_ns, unit.at + lost_ns // 1_000)]
        unit.gate_events = gate_rows(self._gate.governor.take_news(), self._adapter.system, clock)
        try:
            with anyio.CancelScope(shield=True):
                await self._store.commit(unit)
        except StoreUnavailable as problem:  # the spend stays open, which is the safe side
            context.notice(f"what the system says of its limits is not stored: {problem}")
