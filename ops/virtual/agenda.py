"""Time for a simulation: a heap of what happens when."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Agenda:
    """Runs actions in the order of their moments; those of one moment in the order in which they were noted."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._count = 0
        self._actions: list[tuple[int, int, Callable[[], None]]] = []

    def at(self, moment_ns: int, action: Callable[[], None]) -> None:
        """Have something done at a moment; at once if that is past."""
        self._count += 1
        heapq.heappush(self._actions, (max(moment_ns, self.now_ns), self._count, action))

    def run(self, until_ns: int) -> bool:
        """Do everything that is due up to a moment; whether something is left for later."""
        while self._actions and self._actions[0][0] <= until_ns:
            self.now_ns, _, action = heapq.heappop(self._actions)
            action()
        return bool(self._actions)
