"""A question put to a forecast in the middle of a simulation, and what came true."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ops.virtual.watch import Watch
from ops.virtual.world import Fate
from policies.budget import Budget, BudgetState
from policies.forecast import Interval, Situation, forecast


class Outcome(msgspec.Struct, frozen=True):
    """One forecast and its truth, in seconds from when it was asked. what: `total`, `lane` or `tenant`."""

    what: str
    name: str
    interval: Interval
    truth: float

    @property
    def within(self) -> bool:
        """Whether the truth lies in the interval."""
        low, high = self.interval.low, self.interval.high
        return low is not None and low <= self.truth and (high is None or self.truth <= high)


class Question(msgspec.Struct, frozen=True):
    """What is asked when, about which calls (by number, with lane and tenant), and what is known then."""

    asked_ns: int
    marked: dict[int, tuple[str, str]]
    situation: Situation
    budget: BudgetState

    def outcomes(self, fates: Iterable[Fate]) -> list[Outcome]:
        """The answer beside what came true, for everything, each lane and each tenant; when all is over."""
        told = forecast(self.situation, Budget.from_snapshot(self.budget), self.asked_ns)
        ends = {fate.seq: fate.ended_ns for fate in fates if fate.seq in self.marked}
        truths: dict[tuple[str, str], float] = {}
        for seq, (lane, tenant) in self.marked.items():
            seconds = ((ends[seq] or 0) - self.asked_ns) / 1e9
            for key in (("total", ""), ("lane", lane), ("tenant", tenant)):
                truths[key] = max(truths.get(key, 0.0), seconds)
        intervals = {("total", ""): told.total}
        intervals |= {("lane", lane): found for lane, found in told.lanes.items()}
        intervals |= {("tenant", tenant): found for tenant, found in told.tenants.items()}
        return [Outcome(*key, intervals[key], truth) for key, truth in truths.items()]


def ask(watch: Watch, budget: Budget, now_ns: int) -> Question:
    """Put the question now; it is answered from what is known now, whenever that is done."""
    return Question(now_ns, dict(watch.waiting), watch.situation(now_ns), budget.snapshot())
