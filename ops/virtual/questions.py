"""A question put to a forecast in the middle of a simulation, and what came true."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ops.virtual.watch import Watch
from ops.virtual.world import Fate
from policies.budget import Budget
from policies.forecast import Forecast, Interval, forecast


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
    """What was asked when, about which calls (by number, with lane and tenant), and the answer."""

    asked_ns: int
    marked: dict[int, tuple[str, str]]
    told: Forecast

    def outcomes(self, fates: Iterable[Fate]) -> list[Outcome]:
        """What came true, for everything, each lane and each tenant; after the simulation is over."""
        ends = {fate.seq: fate.ended_ns for fate in fates if fate.seq in self.marked}
        truths: dict[tuple[str, str], float] = {}
        for seq, (lane, tenant) in self.marked.items():
            seconds = ((ends[seq] or 0) - self.asked_ns) / 1e9
            for key in (("total", ""), ("lane", lane), ("tenant", tenant)):
                truths[key] = max(truths.get(key, 0.0), seconds)
        told = {("total", ""): self.told.total}
        told |= {("lane", lane): found for lane, found in self.told.lanes.items()}
        told |= {("tenant", tenant): found for tenant, found in self.told.tenants.items()}
        return [Outcome(*key, told[key], truth) for key, truth in truths.items()]


def ask(watch: Watch, budget: Budget, now_ns: int) -> Question:
    """Put the question now."""
    return Question(now_ns, dict(watch.waiting), forecast(watch.situation(now_ns), budget, now_ns))
