"""How a batch is divided over queues: the most urgent first, and none of the others left behind for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

LEAST_SHARE = 16
"""A queue with work gets at least one message in sixteen, or one in twice the number of others when they are many."""


class Shares:
    """Remembers what each lower queue is owed, in parts of a message; so small batches are fair in sum."""

    def __init__(self) -> None:
        self._owed: Counter[str] = Counter()

    def divide(self, ready: Sequence[tuple[str, int]], room: int) -> list[int]:
        """How many to take of each queue: `ready` is (name, how many there are), most urgent first."""
        parts = max(LEAST_SHARE, 2 * (len(ready) - 1))
        reserved = self._reserve(ready[1:], room, parts)
        kept = reserved.total()
        given: list[int] = []
        for name, count in ready:
            kept -= reserved[name]
            share = max(min(count, room - kept), 0)
            room -= share
            self._owed[name] = max(self._owed[name] - parts * share, 0)
            given.append(share)
        return given

    def _reserve(self, lower: Sequence[tuple[str, int]], room: int, parts: int) -> Counter[str]:
        """Messages kept for the queues that have been left behind longest; at most half of the room in all."""
        spare = max(room // 2, 1)
        reserved: Counter[str] = Counter()
        for name, count in sorted(lower, key=lambda entry: -self._owed[entry[0]]):
            self._owed[name] = min(self._owed[name] + room, parts * room)
            reserved[name] = min(self._owed[name] // parts, count, spare)
            spare -= reserved[name]
        return reserved
