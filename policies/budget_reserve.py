"""How much execution time to set aside for a call whose cost is known only at its end.

The estimate is half as much again as the longest of the last 512 to 1,024 calls of the same operation. Until 8 were
seen it is 30 seconds, or half of the limit if that is less: a first reserve of the whole limit would let one call
through and then none for a window. A call that runs longer than its reserve counts with its time so far
(`budget_tally`).
"""

from collections.abc import Iterable

from policies.limits import ReserveState

FIRST_NS = 30_000_000_000
FIRST_PART = 2
LEARNED_AFTER = 8
EPOCH = 512


class _Longest:
    """The longest call of the running epoch and of the one before."""

    __slots__ = ("before_ns", "longest_ns", "seen")

    def __init__(self, seen: int = 0, longest_ns: int = 0, before_ns: int = 0) -> None:
        self.seen, self.longest_ns, self.before_ns = seen, longest_ns, before_ns


class Reserves:
    """What is to be set aside, by operation. Deterministic."""

    def __init__(self, states: Iterable[ReserveState] = ()) -> None:
        self._known = {s.operation: _Longest(s.seen, s.longest_ns, s.before_ns) for s in states}

    def ended(self, operation: str | None, execution_ns: int) -> None:
        """A call has executed for so long."""
        known = self._known.setdefault(operation, _Longest())
        known.seen += 1
        known.longest_ns = max(known.longest_ns, execution_ns)
        if known.seen % EPOCH == 0:
            known.before_ns, known.longest_ns = known.longest_ns, 0

    def estimate(self, operation: str | None, capacity_ns: int) -> int:
        """Nanoseconds to set aside for the next call, out of a limit of so many."""
        known = self._known.get(operation)
        if known is None or known.seen < LEARNED_AFTER:
            return min(FIRST_NS, max(capacity_ns // FIRST_PART, 1))
        return max(known.longest_ns, known.before_ns) * 3 // 2 + 1

    def snapshot(self) -> tuple[ReserveState, ...]:
        """Everything it has learned."""
        return tuple(ReserveState(op, k.seen, k.longest_ns, k.before_ns) for op, k in self._known.items())
