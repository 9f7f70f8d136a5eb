"""Looks on as calls come and go, for those who ask how it goes on: the pace of the last minutes."""

from __future__ import annotations

from actors.runtime.clock import Clock
from broker.store.store import Store
from broker.store.unit import Committed, Unit
from policies.pace import Pace, Recent


class Onlooker:
    """Follows what is committed. Its memory is short on purpose; a restart costs it a few minutes."""

    def __init__(self, store: Store, system: str, clock: Clock) -> None:
        self._system = system
        self._clock = clock
        self._pace = Pace(clock.boot_ns())
        self._started_ns: dict[int, int] = {}
        store.watch(self._follow)

    def recent(self) -> Recent:
        """The last minutes."""
        return self._pace.recent(self._clock.boot_ns())

    def _follow(self, unit: Unit, committed: Committed) -> None:
        now_ns = self._clock.boot_ns()
        known = {*committed.calls_known, *committed.calls_conflicting}
        for row in unit.calls:
            if row.system == self._system and row.intent_id not in known:
                self._pace.arrived(row.lane, row.tenant, now_ns)
        for change in unit.call_changes:
            call = change.call
            if call.system != self._system:
                continue
            if call.status == "in_flight":
                self._started_ns[call.seq] = now_ns
                self._pace.started(now_ns)
            elif (started_ns := self._started_ns.pop(call.seq, None)) is not None:
                self._pace.ended(started_ns, now_ns, not call.open)
