"""Looks on as calls come and go, for those who ask how it goes on: the pace of the last minutes, kept over restarts."""

from __future__ import annotations

import msgspec
from loguru import logger

from actors.runtime.clock import Clock, microseconds
from broker.store.rows import StateRow
from broker.store.store import Store
from broker.store.unit import Committed, Unit
from policies.lanes import LANES
from policies.pace import Pace, PaceState, Recent

DOMAIN = "onlooker"
KEEP_SECONDS = 5.0
_HELD = ("waiting", "in_flight", "unknown")


class Kept(msgspec.Struct, frozen=True):
    """What is stored. at: microseconds since the epoch."""

    at: int
    pace: PaceState


class Onlooker:
    """Follows what is committed. Its memory is short on purpose."""

    def __init__(self, store: Store, system: str, clock: Clock) -> None:
        self._store = store
        self._system = system
        self._clock = clock
        self._pace = Pace(clock.boot_ns())
        self._started_ns: dict[int, int] = {}
        self._calls = self._handled = self._kept_ns = 0
        self._moved = False
        store.watch(self._follow)

    def recent(self) -> Recent:
        """The last minutes."""
        return self._pace.recent(self._clock.boot_ns())

    def to_come(self) -> int:
        """How many calls the accepted messages that nobody has handled will make, as far as those before them tell."""
        share = self._calls / self._handled if self._handled else 1.0
        return round(max(self._store.counters.queued, 0) * share)

    # over a restart ------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Store what is known, if anything moved and the last time is some seconds ago.

        Raises:
            StoreUnavailable: it is not kept; nothing else depends on it.
        """
        now_ns = self._clock.boot_ns()
        if not (self._moved or self._works()) or now_ns - self._kept_ns < KEEP_SECONDS * 1e9:
            return
        self._kept_ns, self._moved = now_ns, False
        at = microseconds(self._clock.now())
        body = msgspec.json.encode(Kept(at, self._pace.snapshot(now_ns)))
        await self._store.commit(Unit(at, states=[StateRow(DOMAIN, self._system, 1, body, at)]))

    async def recall(self) -> None:
        """Go on with what an earlier process knew; time without us counts as lost if there was work."""
        found = await self._store.reads.states(DOMAIN, [self._system])
        if self._system not in found:
            return
        try:
            kept = msgspec.json.decode(found[self._system][1], type=Kept)
        except msgspec.DecodeError as error:
            logger.warning("the pace of the last minutes is not readable, and is learned anew: {}", error)
            return
        last = max(kept.at, await self._last_call_at())
        away_seconds = max(microseconds(self._clock.now()) - last, 0) / 1e6
        self._pace.restore(kept.pace, away_seconds, self._clock.boot_ns(), self._works())

    async def _last_call_at(self) -> int:
        reads = self._store.reads
        last = await reads.spends(self._system, await reads.last_spend() - 1, 1)
        return last[0].started_at if last else 0

    def _works(self) -> bool:
        """Whether there is anything to do."""
        counters = self._store.counters
        return any(counters.calls[self._system, lane, status] for lane in LANES for status in _HELD)

    # following -----------------------------------------------------------------------------------------------

    def _follow(self, unit: Unit, committed: Committed) -> None:
        now_ns = self._clock.boot_ns()
        known = {*committed.calls_known, *committed.calls_conflicting}
        self._handled += len(unit.handled)
        for row in unit.calls:
            if row.system == self._system and row.intent_id not in known:
                self._calls += 1
                self._moved = True
                self._pace.arrived(row.lane, row.tenant, now_ns)
        for change in unit.call_changes:
            call = change.call
            if call.system != self._system:
                continue
            self._moved = True
            if call.status == "in_flight":
                self._started_ns[call.seq] = now_ns
                self._pace.started(now_ns)
            elif (started_ns := self._started_ns.pop(call.seq, None)) is not None:
                self._pace.ended(started_ns, now_ns, not call.open)
