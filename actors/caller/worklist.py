"""The next calls of each lane, at hand: a small window over a backlog of any length.

Only calls that nothing of their own key holds back are in the window, so whatever is in it may go in any order; the
store decides which those are. A million waiting calls cost no more memory than a thousand.
"""

from __future__ import annotations

from collections.abc import Callable

from broker.store.reads import Reads
from broker.store.rows import Call
from policies.lanes import LANES

WINDOW = 256
"""Calls never sent before that are read ahead, by lane."""
WINDOW_MAX = 4_096
"""And with them at most so many that were."""
_LOW = WINDOW // 4


class Worklist:
    """Ready calls by lane, oldest first. `refresh` reads; the rest is memory."""

    def __init__(self, reads: Reads, system: str) -> None:
        self._reads = reads
        self._system = system
        self._lanes: dict[str, dict[int, Call]] = {lane: {} for lane in LANES}
        self._taken: set[int] = set()
        self._complete: dict[str, bool] = dict.fromkeys(LANES, False)
        self._stale: dict[str, bool] = dict.fromkeys(LANES, True)

    def changed(self, lane: str) -> None:
        """Something of this lane has become ready in the store."""
        self._stale[lane] = True

    async def refresh(self, now: int) -> None:
        """Fill up the lanes that run low and may have more. `now` in microseconds since the epoch."""
        for lane, window in self._lanes.items():
            repeats = sum(call.sent > 0 for call in window.values())
            if len(window) - repeats >= _LOW or len(window) >= WINDOW_MAX:
                continue
            if self._complete[lane] and not self._stale[lane]:
                continue
            self._stale[lane] = False
            wanted = min(WINDOW + repeats, WINDOW_MAX) + len(self._taken)
            found = await self._reads.calls_ready(self._system, lane, wanted, now)
            self._complete[lane] = len(found) < wanted
            for call in found:
                if call.seq not in self._taken:
                    window[call.seq] = call
            self._lanes[lane] = dict(sorted(window.items()))

    def candidates(self, allowed: Callable[[Call], bool]) -> tuple[dict[str, Call], dict[str, Call]]:
        """The oldest allowed call of each lane, and the oldest allowed one that was never sent."""
        heads: dict[str, Call] = {}
        fresh: dict[str, Call] = {}
        for lane, window in self._lanes.items():
            able = (call for call in window.values() if allowed(call))
            if (head := next(able, None)) is not None:
                heads[lane] = head
                first = head if head.sent == 0 else next((call for call in able if call.sent == 0), None)
                if first is not None:
                    fresh[lane] = first
        return heads, fresh

    def take(self, call: Call) -> None:
        """It is about to be made: out of the window until `settled` or `give_back`."""
        del self._lanes[call.lane][call.seq]
        self._taken.add(call.seq)

    def drop(self, call: Call) -> None:
        """It was changed in the store by somebody else: out of the window, to be read anew if it still waits."""
        self._lanes[call.lane].pop(call.seq, None)
        self._stale[call.lane] = True

    def give_back(self, call: Call) -> None:
        """It was not made after all."""
        self._taken.discard(call.seq)
        self._lanes[call.lane] = dict(sorted({**self._lanes[call.lane], call.seq: call}.items()))

    def settled(self, call: Call) -> None:
        """Its outcome is stored; if that is `waiting`, the store will offer it again."""
        self._taken.discard(call.seq)
        self._stale[call.lane] = True

    def waiting(self) -> int:
        """Calls at hand."""
        return sum(len(window) for window in self._lanes.values())
