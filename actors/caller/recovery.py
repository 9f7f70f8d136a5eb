"""Taking over from an earlier life: its calls in flight become unknown, and what it spent is spent."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actors.adapters.port import Adapter
from actors.caller.spends import recall
from actors.runtime.clock import Clock, microseconds
from broker.store.rows import Call, CallChange
from broker.store.store import Store
from broker.store.unit import Unit
from policies.limits import Limit, Spend


class Left(msgspec.Struct, frozen=True):
    """What an earlier life left behind. The spends are on the clock of this life."""

    unknown: list[Call]
    spends: list[Spend]
    next_spend: int


async def take_over(store: Store, adapter: Adapter, limits: Iterable[Limit], domain: str, clock: Clock) -> Left:
    """Make it durable that calls in flight are unknown now, and give what a new life has to know.

    Raises:
        StoreUnavailable: nothing was changed, but that old spends may be added up already.
    """
    unit = Unit(microseconds(clock.now()))
    unknown = []
    for call in await store.reads.calls_unsettled(adapter.system):
        if call.status == "in_flight":
            reason = "the daemon ended while the call was under way"
            since = call.unanswered_at or unit.at
            call = msgspec.structs.replace(
                call, status="unknown", reason=reason, changed_at=unit.at, unanswered_at=since
            )
            unit.call_changes.append(CallChange(call, "in_flight", domain))
        unknown.append(call)
    past = await recall(store, adapter.system, limits, adapter.lost_seconds, clock)
    unit.spend_ends = past.ends
    await store.commit(unit)
    return Left(unknown, past.spends, await store.reads.last_spend() + 1)
