"""A small world around a gate: calls arrive at an instant of their own choice, and an independent judge.

Nothing here uses the arithmetic under test. The judge sees only what the system experienced (arrival, end,
cost) and which limits were in force when each call was admitted.
"""

import heapq
from bisect import bisect_left
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from policies.budget import (
    Ask,
    Budget,
    ConcurrencyLimit,
    ExecutionLimit,
    Lease,
    Limit,
    RateLimit,
    Spend,
    Wait,
    arrival_bound,
)

MS = 1_000_000
SECOND = 1_000_000_000
TIME_OUT = 4 * SECOND
SURELY_OVER = 20 * SECOND
ANY = Ask()


class Gate(Protocol):
    def admit(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Lease | Wait: ...
    def ended(self, lease: Lease, arrived_by_ns: int, **more: Any) -> bool: ...


@dataclass
class Call:
    """One call: the truth (started, arrived, done), and what the client can know of it (the rest)."""

    lease: Lease
    cost: int
    epoch: int
    started: int
    arrived: int | None
    done: int
    answered: int
    ask: Ask = ANY
    ended_at: int | None = None
    executed: int = 0
    arrived_by: int | None = None
    assumed_by: int | None = None
    flying: bool = True
    lost: bool = False

    def counts_in(self, limit: Limit) -> bool:
        """Whether the system counts it there."""
        if limit.per_object and self.ask.object is None:
            return False
        return limit.operation in (None, self.ask.operation)

    @property
    def bound(self) -> int | None:
        return self.arrived_by if self.arrived_by is not None else self.assumed_by

    def spend(self, safe_at: int | None = None) -> Spend:
        """What a store would tell of it."""
        known = safe_at is None
        return Spend(
            self.arrived_by if known else None,
            safe_at,
            self.cost,
            self.ask.operation,
            self.ask.object,
            self.ask.bytes,
            self.executed if known else safe_at - self.started,
            self.ended_at if known else None,
        )


@dataclass
class World:
    """Drives a gate with an endless backlog from one seed, restarts, resizes and abandons included."""

    gate: Any
    limits: tuple[Limit, ...]
    random: Random
    arrival: str = "random"
    longest: int = 3 * SECOND
    cost_max: int = 1
    operations: tuple[str | None, ...] = (None,)
    objects: tuple[str | None, ...] = (None,)
    bytes_max: int = 0
    abandon: float = 0.0
    forget: float = 0.0
    restart: float = 0.0
    resize_to: list[tuple[Limit, ...]] = field(default_factory=list)
    resize: float = 0.0
    check_waits: bool = True
    now: int = 0
    epoch: int = 0
    calls: list[Call] = field(default_factory=list)
    events: list[tuple[int, int, str, Call]] = field(default_factory=list)
    in_force: list[tuple[Limit, ...]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def run(self, admissions: int) -> list[str]:
        """Admit so many calls, let all of them end, and return what the judge found."""
        self.in_force.append(self.limits)
        self.now = self.random.randrange(SECOND)
        cost, ask = self._next()
        while len(self.calls) < admissions:
            self._disturb()
            answer = self.gate.admit(self.now, cost, ask)
            if isinstance(answer, Wait):
                self._sit_out(answer, cost, ask)
                if self.objects != (None,):
                    cost, ask = self._next()
            else:
                self._start(answer, cost, ask)
                cost, ask = self._next()
        return self.problems + judge(self.calls, self.in_force)

    def _next(self) -> tuple[int, Ask]:
        choice = self.random.choice
        ask = Ask(choice(self.operations), choice(self.objects), self.random.randint(0, self.bytes_max))
        return self.random.randint(1, self.cost_max), ask

    def _start(self, lease: Lease, cost: int, ask: Ask) -> None:
        duration = self.random.choice((0, self.random.randrange(50 * MS), self.random.randrange(self.longest)))
        answered = self.now + duration
        arrived = {"earliest": self.now, "latest": answered}.get(self.arrival, self.random.randint(self.now, answered))
        call = Call(lease, cost, self.epoch, self.now, arrived, self.random.randint(arrived, answered), answered, ask)
        what = "end"
        luck = self.random.random()
        if luck < self.forget:
            call.arrived, what = None, "forget"
        elif luck < self.forget + self.abandon:
            what = "abandon"
            call.arrived = self.random.choice((self.now, self.random.randint(self.now, self.now + SURELY_OVER)))
            call.done = self.random.randint(call.arrived, self.now + SURELY_OVER)
            call.answered = self.now + TIME_OUT
        self.calls.append(call)
        heapq.heappush(self.events, (call.answered, len(self.calls), what, call))

    def _sit_out(self, wait: Wait, cost: int, ask: Ask) -> None:
        if self.check_waits and (expected := self._first_room(cost, ask)) != wait.until_ns:
            self.problems.append(f"at {self.now} told to wait until {wait.until_ns}, room is at {expected}")
        until = wait.until_ns
        if self.events and (until is None or self.events[0][0] <= until):
            self._next_event()
        elif until is None or until <= self.now:
            self.problems.append(f"at {self.now} waits for nothing: {wait}")
            self.now += SECOND
        else:
            self.now = until

    def _next_event(self) -> None:
        at, _, what, call = heapq.heappop(self.events)
        self.now = max(self.now, at)
        if call.lost:
            return
        call.flying = False
        if what == "forget":
            self.gate.forget(call.lease)
        elif what == "abandon":
            call.assumed_by = call.started + SURELY_OVER
            self.gate.abandoned(call.lease, call.assumed_by)
            if self.random.random() < 0.5:
                late = max(self.now, self.random.randint(call.done, call.assumed_by))
                heapq.heappush(self.events, (late, id(call), "end", call))
        else:
            server = call.done - (call.arrived or 0)
            reported = self.random.choice((None, server // 1000 * 1000, 10**15))
            bound = arrival_bound(call.started, self.now, reported)
            executed = self.now - call.started if reported is None else min(reported + 1000, self.now - call.started)
            more = {"ended_ns": self.now, "execution_ns": executed} if isinstance(self.gate, Budget) else {}
            if self.gate.ended(call.lease, bound, **more):
                call.arrived_by, call.ended_at, call.executed = bound, self.now, executed

    def _disturb(self) -> None:
        if self.random.random() < self.restart:
            self._restart()
        if self.resize_to and self.random.random() < self.resize:
            self.limits = self.random.choice(self.resize_to)
            self.gate.resize(self.limits, self.now)
            self.in_force.append(self.limits)
            self.epoch += 1

    def _restart(self) -> None:
        """The process dies: calls in flight go on at the system, nobody waits for their answers any more."""
        flying = [c for c in self.calls if c.flying]
        if self.random.random() < 0.5:
            self.gate = Budget.from_snapshot(self.gate.snapshot())
            for lease in self.gate.in_flight:
                self.gate.abandoned(lease, lease.admitted_ns + SURELY_OVER)
        else:
            spends = [c.spend() for c in self.calls if c.arrived_by is not None]
            spends += [c.spend(c.assumed_by) for c in self.calls if c.assumed_by is not None and c.arrived_by is None]
            spends += [c.spend(c.started + SURELY_OVER) for c in flying]
            self.gate = Budget(self.limits)
            self.gate.restore(spends, self.now)
            for call in self.calls:
                call.lost = True
        for call in flying:
            call.assumed_by, call.flying, call.lost = call.started + SURELY_OVER, False, True

    def _first_room(self, cost: int, ask: Ask) -> int | None:
        """By plain counting: the first instant from now at which every limit has room, if nothing ends."""
        guard = self.gate._guard_ns
        instants = {self.now}
        for call in self.calls:
            if call.bound is not None:
                spans = {w.window_ns + guard for w in self.limits if not isinstance(w, ConcurrencyLimit)}
                instants |= {call.bound, *(call.bound + span for span in spans)}
        ahead = sorted(at for at in instants if at >= self.now)
        # What is counted only falls with time, so the first instant with room is found by halving.
        first = bisect_left(ahead, True, key=lambda at: self._has_room(at, cost, ask, guard))
        return ahead[first] if 0 < first < len(ahead) else None

    def _has_room(self, at: int, cost: int, ask: Ask, guard: int) -> bool:
        new = Call(Lease(0, 0, cost), cost, 0, 0, None, 0, 0, ask)
        return all(
            self._count(w, at, guard, ask.object) + units(w, new) <= w.limit
            for w in self.limits
            if new.counts_in(w) and units(w, new)
        )

    def _count(self, limit: Limit, at: int, guard: int, object_: str | None) -> int:
        total = 0
        for call in self.calls:
            if not call.counts_in(limit) or (limit.per_object and call.ask.object != object_):
                continue
            if isinstance(limit, ConcurrencyLimit):
                total += call.flying or (
                    call.arrived_by is None and call.assumed_by is not None and call.assumed_by > at
                )
            else:
                counted = call.flying or (call.bound is not None and call.bound + limit.window_ns + guard > at)
                total += units(limit, call) * counted
        return total


def units(limit: Limit, call: Call) -> int:
    """What a call takes of a limit that it counts in."""
    if isinstance(limit, RateLimit):
        return call.ask.bytes if limit.unit == "bytes" else call.cost
    return 1


def judge(calls: list[Call], in_force: list[tuple[Limit, ...]]) -> list[str]:
    """What the system experienced, against each set of limits while it was in force; an empty list is good.

    A window counts for an epoch if it holds a call admitted in it that takes something of the limit (a call of no
    bytes does nothing to a window of bytes); calls of later epochs are left out.
    """
    found = []
    for epoch, limits in enumerate(in_force):
        seen = [c for c in calls if c.epoch <= epoch and c.arrived is not None]
        for limit in limits:
            mine = [c for c in seen if c.counts_in(limit)]
            for object_ in {c.ask.object for c in mine} if limit.per_object else {None}:
                its = [c for c in mine if not limit.per_object or c.ask.object == object_]
                worst = _worst(its, limit, epoch)
                if worst > limit.limit * (SECOND if isinstance(limit, ExecutionLimit) else 1):
                    found.append(f"{limit.name}: {worst} of {limit.limit} in epoch {epoch}")
    return found


def _worst(calls: list[Call], limit: Limit, epoch: int) -> int:
    match limit:
        case RateLimit():
            return _worst_window(calls, limit, epoch)
        case ExecutionLimit():
            return _worst_execution(calls, limit)
        case _:
            return _most_at_once(calls, epoch)


def _worst_execution(calls: list[Call], limit: ExecutionLimit) -> int:
    """The most time spent in one window, by looking at every window that begins or ends with a call."""
    edges = {edge for call in calls for edge in (call.arrived or 0, call.done)}
    return max(
        (
            sum(max(0, min(c.done, start + limit.window_ns) - max(c.arrived or 0, start)) for c in calls)
            for edge in edges
            for start in (edge, edge - limit.window_ns)
        ),
        default=0,
    )


def _worst_window(calls: list[Call], limit: RateLimit, epoch: int) -> int:
    calls = sorted(calls, key=lambda c: c.arrived or 0)
    worst = left = taken = current = 0
    for call in calls:
        taken += units(limit, call)
        current += call.epoch == epoch and units(limit, call) > 0
        while (call.arrived or 0) - (calls[left].arrived or 0) > limit.window_ns:
            taken -= units(limit, calls[left])
            current -= calls[left].epoch == epoch and units(limit, calls[left]) > 0
            left += 1
        if current:
            worst = max(worst, taken)
    return worst


def _most_at_once(calls: list[Call], epoch: int) -> int:
    edges = []
    for call in calls:
        if call.done > (call.arrived or 0):
            edges += [(call.arrived or 0, 1, call.epoch == epoch), (call.done, -1, call.epoch == epoch)]
    worst = inside = current = 0
    for _, step, mine in sorted(edges, key=lambda edge: edge[:2]):
        inside += step
        current += step * mine
        if current:
            worst = max(worst, inside)
    return worst
