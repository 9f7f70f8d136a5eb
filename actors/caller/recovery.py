"""Taking over from an earlier life: its calls in flight become unknown, and what it spent is spent."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actors.adapters.port import Adapter
from actors.runtime.clock import Clock, microseconds
from broker.store.reads import Spend as StoredSpend
from broker.store.rows import Call, CallChange, SpendEnd
from broker.store.store import Store
from broker.store.unit import Unit
from policies.limits import Limit, RateLimit, Spend

_HISTORY_SECONDS = 300.0
"""Spends are taken over from twice as far back as this, or as the longest window: limits may be widened live."""


class Left(msgspec.Struct, frozen=True):
    """What an earlier life left behind. The spends are on the clock of this life."""

    unknown: list[Call]
    spends: list[Spend]
    next_spend: int


async def take_over(store: Store, adapter: Adapter, limits: Iterable[Limit], domain: str, clock: Clock) -> Left:
    """Make it durable that calls in flight are unknown now, and give what a new life has to know.

    Raises:
        StoreUnavailable: nothing was changed.
    """
    now, now_ns = microseconds(clock.now()), clock.boot_ns()
    unit = Unit(now)
    unknown = []
    for call in await store.reads.calls_unsettled(adapter.system):
        if call.status == "in_flight":
            reason = "the daemon ended while the call was under way"
            call = msgspec.structs.replace(call, status="unknown", reason=reason, changed_at=now)
            unit.call_changes.append(CallChange(call, "in_flight", domain))
        unknown.append(call)
    windows = [limit.window_ns for limit in limits if isinstance(limit, RateLimit)]
    reach_us = int(max(_HISTORY_SECONDS, max(windows, default=0) / 1e9, adapter.lost_seconds) * 2e6)
    spends = await store.reads.spends(adapter.system, now - reach_us, clock.boot, now_ns - reach_us * 1_000)
    lost_us = int(adapter.lost_seconds * 1e6)
    unit.spend_ends = [
        SpendEnd(spend.seq, now_ns + lost_us * 1_000, now + lost_us) for spend in spends if not spend.arrived_by_ns
    ]
    await store.commit(unit)
    next_spend = await store.reads.last_spend() + 1
    return Left(unknown, _on_this_clock(spends, clock, adapter.lost_seconds), next_spend)


def _on_this_clock(spends: Iterable[StoredSpend], clock: Clock, lost_seconds: float) -> list[Spend]:
    """By the boot clock if it is the same boot, else by the wall's."""
    now_ns, now = clock.boot_ns(), microseconds(clock.now())
    found = []
    for spend in spends:
        if spend.arrived_by_ns is None or spend.arrived_by_at is None:
            bound_ns = now_ns + int(lost_seconds * 1e9)
        elif spend.boot == clock.boot:
            bound_ns = spend.arrived_by_ns
        else:
            bound_ns = now_ns - (now - spend.arrived_by_at) * 1_000
        # a bound in the future belongs to a call that may still be under way at the system
        found.append(Spend(safe_at_ns=bound_ns) if bound_ns > now_ns else Spend(arrived_by_ns=bound_ns))
    return found
