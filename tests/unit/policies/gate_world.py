"""A small world around a gate: calls arrive at an instant of their own choice, and an independent judge.

Nothing here uses the arithmetic under test. The judge sees only what the system experienced (arrival, end,
cost) and which limits were in force when each call was admitted.
"""

import heapq
from bisect import bisect_left
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from policies.budget import Budget, ConcurrencyLimit, Lease, Limit, RateLimit, Spend, Wait, arrival_bound

MS = 1_000_000
SECOND = 1_000_000_000
TIME_OUT = 4 * SECOND
SURELY_OVER = 20 * SECOND


class Gate(Protocol):
    def admit(self, now_ns: int, cost: int = 1) -> Lease | Wait: ...
    def ended(self, lease: Lease, arrived_by_ns: int) -> bool: ...


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
    arrived_by: int | None = None
    assumed_by: int | None = None
    flying: bool = True
    lost: bool = False


@dataclass
class World:
    """Drives a gate with an endless backlog from one seed, restarts, resizes and abandons included."""

    gate: Any
    limits: tuple[Limit, ...]
    random: Random
    arrival: str = "random"
    longest: int = 3 * SECOND
    cost_max: int = 1
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
        cost = self._cost()
        while len(self.calls) < admissions:
            self._disturb()
            answer = self.gate.admit(self.now, cost)
            if isinstance(answer, Wait):
                self._sit_out(answer, cost)
            else:
                self._start(answer, cost)
                cost = self._cost()
        return self.problems + judge(self.calls, self.in_force)

    def _cost(self) -> int:
        return self.random.randint(1, self.cost_max)

    def _start(self, lease: Lease, cost: int) -> None:
        duration = self.random.choice((0, self.random.randrange(50 * MS), self.random.randrange(self.longest)))
        answered = self.now + duration
        arrived = {"earliest": self.now, "latest": answered}.get(self.arrival, self.random.randint(self.now, answered))
        call = Call(lease, cost, self.epoch, self.now, arrived, self.random.randint(arrived, answered), answered)
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

    def _sit_out(self, wait: Wait, cost: int) -> None:
        if self.check_waits and (expected := self._first_room(cost)) != wait.until_ns:
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
            if self.gate.ended(call.lease, bound):
                call.arrived_by = bound

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
            spends = [Spend(c.arrived_by, None, c.cost) for c in self.calls if c.arrived_by is not None]
            spends += [
                Spend(None, c.assumed_by, c.cost)
                for c in self.calls
                if c.assumed_by is not None and c.arrived_by is None
            ]
            spends += [Spend(None, c.started + SURELY_OVER, c.cost) for c in flying]
            self.gate = Budget(self.limits)
            self.gate.restore(spends, self.now)
            for call in self.calls:
                call.lost = True
        for call in flying:
            call.assumed_by, call.flying, call.lost = call.started + SURELY_OVER, False, True

    def _first_room(self, cost: int) -> int | None:
        """By plain counting: the first instant from now at which every limit has room, if nothing ends."""
        guard = self.gate._guard_ns
        instants = {self.now}
        for call in self.calls:
            bound = call.arrived_by if call.arrived_by is not None else call.assumed_by
            if bound is not None:
                instants |= {
                    bound,
                    *(bound + w.window_ns + guard for w in self.limits if isinstance(w, RateLimit)),
                }
        ahead = sorted(at for at in instants if at >= self.now)
        # What is counted only falls with time, so the first instant with room is found by halving.
        first = bisect_left(ahead, True, key=lambda at: self._has_room(at, cost, guard))
        return ahead[first] if 0 < first < len(ahead) else None

    def _has_room(self, at: int, cost: int, guard: int) -> bool:
        return all(self._count(w, at, guard) + self._needs(w, cost) <= w.limit for w in self.limits)

    @staticmethod
    def _needs(limit: Limit, cost: int) -> int:
        return cost if isinstance(limit, RateLimit) else 1

    def _count(self, limit: Limit, at: int, guard: int) -> int:
        total = 0
        for call in self.calls:
            if isinstance(limit, ConcurrencyLimit):
                total += call.flying or (
                    call.arrived_by is None and call.assumed_by is not None and call.assumed_by > at
                )
            else:
                bound = call.arrived_by if call.arrived_by is not None else call.assumed_by
                total += call.cost * (call.flying or (bound is not None and bound + limit.window_ns + guard > at))
        return total


def judge(calls: list[Call], in_force: list[tuple[Limit, ...]]) -> list[str]:
    """What the system experienced, against each set of limits while it was in force; an empty list is good.

    A window counts for an epoch if it holds a call admitted in it; calls of later epochs are left out.
    """
    found = []
    for epoch, limits in enumerate(in_force):
        seen = [c for c in calls if c.epoch <= epoch and c.arrived is not None]
        for limit in limits:
            worst = _worst_window(seen, limit, epoch) if isinstance(limit, RateLimit) else _most_at_once(seen, epoch)
            if worst > limit.limit:
                found.append(f"{limit.name}: {worst} of {limit.limit} in epoch {epoch}")
    return found


def _worst_window(calls: list[Call], limit: RateLimit, epoch: int) -> int:
    calls = sorted(calls, key=lambda c: c.arrived or 0)
    worst = left = units = current = 0
    for call in calls:
        units += call.cost
        current += call.epoch == epoch
        while (call.arrived or 0) - (calls[left].arrived or 0) > limit.window_ns:
            units -= calls[left].cost
            current -= calls[left].epoch == epoch
            left += 1
        if current:
            worst = max(worst, units)
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
