"""When will the backlog be gone, what if, and what came true: the live side of `policies/forecast.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import inf

import msgspec

from actors.doors.desk import Busy
from actors.house import House
from actors.runtime.clock import microseconds
from broker.store.reads import Control, Ends
from contracts.errors import ContractError
from policies.budget import Budget
from policies.forecast import Interval, Pause, Situation, forecast
from policies.lanes import LANES
from policies.what_if import Places, apply, parse, scope

TENANTS_MAX = 10_000
_FAR = 1e9
"""Seconds beyond which a date says nothing."""


class Span(msgspec.Struct, frozen=True):
    """Time to drain of what waits: seconds from `at`, and the moments. In four cases of five the truth is within
    low and high. null: not before a person acts, or never, because more comes in than goes out."""

    waiting: int
    low_seconds: float | None
    likely_seconds: float | None
    high_seconds: float | None
    low_at: str | None
    likely_at: str | None
    high_at: str | None


class Basis(msgspec.Struct, frozen=True):
    """What the forecast was made from: the last minutes, and the orders that stop calls."""

    call_seconds: float
    calls_known: int
    failure_share: float
    arrivals_per_second: float
    arrivals_for_seconds: float
    limits: list[str]
    orders: list[str]


class ForecastView(msgspec.Struct, frozen=True):
    """The answer. `at_us` (microseconds since the epoch) is what to ask for when comparing with what came true.

    tenants: those with the most waiting, at most as many as were asked for, of `tenants_total`.
    """

    at: str
    at_us: int
    what_if: str | None
    calls_per_second: float | None
    total: Span
    lanes: dict[str, Span]
    tenants: dict[str, Span]
    tenants_total: int
    basis: Basis


class Truth(msgspec.Struct, frozen=True):
    """What became of the calls that were open at a moment. seconds: until the last one ended; null while `open`."""

    calls: int
    open: int
    seconds: float | None


class TruthView(msgspec.Struct, frozen=True):
    """What came true of a forecast made at `since_us`."""

    since_us: int
    total: Truth
    lanes: dict[str, Truth]
    tenants: dict[str, Truth]


class Forecasts:
    """Answers from counts and from the running gate; nothing is changed."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._places = Places(house.system, house.caller_domain)

    def ask(self, what_if: str | None, tenants: int) -> ForecastView:
        """Time to drain, as things stand or with clauses. `tenants`: how many to tell apart.

        Raises:
            ContractError: query.value for clauses that cannot be read.
            Busy: the caller is being restarted.
        """
        house = self._house
        if house.poster is None:
            raise Busy("door.busy", 2, "The ERP poster is being restarted; nothing can be said of it.")
        now, now_ns = house.clock.now(), house.clock.boot_ns()
        try:
            wanted = parse(what_if or "", now, self._places)
            situation, budget = apply(wanted, self._situation(now, now_ns), house.poster.gate.budget, now_ns)
        except ValueError as problem:
            raise ContractError("query.value", str(problem), parameter="if") from None
        told = forecast(situation, budget, now_ns)
        most = sorted(told.tenants, key=lambda tenant: (-told.tenants[tenant].waiting, tenant))[:tenants]
        return ForecastView(
            at=_iso(now),
            at_us=microseconds(now),
            what_if=what_if or None,
            calls_per_second=None if told.calls_per_second is None else round(told.calls_per_second, 3),
            total=_span(told.total, now),
            lanes={lane: _span(told.lanes[lane], now) for lane in LANES if lane in told.lanes},
            tenants={tenant: _span(told.tenants[tenant], now) for tenant in most},
            tenants_total=len(told.tenants),
            basis=self._basis(situation, budget),
        )

    async def truth(self, since_us: int) -> TruthView:
        """What became of the calls that were open at a moment.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        rows = await self._house.store.reads.ends_since(self._house.system, since_us)
        lanes = {lane: _truth([row for row in rows if row.lane == lane], since_us) for lane in LANES}
        tenants = sorted({row.tenant for row in rows})
        return TruthView(
            since_us,
            _truth(rows, since_us),
            {lane: truth for lane, truth in lanes.items() if truth.calls},
            {tenant: _truth([row for row in rows if row.tenant == tenant], since_us) for tenant in tenants},
        )

    def _situation(self, now: datetime, now_ns: int) -> Situation:
        house = self._house
        gate = house.poster.gate if house.poster else None
        waiting: Counter[tuple[str, str]] = Counter()
        for (system, lane, tenant, _), count in house.store.counters.flows.items():
            if system == house.system:
                waiting[lane, tenant] += count
        return Situation(
            waiting=waiting,
            recent=house.onlooker.recent(),
            weights={name: float(share.weight) for name, share in gate.order.tenants.items()} if gate else {},
            pauses=tuple(self._pauses(microseconds(now), now_ns)),
        )

    def _pauses(self, now_us: int, now_ns: int) -> Iterable[Pause]:
        """What stops calls: orders, and a gate that gives the ERP a rest."""
        for order in self._orders():
            lane, tenant = scope(order.target, self._places) or (None, None)
            yield Pause(inf if order.until is None else (order.until - now_us) / 1e6, lane, tenant)
        closed = self._house.poster.closed if self._house.poster else None
        if closed is not None and closed.what == "breaker" and closed.until_ns is not None:
            yield Pause(max(closed.until_ns - now_ns, 0) / 1e9)

    def _orders(self) -> list[Control]:
        orders = self._house.controls.in_force()
        return [order for order in orders if order.verb in ("pause", "hold") and scope(order.target, self._places)]

    def _basis(self, situation: Situation, budget: Budget) -> Basis:
        recent = situation.recent
        return Basis(
            call_seconds=round(recent.service_seconds, 4),
            calls_known=round(recent.calls),
            failure_share=round(recent.failure_share, 4),
            arrivals_per_second=round(sum(recent.arrivals.values()), 3),
            arrivals_for_seconds=round(recent.wave_seconds),
            limits=[limit.name if "/" in limit.name else f"{limit.limit} {limit.name}" for limit in budget.limits],
            orders=[f"{order.verb} {order.target}" for order in self._orders()],
        )


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _span(told: Interval, now: datetime) -> Span:
    seconds = (told.low, told.likely, told.high)
    moments = (None if one is None or one > _FAR else _iso(now + timedelta(seconds=one)) for one in seconds)
    return Span(told.waiting, *seconds, *moments)


def _truth(rows: Sequence[Ends], since_us: int) -> Truth:
    still = sum(row.open for row in rows)
    ends = [row.last_at for row in rows if row.last_at is not None]
    seconds = (max(ends) - since_us) / 1e6 if ends and not still else None
    return Truth(sum(row.calls for row in rows), still, seconds)
