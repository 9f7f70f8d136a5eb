"""Calls of unknown outcome at a system that cannot be asked about them.

They are sent again only where the system recognises them, once it cannot do the first send any more and while it still
knows it; else they are a person's. Nothing here asks the system, so nothing waits for the gate.
"""

from __future__ import annotations

from actors.adapters.port import Adapter
from actors.caller.gate import Admission, Closed, Gate
from actors.caller.results import Results
from actors.caller.steps import in_doubt, too_late, without_look_up
from actors.caller.worklist import Worklist
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.store.rows import Call, CallChange
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Unit


class Unasked:
    """What one caller has to decide about without asking. Kept in memory only: the store has them as unknown."""

    def __init__(self, store: Store, adapter: Adapter, results: Results, domain: str) -> None:
        self._store, self._adapter, self._results, self._domain = store, adapter, results, domain
        self._calls: list[Call] = []

    def add(self, call: Call, due_ns: int) -> None:
        """Its outcome is not known. As `LookUps.add`; there is nothing to wait for, so `due_ns` does not matter."""
        self._calls.append(call)

    def admit(self, gate: Gate, worklist: Worklist, now_ns: int, now: int) -> Admission | Closed:
        """The next call that may be sent. What may not be sent again any more leaves the line, to be decided about.

        `now_ns` is of the boot clock, `now` in microseconds since the epoch.
        """
        while True:
            admission = gate.admit(worklist, now_ns)
            if isinstance(admission, Closed) or not too_late(admission.call, self._adapter, now):
                return admission
            gate.unsent(admission, now_ns, unreachable=False)
            worklist.give_back(admission.call)
            worklist.drop(admission.call)
            self._calls.append(admission.call)

    async def settle(self, context: Context) -> bool:
        """Decide about each; whether all is decided that was to be. While the store is away it is kept for later."""
        if not self._calls:
            return False
        try:
            while self._calls:
                await self._decide(self._calls[0], context)
                del self._calls[0]
        except StoreUnavailable as problem:
            context.notice(f"what cannot be asked about waits to be decided: {problem}")
            self._calls = [call for call in self._calls if call.status == "unknown"]  # the others come up again
            return False
        return True

    async def _decide(self, call: Call, context: Context) -> None:
        now = microseconds(context.clock.now())
        if call.status == "waiting":
            call = in_doubt(call, now)
            await self._store.commit(Unit(now, call_changes=[CallChange(call, "waiting", self._domain)]))
            self._calls[0] = call
        step = without_look_up(call, self._adapter, now, context.entropy.random())
        await self._store.commit(self._results.unit("unknown", step, None, now))
