"""Which calls are looked up before they are sent for the first time, because the system may have them already.

Normally none. After the store was found to be older than it once was, nothing is posted until the system was looked
at (`closed`; `actors/reconcil_look.py` does it). From then on the intents that the system has documents of (strays)
are looked up when their turn comes, however late that is; where it has no listing, every intent is, for a time.
"""

from __future__ import annotations

import msgspec

from actors.caller.gate import Closed
from actors.runtime.clock import Clock, microseconds
from broker.store.ledger import LedgerReads
from broker.store.ledger_rows import StrayEnd
from broker.store.rows import Call
from broker.store.store import Store

WHY = "the store was restored from an older copy, and the document may be there already"


class LookFacts(msgspec.Struct, frozen=True):
    """What a look at a system after a restore has found. `all_until`: until then (microseconds) every first post is
    looked up before, as the system has no listing.
    """

    documents: int = 0
    strays: int = 0
    calls: int = 0
    all_until: int | None = None


class FirstLooks:
    """What one caller has to look up first. `load` reads; the rest is memory."""

    def __init__(self, store: Store, system: str) -> None:
        self._reads = LedgerReads(store.reads, system)
        self._system = system
        self._strays: set[str] = set()
        self._all_until_ns: int | None = None
        self._seen: set[str] = set()
        self.closed: Closed | None = None
        """Why nothing is posted to the system, while it was not looked at."""

    async def load(self, clock: Clock) -> None:
        """Read what is known; at the start, and after each look.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        pending = await self._reads.pending()
        why = f"nothing is posted before the system was looked at: {pending.why}" if pending else ""
        self.closed = Closed(None, "reconciling", why) if pending else None
        self._strays = await self._reads.strays()
        last = await self._reads.last("look")
        until = msgspec.json.decode(last.facts, type=LookFacts).all_until if last else None
        ahead_us = until - microseconds(clock.now()) if until is not None else 0
        self._all_until_ns = clock.boot_ns() + ahead_us * 1_000 if ahead_us > 0 else None

    @property
    def strays(self) -> int:
        """Intents that the system has documents of and that no call of ours explains so far."""
        return len(self._strays)

    def needed(self, call: Call, now_ns: int) -> bool:
        """Whether this waiting call is to be looked up before it is sent."""
        if call.intent_id in self._strays:
            return True
        every_one = self._all_until_ns is not None and now_ns < self._all_until_ns
        return every_one and call.intent_id not in self._seen

    def looked(self, call: Call, now: int) -> list[StrayEnd]:
        """An answer about it has come, and it is as it stands here now; what ends by that."""
        if call.status == "waiting" and self._all_until_ns is not None:
            self._seen.add(call.intent_id)
        elif not call.open:
            self._seen.discard(call.intent_id)
        if call.status not in ("waiting", "done") or call.intent_id not in self._strays:
            return []
        self._strays.discard(call.intent_id)
        return [StrayEnd(self._system, call.intent_id, now)]


def to_look_up(call: Call, now: int) -> Call:
    """The call as it is stored before it is looked up instead of sent."""
    return msgspec.structs.replace(call, status="unknown", ready=0, changed_at=now, reason=WHY)
