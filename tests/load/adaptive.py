"""How the gate takes a limit that is changed silently: refusals until it is learned, refusals later, use. Virtual time.

`lines()` is for `make bench-gate`: one row a case and whether each bound holds; it takes some seconds of real time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from policies.limits import ConcurrencyLimit, Limit, RateLimit
from tests.load.run import Row, show
from tests.support.quota_world import SECOND, Quota, QuotaWorld

REFUSALS_MAX = 10
SHARE_MAX = 0.001
DROP, LEARNED, END = 130.0, 310.0, 3_910.0
"""Seconds: when the limit drops, when it must be learned, and the end of the hour that is counted."""


@dataclass(frozen=True)
class Case:
    """One silent change, told to the gate only by its refusals."""

    name: str
    quota: Quota
    limits: tuple[Limit, ...]
    slots: int | None = None
    per_minute: int | None = None
    latency: tuple[float, float] = (0.04, 0.06)


@dataclass(frozen=True)
class Result:
    """What came of a case. `use`: calls of the last hour, of those that the lowered limit allows."""

    case: str
    refusals: int
    later: int
    calls: int
    use: float

    @property
    def holds(self) -> bool:
        """Whether both bounds hold; a single refusal is no share."""
        return self.refusals <= REFUSALS_MAX and self.later <= max(1, SHARE_MAX * self.calls)


SLOTS = (ConcurrencyLimit(15),)
MINUTE = (RateLimit(600, 60 * SECOND, "600/min"), ConcurrencyLimit(5))
NETSUITE = Case("15 -> 5 slots", Quota(slots=15), SLOTS, slots=5, latency=(0.3, 0.7))
RATE = Case("600 -> 300/min", Quota(per_minute=600), MINUTE, per_minute=300)


def cases() -> list[Case]:
    """Each change with an ERP that says how long to wait, with one that does not, and with one that names no limit."""
    found = []
    for case in (NETSUITE, RATE):
        for name, tells, names in (
            ("", True, True),
            (", no Retry-After", False, True),
            (", nothing said", False, False),
        ):
            quota = replace(case.quota, tells_wait=tells, names_limit=names, arrivals=type(case.quota.arrivals)())
            found.append(replace(case, name=case.name + name, quota=quota))
    return found


def measure(case: Case) -> Result:
    """Run one case in virtual time."""
    world = QuotaWorld(case.quota, case.limits, latency=case.latency)

    def drop() -> None:
        world.quota.slots = case.slots
        world.quota.per_minute = case.per_minute

    world.at(DROP, drop)
    world.run(END)
    calls = world.calls(LEARNED, END)
    seconds = END - LEARNED
    mean = sum(case.latency) / 2 + 1.5 * world.wire
    allowed = case.slots * seconds / mean if case.slots else (case.per_minute or 0) * seconds / 60
    refused = world.refusals(DROP, LEARNED)
    return Result(case.name, refused, world.refusals(LEARNED, END), calls, calls / allowed)


def lines() -> list[Result]:
    """All cases, for the gate's bench."""
    return [measure(case) for case in cases()]


def run(directory: Path) -> str:
    """The table for the page of benchmarks; `directory` is not used."""
    rows: list[Row] = [
        (
            one.case,
            str(one.refusals),
            f"{one.later} of {one.calls} ({100 * one.later / one.calls:.3f} %)",
            f"{100 * one.use:.1f} %",
            "yes" if one.holds else "NO",
        )
        for one in lines()
    ]
    columns = ["changed silently", "refusals until learned", "in the hour after", "use", "holds"]
    return show(f"Learning a limit (at most {REFUSALS_MAX} refusals, then at most 0.1 %)", columns, rows)
