"""When will the backlog be gone, what if, and what came true: the live side of `policies/forecast.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import inf

import msgspec

from actors import gate_view
from actors.controls import STOPS
from actors.doors.desk import Busy
from actors.house import House
from actors.runtime.clock import microseconds
from broker.store.reads import Control, Ends
from contracts.errors import ContractError
from policies.budget import Budget
from policies.calendar import Shut
from policies.forecast import Interval, Pause, Situation, forecast
from policies.lanes import LANES
from policies.what_if import Places, apply, parse, scope

TENANTS_MAX = 10_000
CALENDAR_DAYS = 7
"""So far ahead the calendar is looked at."""
CALENDAR_TOLD = 10
_FAR = 1e9
"""Seconds beyond which a date says nothing."""


class Span(msgspec.Struct, frozen=True):
    """Time to drain of what waits: seconds from `at`, and the moments. In four cases of five the truth is within
    low and high. null: not before a person acts (`held_by` says which orders stand, `sentence` what follows), or never,
    because more comes in than goes out. work_seconds: of work that is left once nothing is held any more."""

    waiting: int
    low_seconds: float | None
    likely_seconds: float | None
    high_seconds: float | None
    low_at: str | None
    likely_at: str | None
    high_at: str | None
    work_seconds: float | None = None
    held_by: list[str] = []
    sentence: str | None = None


class Basis(msgspec.Struct, frozen=True):
    """What the forecast was made from: the last minutes, and what stops calls.

    to_come: messages at hand that are expected to become calls. asked: calls of unknown outcome. outages: how often and
    for how long the daemon was away lately. calendar: closed times within a week. not_counted: orders that stop less
    than a lane of a tenant; nobody knows how many calls wait under them.
    """

    call_seconds: float
    calls_known: int
    failure_share: float
    arrivals_per_second: float
    arrivals_for_seconds: float
    limits: list[str]
    orders: list[str]
    floors_percent: dict[str, int] = {}
    to_come: int = 0
    asked: int = 0
    outages_per_hour: float = 0.0
    outage_seconds: float = 0.0
    calendar: list[str] = []
    plans: list[str] = []
    not_counted: list[str] = []


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
            total=self._span(told.total, now, situation),
            lanes={lane: self._span(told.lanes[lane], now, situation, lane) for lane in LANES if lane in told.lanes},
            tenants={tenant: self._span(told.tenants[tenant], now, situation, None, tenant) for tenant in most},
            tenants_total=len(told.tenants),
            basis=self._basis(situation, budget, now),
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
        asked: dict[tuple[str, str], float] = {}
        for call, due_ns in house.poster.unknown() if house.poster else ():
            key = (call.lane, call.tenant)
            asked[key] = max(asked.get(key, 0.0), (due_ns - now_ns) / 1e9, 0.001)
        return Situation(
            waiting=waiting,
            recent=house.onlooker.recent(),
            floors_percent=house.live.floors(),
            weights={name: float(share.weight) for name, share in gate.order.tenants.items()} if gate else {},
            pauses=tuple(self._pauses(now, now_ns)),
            to_come=house.onlooker.to_come(),
            asked_seconds=asked,
        )

    def _pauses(self, now: datetime, now_ns: int) -> Iterable[Pause]:
        """What stops calls, now or to come: orders, the calendar, and a gate that gives the ERP a rest."""
        now_us = microseconds(now)
        for order in self._orders():
            lane, tenant = scope(order.target, self._places) or (None, None)
            begins = max((order.begins or 0) - now_us, 0) / 1e6
            yield Pause(inf if order.until is None else (order.until - now_us) / 1e6, lane, tenant, begins)
        for shut in self._shut(now):
            begins, ends = ((moment - now).total_seconds() for moment in (shut.begin, shut.end))
            yield Pause(ends, shut.lane, None, max(begins, 0.0), fixed=True)
        closed = self._house.poster.closed if self._house.poster else None
        if closed is not None and closed.what == "breaker" and closed.until_ns is not None:
            yield Pause(max(closed.until_ns - now_ns, 0) / 1e9, fixed=True)

    def _shut(self, now: datetime) -> list[Shut]:
        return self._house.live.calendar().shut(now, now + timedelta(days=CALENDAR_DAYS))

    def _stops(self) -> list[Control]:
        controls = self._house.controls
        return [order for order in (*controls.in_force(STOPS), *controls.to_come()) if order.verb in STOPS]

    def _orders(self) -> list[Control]:
        return [order for order in self._stops() if scope(order.target, self._places)]

    def _span(
        self, told: Interval, now: datetime, situation: Situation, lane: str | None = None, tenant: str | None = None
    ) -> Span:
        """The interval with its moments and, where it has none, with what it waits for. `situation`: of the question,
        so that what the question lifts is not named."""
        low, likely, high = (_at(now, seconds) for seconds in (told.low, told.likely, told.high))
        span = Span(told.waiting, told.low, told.likely, told.high, low, likely, high)
        if told.likely is not None or not told.waiting:
            return span
        endless = [order for order in self._orders() if order.until is None]
        held = [order for order in endless if self._touches(order, situation, lane, tenant)]
        names = [f"{order.verb} {order.target}" for order in held]
        asked = any(pause.seconds == inf for pause in situation.pauses)
        why = _why_never(held, told.work) if held or not asked else "not while it is paused as asked"
        return msgspec.structs.replace(span, work_seconds=told.work, held_by=names, sentence=why)

    def _touches(self, order: Control, situation: Situation, lane: str | None, tenant: str | None) -> bool:
        """Whether an order holds something that waits in this lane or of this tenant (None: any)."""
        of = scope(order.target, self._places) or (None, None)
        stands = any((pause.lane, pause.tenant) == of and pause.seconds == inf for pause in situation.pauses)
        return stands and any(
            count and lane in (None, key[0]) and tenant in (None, key[1]) and Pause(inf, *of).holds(key)
            for key, count in situation.waiting.items()
        )

    def _basis(self, situation: Situation, budget: Budget, now: datetime) -> Basis:
        recent, counted = situation.recent, self._orders()
        outages = recent.outages
        return Basis(
            call_seconds=round(recent.service_seconds, 4),
            calls_known=round(recent.calls),
            failure_share=round(recent.failure_share, 4),
            arrivals_per_second=round(sum(recent.arrivals.values()), 3),
            arrivals_for_seconds=round(recent.wave_seconds),
            limits=[limit.name if "/" in limit.name else f"{limit.limit} {limit.name}" for limit in budget.limits],
            orders=[f"{order.verb} {order.target}" for order in counted],
            floors_percent=dict(situation.floors_percent),
            to_come=situation.to_come,
            asked=len(self._house.poster.unknown()) if self._house.poster else 0,
            outages_per_hour=round(outages.per_second * 3_600, 2),
            outage_seconds=round(outages.mean_seconds, 1),
            calendar=[f"{one.kind} {_iso(one.begin)} to {_iso(one.end)}" for one in self._shut(now)[:CALENDAR_TOLD]],
            plans=[plan["sentence"] for plan in gate_view.plans(self._house)],
            not_counted=[f"{order.verb} {order.target}" for order in self._stops() if order not in counted],
        )


def _why_never(held: Sequence[Control], work_seconds: float | None) -> str:
    """What has to happen first, in a sentence."""
    if not held:
        return "never, as it is: more comes in than goes out"
    done = {"pause": ("paused", "resumed"), "hold": ("on hold", "released")}
    parts = [f"{order.target} is {done[order.verb][0]} by {order.who} ({order.reason})" for order in held]
    left = "" if work_seconds is None else f"; {work_seconds:.0f} s of work after it is {done[held[0].verb][1]}"
    return f"not while {' and '.join(parts)}{left}"


def _at(now: datetime, seconds: float | None) -> str | None:
    return None if seconds is None or seconds > _FAR else _iso(now + timedelta(seconds=seconds))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _truth(rows: Sequence[Ends], since_us: int) -> Truth:
    still = sum(row.open for row in rows)
    ends = [row.last_at for row in rows if row.last_at is not None]
    seconds = (max(ends) - since_us) / 1e6 if ends and not still else None
    return Truth(sum(row.calls for row in rows), still, seconds)
