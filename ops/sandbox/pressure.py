"""What the ERP really allows, where that is not what it published: limits changed behind everybody's back, others' use.

The published limits go on standing in the log's header and in `GET /limits`, unless the change is one that is told.
"""

from bisect import bisect_right

from ops.sandbox.limits import SECOND_NS, Concurrent, Limit, Rate

_KEPT = 200_000
"""Arrivals that are remembered; enough for any window that a test runs through."""


class Squeezed:
    """Why a call finds no room: the limit, and after how many nanoseconds it may."""

    def __init__(self, limit: Limit, wait_ns: int) -> None:
        self.limit = limit
        self.wait_ns = wait_ns


class Pressure:
    """Counts every arrival by itself, refused ones too. Times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._arrivals: list[int] = []

    def arrived(self, now_ns: int) -> None:
        """A call came, whatever becomes of it."""
        self._arrivals.append(now_ns)
        if len(self._arrivals) > 2 * _KEPT:
            del self._arrivals[:_KEPT]

    def judge(
        self, limits: tuple[Limit, ...], others_busy: int, others_per_minute: float, busy: int, now_ns: int
    ) -> Squeezed | None:
        """Whether there is room for one more call before it is counted; `busy` calls of ours are in progress."""
        for limit in filter(_is_of_all, limits):
            if isinstance(limit, Concurrent) and busy + others_busy >= limit.limit:
                return Squeezed(limit, SECOND_NS)
            if isinstance(limit, Rate):
                first, used = self._used(limit, others_per_minute, now_ns)
                if used >= limit.limit:
                    place = min(first + used - limit.limit, len(self._arrivals) - 1)
                    leaves = self._arrivals[place] if place >= 0 else now_ns
                    return Squeezed(limit, max(1, leaves + limit.seconds * SECOND_NS - now_ns))
        return None

    def room(self, limit: Rate, others_per_minute: float, now_ns: int) -> int:
        """What is left of a limit in its window up to now."""
        return max(0, limit.limit - self._used(limit, others_per_minute, now_ns)[1])

    def _used(self, limit: Rate, others_per_minute: float, now_ns: int) -> tuple[int, int]:
        first = bisect_right(self._arrivals, now_ns - limit.seconds * SECOND_NS)
        return first, len(self._arrivals) - first + int(others_per_minute * limit.seconds / 60)


def _is_of_all(limit: Limit) -> bool:
    """Whether it counts every call: only such limits are squeezed."""
    return getattr(limit, "op", None) is None and getattr(limit, "per", None) is None
