"""What is spent, in the store: taken over by the next life, and added up as it gets older.

A spend is a row until it is 15 minutes old. Then it goes into a sum of ten seconds, and those into sums of ten minutes
when they are a day old: a sum counts all its calls as having arrived with the last of them, so a window counts them a
little too long and never too short. Sums are forgotten when no window can hold them. A month of any traffic is so a few
thousand rows, and nothing is forgotten that a window still counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from actors.runtime.actor import Context
from actors.runtime.clock import Clock, microseconds
from broker.store.reads import Spend as StoredSpend
from broker.store.rows import SpendEnd, SpendSum
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Unit
from policies.boots import Boot, shifts
from policies.limits import Limit, Spend, window_of

ROWS_NS = 900_000_000_000
"""So long a spend is kept as it is."""
FINE_NS = 10_000_000_000
"""What one sum of the last day spans."""
DAY_NS = 86_400_000_000_000
COARSE_NS = 600_000_000_000
"""What one older sum spans."""
KEPT_NS = 32 * DAY_NS
"""So long everything is kept, whatever the limits: a month may be set live as a window."""
PAGE = 20_000
EVERY = 1_000
EVERY_NS = 300_000_000_000
FOLDED_MAX = 2_000
"""Spends that go into sums in one transaction while the daemon works."""


class Past(msgspec.Struct, frozen=True):
    """What earlier lives spent, on the clock of this one; `ends` are to be written for calls that had none."""

    spends: list[Spend]
    ends: list[SpendEnd]


async def recall(store: Store, system: str, limits: Iterable[Limit], lost_seconds: float, clock: Clock) -> Past:
    """Everything that a window may still count; what is old is added up on the way.

    Raises:
        StoreUnavailable: some of it may be added up already; nothing is lost.
    """
    limits = tuple(limits)
    sums = await store.reads.spend_sums(system)
    rows = await _rows(store, system)
    now_ns, now = clock.boot_ns(), microseconds(clock.now())
    shift = shifts(_boots(sums, rows), Boot(clock.boot, now_ns, now, now_ns, now))
    old = [row for row in rows if _end_ns(row, now_ns, shift) < now_ns - ROWS_NS]
    for start in range(0, len(old), PAGE):
        await store.commit(_folded(old[start : start + PAGE], now, _by_object(limits)))
    kept_ns = max([KEPT_NS, *(2 * (window_of(limit) or 0) for limit in limits)])
    ages = {one.seq: now_ns - one.until_ns - shift[one.boot] for one in sums}
    await _thin(store, sums, ages, kept_ns, now, _by_object(limits))
    lost_ns = int(lost_seconds * 1e9)
    spends = [_of_row(row, shift, now_ns, lost_ns) for row in rows]
    spends += [_of_sum(one, shift) for one in sums if ages[one.seq] <= kept_ns]
    ends = [
        SpendEnd(row.seq, now_ns + lost_ns, now + lost_ns // 1_000, now_ns - row.started_ns - shift[row.boot] + lost_ns)
        for row in rows
        if row.arrived_by_ns is None
    ]
    return Past(spends, ends)


class Folding:
    """Adds up old spends while the daemon works: after so many calls, and every five minutes."""

    def __init__(self, store: Store, system: str) -> None:
        self._store = store
        self._system = system
        self._from = 0
        self._at_ns = 0

    async def step(self, next_spend: int, limits: Iterable[Limit], context: Context) -> None:
        """Add up what is old, if it is time for it. `next_spend` is the id of the next call."""
        now_ns = context.clock.boot_ns()
        if next_spend < self._from and now_ns < self._at_ns:
            return
        self._from, self._at_ns = next_spend + EVERY, now_ns + EVERY_NS
        try:
            await fold(self._store, self._system, limits, context.clock)
        except StoreUnavailable as problem:
            context.notice(f"what was spent is not added up: {problem}")


async def fold(store: Store, system: str, limits: Iterable[Limit], clock: Clock) -> int:
    """Add up spends of this boot that have got old; how many.

    Raises:
        StoreUnavailable: nothing was changed.
    """
    old = await store.reads.old_spends(system, clock.boot, clock.boot_ns() - ROWS_NS, FOLDED_MAX)
    if old:
        await store.commit(_folded(old, microseconds(clock.now()), _by_object(limits)))
    return len(old)


async def _rows(store: Store, system: str) -> list[StoredSpend]:
    """Page by page, so that no read takes long."""
    rows: list[StoredSpend] = []
    while page := await store.reads.spends(system, rows[-1].seq if rows else 0, PAGE):
        rows += page
    return rows


def _by_object(limits: Iterable[Limit]) -> bool:
    """Whether sums have to be kept by object: some limit counts each object for longer than rows are kept."""
    return any(limit.per_object and (window_of(limit) or 0) > ROWS_NS // 2 for limit in limits)


def _boots(sums: Iterable[SpendSum], rows: Iterable[StoredSpend]) -> list[Boot]:
    """The boots that anything is known of, in the order in which they were."""
    known: dict[str, list[tuple[int, int]]] = {}
    seen = [(one.seq, one.boot, one.until_ns, one.until_at) for one in sums]
    for row in rows:
        seen.append((row.seq, row.boot, row.started_ns, row.started_at))
        if row.arrived_by_ns is not None and row.arrived_by_at is not None:
            seen.append((row.seq, row.boot, row.arrived_by_ns, row.arrived_by_at))
    for _, boot, ns, at in sorted(seen):
        known.setdefault(boot, []).append((ns, at))
    return [Boot(boot, *min(instants), *max(instants)) for boot, instants in known.items()]


async def _thin(
    store: Store, sums: list[SpendSum], ages: Mapping[int, int], kept_ns: int, now: int, by_object: bool
) -> None:
    """Put old sums into coarser ones, and drop those that no window can hold."""
    aged = {one for one in sums if DAY_NS < ages[one.seq] <= kept_ns}
    coarse = set(_added(aged, COARSE_NS, by_object))
    gone = {one.seq for one in sums if ages[one.seq] > kept_ns} | {one.seq for one in aged - coarse}
    if gone:
        added = sorted(coarse - aged, key=lambda one: one.seq)
        await store.commit(Unit(now, spend_sums_gone=sorted(gone), spend_sums=added))


def _folded(old: list[StoredSpend], now: int, by_object: bool) -> Unit:
    sums = _added([_as_sum(row) for row in old], FINE_NS, by_object)
    return Unit(now, spends_gone=[row.seq for row in old], spend_sums=sums)


def _added(sums: Iterable[SpendSum], grain_ns: int, by_object: bool) -> list[SpendSum]:
    """One sum for all that stand in the same stretch of time, and are of the same kind."""
    found: dict[tuple[str, str | None, str, int], SpendSum] = {}
    for one in sums:
        object_ = one.object if by_object else None
        key = (one.kind, object_, one.boot, one.until_ns // grain_ns)
        other = found.get(key)
        found[key] = SpendSum(
            max(one.seq, other.seq if other else 0),
            one.system,
            one.kind,
            object_,
            one.boot,
            max(one.until_ns, other.until_ns if other else one.until_ns),
            max(one.until_at, other.until_at if other else one.until_at),
            one.calls + (other.calls if other else 0),
            one.execution_ns + (other.execution_ns if other else 0),
        )
    return list(found.values())


def _executed_ns(row: StoredSpend) -> int:
    """How long it executed at most; a row of an earlier release does not say."""
    if row.execution_ns is not None:
        return row.execution_ns
    return 0 if row.arrived_by_ns is None else max(row.arrived_by_ns - row.started_ns, 0)


def _as_sum(row: StoredSpend) -> SpendSum:
    executed_ns = _executed_ns(row)
    until_ns = (row.arrived_by_ns or 0) + executed_ns
    until_at = (row.arrived_by_at or 0) + executed_ns // 1_000
    return SpendSum(row.seq, row.system, row.kind, row.object, row.boot, until_ns, until_at, 1, executed_ns)


def _end_ns(row: StoredSpend, now_ns: int, shift: Mapping[str, int]) -> int:
    """When it was surely over, on this clock; now, if that is not known."""
    return now_ns if row.arrived_by_ns is None else row.arrived_by_ns + _executed_ns(row) + shift[row.boot]


def _of_row(row: StoredSpend, shift: Mapping[str, int], now_ns: int, lost_ns: int) -> Spend:
    executed_ns = _executed_ns(row)
    if row.arrived_by_ns is None:
        bound_ns = now_ns + lost_ns
        executed_ns = bound_ns - row.started_ns - shift[row.boot]
    else:
        bound_ns = row.arrived_by_ns + shift[row.boot]
    # a bound in the future belongs to a call that may still be under way at the system
    late = bound_ns > now_ns
    return Spend(
        None if late else bound_ns,
        bound_ns if late else None,
        operation=row.kind,
        object=row.object,
        execution_ns=executed_ns,
    )


def _of_sum(one: SpendSum, shift: Mapping[str, int]) -> Spend:
    until_ns = one.until_ns + shift[one.boot]
    return Spend(
        until_ns,
        None,
        one.calls,
        operation=one.kind,
        object=one.object,
        execution_ns=one.execution_ns,
        ended_ns=until_ns,
    )
