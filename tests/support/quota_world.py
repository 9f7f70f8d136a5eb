"""A system whose limits change behind our back, and an endless backlog before the real gate, in virtual time.

The system counts for itself: exact sliding windows over arrivals (its refusals included, which is the strict way),
calls in progress, and the calls of other software. It shares no code with what is tested.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from policies.budget import Budget, Lease, arrival_bound
from policies.governor import Governor
from policies.limits import Limit
from policies.signals import Dimension, Reading, Refusal, Room

SECOND = 1_000_000_000
WINDOW_SECONDS = 60


@dataclass
class Quota:
    """The system. Times in nanoseconds; others' calls are told by `others_arrive` and `others_busy`."""

    slots: int | None = None
    per_minute: int | None = None
    others_busy: int = 0
    """Slots that other software holds."""
    tells_wait: bool = True
    names_limit: bool = True
    tells_room: bool = False
    busy: int = 0
    arrivals: deque[int] = field(default_factory=deque)

    def arrive(self, now: int) -> Reading | None:
        """None when it takes the call, which then holds a slot until `leave`; else what it says in refusing."""
        self.forget(now)
        full = self.per_minute is not None and len(self.arrivals) >= self.per_minute
        if self.per_minute is not None:
            self.arrivals.append(now)
        if full:
            assert self.per_minute is not None
            wait = (self.arrivals[-self.per_minute - 1] + WINDOW_SECONDS * SECOND - now) / SECOND
            return self._refusal(Dimension.COUNT, max(wait, 0.0))
        if self.slots is not None and self.busy + self.others_busy >= self.slots:
            return self._refusal(Dimension.CONCURRENT, 1.0)
        self.busy += 1
        return None

    def forget(self, now: int) -> None:
        while self.arrivals and self.arrivals[0] <= now - WINDOW_SECONDS * SECOND:
            self.arrivals.popleft()

    def leave(self) -> None:
        """A call is over."""
        self.busy -= 1

    def others_arrive(self, now: int) -> None:
        """A call of other software comes; whether it is taken matters to nobody here."""
        self.forget(now)
        self.arrivals.append(now)

    def room(self) -> Reading:
        """What a good answer says of the quota."""
        if not self.tells_room or self.per_minute is None:
            return Reading()
        left = max(0, self.per_minute - len(self.arrivals))
        return Reading(rooms=(Room(Dimension.COUNT, left, self.per_minute, WINDOW_SECONDS),))

    def _refusal(self, dimension: Dimension, wait: float) -> Reading:
        named = dimension if self.names_limit else Dimension.UNKNOWN
        return Reading(Refusal(named, "it answered 429", wait_seconds=wait if self.tells_wait else None))


@dataclass
class QuotaWorld:
    """Runs the gate against the system from one seed."""

    quota: Quota
    limits: tuple[Limit, ...]
    seed: int = 1
    latency: tuple[float, float] = (0.04, 0.06)
    wire: float = 0.001
    says_duration: bool = True
    reserve_percent: int = 0
    now: int = 0
    sent: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    probes: list[int] = field(default_factory=list)
    peaks: list[tuple[int, int]] = field(default_factory=list)
    plans: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    _events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self.governor = Governor(Budget(self.limits), 0, self.reserve_percent)

    def at(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen then."""
        heapq.heappush(self._events, (int(seconds * SECOND), len(self._events) + len(self.sent), what))

    def run(self, seconds: float) -> None:
        """Go on for so long under an endless backlog."""
        end = self.now + int(seconds * SECOND)
        while True:
            wait = self._fill()
            due = self._events[0][0] if self._events else end
            due = due if wait is None else min(due, max(wait, self.now + 1))
            if due >= end:
                self.now = end
                return
            self.now = max(self.now, due)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()

    def _fill(self) -> int | None:
        while True:
            verdict = self.governor.budget.admit(self.now)
            if not isinstance(verdict, Lease):
                return verdict.until_ns
            self.governor.admitted(verdict, self.now)
            self._send(verdict)

    def _send(self, lease: Lease) -> None:
        self.sent.append(self.now)
        if lease.probe:
            self.probes.append(self.now)
        started = self.now
        self._later(self._wire(), lambda: self._arrive(lease, started))

    def _arrive(self, lease: Lease, started: int) -> None:
        refusal = self.quota.arrive(self.now)
        if refusal is not None:
            self._later(self._wire(), lambda: self._refused(lease, refusal, started))
            return
        self.peaks.append((self.now, self.quota.busy + self.quota.others_busy))
        arrived = self.now
        self._later(self._random.uniform(*self.latency), lambda: self._execute(lease, started, arrived))

    def _execute(self, lease: Lease, started: int, arrived: int) -> None:
        self.quota.leave()
        took = self.now - arrived
        reading = self.quota.room()
        self._later(self._wire(), lambda: self._answered(lease, started, took, reading))

    def _refused(self, lease: Lease, reading: Reading, started: int) -> None:
        self.refused.append(self.now)
        assert reading.refusal is not None
        self.governor.refused(lease, reading, reading.refusal.wait_seconds, "429", self.now)
        self.governor.budget.ended(lease, arrival_bound(started, self.now, 0), fine=False)

    def _answered(self, lease: Lease, started: int, took: int, reading: Reading) -> None:
        bound = arrival_bound(started, self.now, took if self.says_duration else None)
        self.governor.budget.ended(lease, bound)
        self.governor.answered(lease, reading, self.now - started, True, self.now)

    def _wire(self) -> float:
        return self._random.uniform(self.wire / 2, self.wire)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self.at(self.now / SECOND + seconds, what)

    # what was seen -------------------------------------------------------------------------------------------

    def refusals(self, since: float, until: float) -> int:
        """Refused answers in a span of seconds."""
        return sum(since * SECOND <= at < until * SECOND for at in self.refused)

    def calls(self, since: float, until: float) -> int:
        """Calls sent in a span of seconds."""
        return sum(since * SECOND <= at < until * SECOND for at in self.sent)

    def effective(self, name: str) -> int:
        """What the gate keeps of a limit now."""
        return next(limit.limit for limit in self.governor.budget.limits if limit.name == name)
