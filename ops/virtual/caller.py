"""The caller of the simulation: the turns of `actors/caller/poster.py` without a store, on the same gate and steps."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from actors.adapters.port import Answer
from actors.caller.gate import Admission, Closed, Gate
from actors.caller.settle import settle
from actors.caller.steps import Step, after_look_up, after_post, in_flight
from broker.store.rows import Call
from ops.sandbox.call import Op
from ops.virtual.agenda import Agenda
from ops.virtual.erp import ModelErp
from ops.virtual.line import Line
from policies.budget import arrival_bound
from policies.order import Block


class Caller:
    """Starts what the gate admits; `told` hears of every step of a call, after the step and with what it was."""

    def __init__(
        self, agenda: Agenda, gate: Gate, erp: ModelErp, seed: int, told: Callable[[str, Step], None] | None = None
    ) -> None:
        self.gate = gate
        self._agenda = agenda
        self._erp = erp
        self._line = Line(gate.order, gate.cost)
        self._random = Random(f"retries:{seed}")
        self._told = told or (lambda was, step: None)
        self._unknown: list[tuple[int, int, Call]] = []
        self._wake_ns: int | None = None
        self._resting: list[str] = []

    def take(self, call: Call) -> None:
        """A new call."""
        self._line.add(call)
        self.turn()

    def turn(self) -> None:
        """Start everything that may start now."""
        while True:
            verdict = self._next()
            if verdict is None:
                return
            if isinstance(verdict, Closed):
                self._sleep(verdict.until_ns)
                return

    def _next(self) -> Admission | Closed | None:
        now_ns = self._agenda.now_ns
        if self._unknown and self._unknown[0][0] <= now_ns:
            verdict = self.gate.admit_look_up(self._unknown[0][2], now_ns)
            if isinstance(verdict, Admission):
                heapq.heappop(self._unknown)
                self._fly("find", verdict, verdict.call)
            return verdict
        self._block(now_ns)
        if not self._line.any():
            return next(iter(self.gate.rests(now_ns)), None) if self.gate.order.waiting else None
        verdict = self.gate.admit(self._line, now_ns)
        if isinstance(verdict, Admission):
            leaving = in_flight(verdict.call, now_ns // 1_000)
            self._told("waiting", Step(leaving))
            self._fly("post", verdict, leaving)
        return verdict

    def _block(self, now_ns: int) -> None:
        """Take out of the order what may not go now, because its operation rests; the others go on."""
        resting = self.gate.resting_operations(now_ns)
        if resting != self._resting:
            self.gate.order.set_blocks([Block(operation=operation) for operation in resting])
            self._resting = resting

    def _fly(self, kind: str, admission: Admission, call: Call) -> None:
        started_ns = self._agenda.now_ns
        op: Op = "post" if kind == "post" else "find"
        self._erp.call(op, call, lambda answer: self._land(kind, admission, call, started_ns, answer))

    def _land(self, kind: str, admission: Admission, call: Call, started_ns: int, answer: Answer) -> None:
        now_ns = self._agenda.now_ns
        follow = after_post if kind == "post" else after_look_up
        step = follow(call, answer, self._erp, now_ns // 1_000, self._random.random())
        bound_ns = arrival_bound(started_ns, now_ns, answer.server_ns)
        safe_ns = now_ns + int(self._erp.lost_seconds * 1e9)
        settle(self.gate, admission, answer, bound_ns, safe_ns, now_ns, now_ns - started_ns)
        self._told(call.status, step)
        self._follow(step, now_ns - started_ns)
        self.turn()

    def _follow(self, step: Step, held_ns: int) -> None:
        call, now_ns = step.call, self._agenda.now_ns
        if step.look_up_after_us is not None:
            due_ns = now_ns + step.look_up_after_us * 1_000
            heapq.heappush(self._unknown, (due_ns, call.seq, call))
            self._agenda.at(due_ns, self.turn)
        elif call.status == "waiting":
            self._agenda.at(call.not_before * 1_000, lambda: self._again(call, held_ns))
        if not call.open:
            self._line.closed(call, held_ns)

    def _again(self, call: Call, held_ns: int) -> None:
        self._line.again(call, held_ns)
        self.turn()

    def _sleep(self, until_ns: int | None) -> None:
        """Look again at that moment, unless something is noted for an earlier one anyway."""
        if until_ns is None or (self._wake_ns is not None and self._agenda.now_ns < self._wake_ns <= until_ns):
            return
        self._wake_ns = until_ns
        self._agenda.at(until_ns, self.turn)
