"""Plans for long windows: what is spent of a day's or a month's limit, and when it will be dry at this pace.

A limit of an hour and longer is not felt until it is gone. So its spending is kept in buckets, and each time somebody
asks, the window is walked ahead: what leaves it, what waits, and what comes at the pace of late. The answer says at
09:00 that the limit will be dry at 16:00, and from when there is room again.

Lower lanes leave a part of a long limit alone (`keeps`), so that urgent work still goes on the day when bulk work has
spent the rest. Times are nanoseconds of one monotonic clock; one unit is one unit of the limit.
"""

from collections import deque
from collections.abc import Iterable, Mapping

from msgspec import Struct

_SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * _SECOND_NS
BUCKETS = 288
"""Of a window: five minutes each for a day."""
PACE_SHARE = 24
"""The pace of late is that of the last twenty-fourth of the window: an hour of a day."""


class Outlook(Struct, frozen=True):
    """How a long limit will go. `dry_in_ns`: when it is spent while work waits, None if it will not be.

    `free_in_ns`: when there is room again after that. `pace`: units an hour that come of late, `waiting`: units at
    hand, `short`: units that will still wait when it is dry.
    """

    limit: str
    used: int
    allowed: int
    waiting: int
    pace: float
    dry_in_ns: int | None = None
    free_in_ns: int | None = None
    short: int = 0


class SpendBook:
    """What was spent of one long limit, in buckets, for as long as its window."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self.bucket_ns = max(_SECOND_NS, window_ns // BUCKETS)
        self._buckets: deque[tuple[int, int]] = deque()
        self._came: deque[tuple[int, int]] = deque()

    def spent(self, at_ns: int, units: int = 1) -> None:
        """So many units were spent then; in any order of time within a bucket."""
        _add(self._buckets, at_ns // self.bucket_ns, units)

    def came(self, at_ns: int, units: int = 1) -> None:
        """So much new work came then."""
        _add(self._came, at_ns // self.bucket_ns, units)

    def buckets(self, now_ns: int) -> list[tuple[int, int]]:
        """(when it was spent, units), the bucket's end taken for all in it, oldest first; what left is forgotten."""
        _forget(self._buckets, (now_ns - self.window_ns) // self.bucket_ns)
        return [((number + 1) * self.bucket_ns, units) for number, units in self._buckets]

    def leaves(self, units: int, now_ns: int) -> int | None:
        """When so many units have left the window; None if not so many are known."""
        for at_ns, spent in self.buckets(now_ns):
            units -= spent
            if units <= 0:
                return at_ns + self.window_ns
        return None

    def pace(self, now_ns: int) -> float:
        """Units of new work an hour, of late."""
        reach = max(1, BUCKETS // PACE_SHARE)
        first = now_ns // self.bucket_ns - reach
        _forget(self._came, first - 1)
        came = sum(units for _, units in self._came)
        return came * HOUR_NS / max(self.bucket_ns, now_ns - first * self.bucket_ns)


def _add(buckets: deque[tuple[int, int]], number: int, units: int) -> None:
    if buckets and buckets[-1][0] >= number:
        buckets[-1] = (buckets[-1][0], buckets[-1][1] + units)
    else:
        buckets.append((number, units))


def _forget(buckets: deque[tuple[int, int]], last: int) -> None:
    while buckets and buckets[0][0] <= last:
        buckets.popleft()


def outlook(
    name: str,
    allowed: int,
    book: SpendBook,
    waiting: int,
    now_ns: int,
    fastest_per_hour: float | None = None,
    pace_per_hour: float | None = None,
) -> Outlook:
    """Walk the window ahead. `fastest_per_hour`: what the shorter limits let through; None: anything.

    `pace_per_hour`: new work to expect; None: as it came of late. Steps of one bucket, so times are true to a bucket.
    """
    pace = book.pace(now_ns) if pace_per_hour is None else pace_per_hour
    spends = deque(book.buckets(now_ns))
    used = sum(units for _, units in spends)
    found = Outlook(name, used, allowed, waiting, pace)
    left, backlog, dry = float(used), float(waiting), None
    for step in range(1, BUCKETS + 1):
        at_ns = now_ns + step * book.bucket_ns
        while spends and spends[0][0] + book.window_ns <= at_ns:
            left -= spends.popleft()[1]
        backlog += pace * book.bucket_ns / HOUR_NS
        most = backlog if fastest_per_hour is None else min(backlog, fastest_per_hour * book.bucket_ns / HOUR_NS)
        goes = max(0.0, min(most, allowed - left))
        left, backlog = left + goes, backlog - goes
        if dry is None and left >= allowed and backlog >= 1:
            dry = at_ns
            found = _dry(found, dry - now_ns, int(backlog), _free(spends, book, dry, now_ns))
    return found


def _dry(found: Outlook, in_ns: int, short: int, free_ns: int) -> Outlook:
    return Outlook(found.limit, found.used, found.allowed, found.waiting, found.pace, in_ns, free_ns, short)


def _free(spends: Iterable[tuple[int, int]], book: SpendBook, dry_ns: int, now_ns: int) -> int:
    """When the first of what is spent leaves the window; what is spent between now and then leaves a window later."""
    first = next((at + book.window_ns for at, _ in spends), now_ns + book.bucket_ns + book.window_ns)
    return max(first, dry_ns) - now_ns


def keeps_for(lane: str, allowed: int, keep_percent: Mapping[str, int]) -> int:
    """Units of a long limit that this lane leaves to the lanes above it."""
    return min(-(-allowed * keep_percent.get(lane, 0) // 100), max(allowed - 1, 0))


def may_spend(lane: str, used: int, allowed: int, keep_percent: Mapping[str, int], units: int = 1) -> bool:
    """Whether the lane may take `units` more without touching what is kept for the lanes above it."""
    return used + units <= allowed - keeps_for(lane, allowed, keep_percent)
