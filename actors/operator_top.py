"""What moves just now, for people who watch: lanes, budgets with their run-out, tenants that wait longest, ETA."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from actors import gate_view
from actors.house import House
from actors.operator_effects import Effects, rfc3339
from actors.status import iso
from broker.store.operators import OperatorReads
from policies.budget import Usage
from policies.lanes import LANES

TENANTS_MAX = 20
WINDOWS_MAX = 5
_HEADS = 2_000
"""Ready calls of each lane that are looked at for the tenants that wait longest: those at the head are the oldest."""
_LONG_WINDOW_NS = 3_600_000_000_000


class LaneRow(msgspec.Struct, frozen=True):
    """A lane. `per_second` over the last minute; `eta` is when all that waits in it now may have started."""

    lane: str
    waiting: int
    in_flight: int
    unknown: int
    per_second: float
    oldest_seconds: float | None
    eta: str | None


class BudgetRow(msgspec.Struct, frozen=True):
    """A limit. `run_out` (long windows): when it is dry at the pace of the last minute; `free_at`: when a full one
    has room again."""

    name: str
    used: int
    limit: int
    window_seconds: float | None
    run_out: str | None
    free_at: str | None


class TenantRow(msgspec.Struct, frozen=True):
    """A tenant with the age of its oldest ready call; `weight` is its share against the others."""

    tenant: str
    waiting: int
    oldest_seconds: float
    weight: int


class Top(msgspec.Struct, frozen=True):
    """The picture of a moment."""

    at: str
    ready: bool
    system: str
    closed: str | None
    accepted: int
    lanes: list[LaneRow]
    budgets: list[BudgetRow]
    tenants: list[TenantRow]
    actors: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    exceptions: int
    eta: str | None
    windows: list[dict[str, Any]]
    """Closed times of the calendar, those that are open first, with their end, then the next of each."""
    plans: list[dict[str, Any]]
    """How each limit of an hour and longer will go."""


class TopView:
    """Makes the picture. Reads only."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._effects = Effects(house)
        self._reads = OperatorReads(house.store.reads)

    async def picture(self) -> Top:
        """Now.

        Raises:
            TimeoutError: the store took too long.
        """
        house = self._house
        now = house.clock.now()
        oldest = {lane: await self._reads.oldest(house.system, lane, _HEADS) for lane in LANES}
        return Top(
            at=rfc3339(now) or "",
            ready=await house.is_ready(),
            system=house.system,
            closed=house.poster.closed.reason if house.poster and house.poster.closed else None,
            accepted=house.store.counters.accepted,
            lanes=[self._lane(lane, oldest[lane], house.now()) for lane in LANES],
            budgets=self._budgets(now),
            tenants=self._tenants([row for rows in oldest.values() for row in rows], house.now()),
            actors=house.actors(),
            orders=[
                {
                    "verb": o.verb,
                    "target": o.target,
                    "value": o.value,
                    "who": o.who,
                    "reason": o.reason,
                    "until": iso(o.until),
                }
                for o in house.controls.in_force()
            ],
            exceptions=sum((await house.store.reads.exceptions_open()).values()),
            eta=self._eta(self._effects.all_waiting()),
            windows=gate_view.calendar(house).get("coming", [])[:WINDOWS_MAX],
            plans=gate_view.plans(house),
        )

    def _eta(self, waiting: int) -> str | None:
        """When the last of so many may start; None when nothing waits, or nobody can say."""
        if not waiting or self._effects.stopped():
            return None
        return rfc3339(self._effects.eta(waiting - 1))

    def _lane(self, lane: str, oldest: list[tuple[str, int]], now: int) -> LaneRow:
        house = self._house
        counters = house.store.counters
        before = sum(counters.waiting(house.system, up) for up in LANES[: LANES.index(lane) + 1])
        waiting = counters.waiting(house.system, lane)
        return LaneRow(
            lane=lane,
            waiting=waiting,
            in_flight=counters.calls[house.system, lane, "in_flight"],
            unknown=counters.calls[house.system, lane, "unknown"],
            per_second=round(house.pace.per_second().get(lane, 0.0), 2),
            oldest_seconds=round((now - oldest[0][1]) / 1e6, 1) if oldest else None,
            eta=self._eta(before) if waiting else None,
        )

    def _budgets(self, now: datetime) -> list[BudgetRow]:
        poster, clock = self._house.poster, self._house.clock
        if poster is None:
            return []
        now_ns = clock.boot_ns()
        pace = sum(self._house.pace.per_second().values())
        return [
            BudgetRow(
                name=usage.name,
                used=usage.used,
                limit=usage.limit,
                window_seconds=usage.window_ns / 1e9 if usage.window_ns else None,
                run_out=rfc3339(_run_out(usage, pace, now)),
                free_at=_free_at(usage, now, now_ns),
            )
            for usage in poster.gate.budget.usage(now_ns)
        ]

    def _tenants(self, oldest: list[tuple[str, int]], now: int) -> list[TenantRow]:
        house = self._house
        first: dict[str, int] = {}
        for tenant, at in oldest:
            first[tenant] = min(at, first.get(tenant, at))
        slowest = sorted(first.items(), key=lambda entry: entry[1])[:TENANTS_MAX]
        weights = house.live.weights()
        return [
            TenantRow(
                tenant,
                sum(house.store.counters.tenants[house.system, tenant, lane] for lane in LANES),
                round((now - at) / 1e6, 1),
                weights.get(tenant, 1),
            )
            for tenant, at in slowest
        ]


def _run_out(usage: Usage, per_second: float, now: datetime) -> datetime | None:
    """When a long window is dry at this pace, if nothing leaves it before (the careful side)."""
    if usage.window_ns is None or usage.window_ns < _LONG_WINDOW_NS or per_second <= 0:
        return None
    seconds = (usage.limit - usage.used) / per_second
    return now + timedelta(seconds=seconds) if seconds < usage.window_ns / 1e9 else None


def _free_at(usage: Usage, now: datetime, now_ns: int) -> str | None:
    if usage.used < usage.limit or usage.free_at_ns is None:
        return None
    return rfc3339(now + timedelta(seconds=(usage.free_at_ns - now_ns) / 1e9))
