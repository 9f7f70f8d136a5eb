"""What a command concerns: how many objects, how much money, and what it does to the time when they are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from actors.controls import DOMAINS, queue_subject
from actors.house import House
from broker.store.operators import Filter, OperatorReads
from broker.store.rows import Call
from contracts.money import Money
from policies.budget import Budget
from policies.lanes import LANES
from policies.limits import Limit
from policies.scope import Scope


class Extent(msgspec.Struct, frozen=True):
    """How much waits under a scope: calls, their money by currency (minor units), and all waiting calls."""

    calls: int
    minor: dict[str, int]
    all_calls: int

    @property
    def money(self) -> dict[str, str]:
        """Decimal text by currency."""
        return money_text(self.minor)


def money_text(minor: dict[str, int]) -> dict[str, str]:
    """Sums in minor units as decimal text by currency."""
    return {currency: Money(amount, currency).amount for currency, amount in sorted(minor.items())}


def money_of(calls: Iterable[Call]) -> dict[str, str]:
    """The sum of calls by currency, as decimal text."""
    minor: Counter[str] = Counter()
    for call in calls:
        if call.minor is not None and call.currency is not None:
            minor[call.currency] += call.minor
    return money_text(minor)


def narrowed(scope: Scope, system: str) -> Filter:
    """The part of a scope that the store can look for: everything but the partition."""
    return Filter(system=system, tenant=scope.tenant, lane=scope.lane, operation=scope.operation, status="waiting")


class Effects:
    """Looks at a house through a scope."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._reads = OperatorReads(house.store.reads)

    def waiting(self, scope: Scope) -> int | None:
        """Waiting calls under a scope, if the counters know; None if only the store does."""
        house, system = self._house, self.system_of(scope)
        if not self._names_calls(scope):
            return 0
        if scope.partition is not None or scope.operation is not None:
            return None
        counters, lanes = house.store.counters, LANES if scope.lane is None else (scope.lane,)
        if scope.tenant is not None:
            return sum(counters.tenants[system, scope.tenant, lane] for lane in lanes)
        return sum(counters.waiting(system, lane) for lane in lanes)

    def system_of(self, scope: Scope) -> str:
        """Whose calls a scope is about: the ERP's, unless it names another system."""
        return scope.place if scope.place in self._house.posters else self._house.system

    def all_waiting(self, system: str | None = None) -> int:
        """All calls that wait, of the ERP or of another system."""
        wanted = system or self._house.system
        return sum(self._house.store.counters.waiting(wanted, lane) for lane in LANES)

    def in_flight(self, system: str) -> int:
        """Calls of a system that are under way."""
        poster = self._house.posters.get(system)
        return poster.in_flight() if poster is not None else 0

    def _names_calls(self, scope: Scope) -> bool:
        system = self._house.system
        return scope.place in ("all", system, DOMAINS[system], self.system_of(scope))

    async def extent(self, scope: Scope) -> Extent:
        """Waiting calls under a scope and their money.

        Raises:
            TimeoutError: the store took too long.
        """
        system = self.system_of(scope)
        every = self.all_waiting(system)
        if not self._names_calls(scope):
            return Extent(0, {}, every)
        wanted = narrowed(scope, system)
        sums = await self._reads.sums(wanted)
        mine = [row for row in sums if scope.partition is None or row.partition == scope.partition]
        minor: Counter[str] = Counter()
        for row in mine:
            if row.currency is not None:
                minor[row.currency] += row.minor
        return Extent(sum(row.count for row in mine), dict(minor), every)

    async def queued(self, scope: Scope) -> int:
        """Messages that stand in queues under a scope."""
        if scope.tenant is not None or scope.operation is not None:
            return 0
        return sum(row.ready for row in await self._house.queues() if scope.covers(queue_subject(row.queue)))

    # time ----------------------------------------------------------------------------------------------------

    def eta(
        self,
        ahead: int,
        since: datetime | None = None,
        limits: tuple[Limit, ...] | None = None,
        system: str | None = None,
    ) -> datetime | None:
        """When a call of the ERP (or another system) with so many before it may start, under other limits if told,
        not before `since`."""
        poster, clock = self._house.posters.get(system or self._house.system), self._house.clock
        if poster is None:
            return None
        now_ns = clock.boot_ns()
        budget = poster.gate.budget
        if limits is not None:
            budget = Budget.from_snapshot(budget.snapshot())
            budget.resize(limits, now_ns)
        start = clock.now() + timedelta(seconds=(budget.eta(now_ns, max(ahead, 0)) - now_ns) / 1e9)
        return start if since is None else max(start, since + (start - clock.now()))

    def stopped(self, system: str | None = None) -> bool:
        """Whether an order without an end stops all calls of a system, so that nobody knows when they are made."""
        wanted = system or self._house.system
        order = self._house.controls.first_on([wanted, DOMAINS.get(wanted, wanted)])
        return order is not None and order.until is None


def rfc3339(at: datetime | None) -> str | None:
    """A moment as text."""
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
