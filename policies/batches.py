"""Batches: the fewest calls that still meet every deadline, and the way out when one row spoils a batch.

A row may travel from `ready_ns` on and must have been started by `start_by_ns` (its deadline less the time of a
call). A call carries up to `size` rows. The plan is made anew whenever something changes, so it says for each call when
it can start at the soonest, and how long it may wait for more rows without anybody being late.

Why these are the fewest calls, where the budget leaves room. Take the row that has to start first, by t. Some call
carries it at t or before; moved to t that call can carry whatever it carried, because nobody has to start sooner, and
all rows that are ready by t besides. Of these it takes those that have to start first: left over are rows that may go
with any later call that the others could have gone with, and longer. So among the plans with the fewest calls there is
one that begins with this call, and the rest is the same question with fewer rows.

Nothing here is wired to a caller yet: no adapter posts several rows in one call.
"""

import heapq
from collections.abc import Iterable, Sequence

from msgspec import Struct


class Row(Struct, frozen=True):
    """One waiting call. Times are monotonic nanoseconds."""

    id: str
    start_by_ns: int
    ready_ns: int = 0


class Batch(Struct, frozen=True):
    """Rows that travel in one call: it can start at `start_ns`, and may wait until `latest_ns` for more rows.

    `latest_ns` lies before `start_ns` if some of its rows are late.
    """

    rows: tuple[Row, ...]
    start_ns: int
    latest_ns: int


class Pace(Struct, frozen=True):
    """What is left of a budget: at most `calls` may start in any `window_ns`; `spent` are the last starts, sorted."""

    calls: int
    window_ns: int
    spent: tuple[int, ...] = ()


def plan(rows: Iterable[Row], size: int, now_ns: int, pace: Pace | None = None) -> tuple[Batch, ...]:
    """The fewest calls for all rows, in the order in which they start, no row later than it must if that is possible.

    Without `pace`, and whenever all rows are ready, nobody is late who need not be. With both a pace and rows that get
    ready later, the plan with the fewest calls is weighed against the one that sends as soon as it can, and the one
    with fewer late rows is taken. Raises ValueError for a size or a pace below 1.
    """
    if size < 1:
        raise ValueError(f"a batch of {size} rows carries nothing; expected 1 or more")
    if pace is not None and (pace.calls < 1 or pace.window_ns < 1):
        raise ValueError(f"a pace of {pace.calls} calls in {pace.window_ns} ns lets nothing through")
    waiting = sorted(rows, key=lambda row: (row.start_by_ns, row.ready_ns, row.id))
    fewest = _paced(_fewest(waiting, size, now_ns), now_ns, pace)
    if pace is None or not late(fewest):
        return fewest
    soonest = _soonest(waiting, size, now_ns, pace)
    return soonest if len(late(soonest)) < len(late(fewest)) else fewest


def late(batches: Iterable[Batch]) -> tuple[Row, ...]:
    """The rows that start later than they must."""
    return tuple(row for batch in batches for row in batch.rows if batch.start_ns > row.start_by_ns)


def _fewest(waiting: Sequence[Row], size: int, now_ns: int) -> list[list[Row]]:
    """Groups as the proof makes them. `waiting` by `start_by_ns`; what is late already counts as due now."""
    groups: list[list[Row]] = []
    left = list(waiting)
    while left:
        at_ns = max(left[0].start_by_ns, left[0].ready_ns, now_ns)
        taken = [row for row in left if row.ready_ns <= at_ns][:size]
        groups.append(taken)
        ids = {row.id for row in taken}
        left = [row for row in left if row.id not in ids]
    return groups


def _paced(groups: Sequence[Sequence[Row]], now_ns: int, pace: Pace | None) -> tuple[Batch, ...]:
    """When each group starts, as soon as its rows and the pace allow, and until when it may wait."""
    starts = list(pace.spent) if pace else []
    before = len(starts)
    for group in groups:
        starts.append(_next_start(starts, max([now_ns, *(row.ready_ns for row in group)]), pace))
    starts = starts[before:]
    latest = [min(row.start_by_ns for row in group) for group in groups]
    if pace is not None:
        for place in range(len(latest) - 1 - pace.calls, -1, -1):
            latest[place] = min(latest[place], latest[place + pace.calls] - pace.window_ns)
    return tuple(Batch(tuple(g), at, by) for g, at, by in zip(groups, starts, latest, strict=True))


def _next_start(starts: Sequence[int], from_ns: int, pace: Pace | None) -> int:
    """The first instant from `from_ns` on, and not before the last start, at which one more call may start."""
    at_ns = max([from_ns, *starts[-1:]])
    if pace is None or len(starts) < pace.calls:
        return at_ns
    return max(at_ns, starts[-pace.calls] + pace.window_ns + 1)


def _soonest(waiting: Sequence[Row], size: int, now_ns: int, pace: Pace) -> tuple[Batch, ...]:
    """Whenever a call may start it does, with the ready rows that have to start first."""
    coming = sorted(waiting, key=lambda row: row.ready_ns, reverse=True)
    ready: list[tuple[int, str, Row]] = []
    starts, groups = list(pace.spent), []
    while coming or ready:
        at_ns = _next_start(starts, now_ns if ready else max(now_ns, coming[-1].ready_ns), pace)
        while coming and coming[-1].ready_ns <= at_ns:
            row = coming.pop()
            heapq.heappush(ready, (row.start_by_ns, row.id, row))
        groups.append([heapq.heappop(ready)[2] for _ in range(min(size, len(ready)))])
        starts.append(at_ns)
    return _paced(groups, now_ns, pace)


def split(rows: Sequence[Row], bad: str | None = None) -> tuple[tuple[Row, ...], ...]:
    """What to send instead of a batch that was refused as a whole: two halves, or all but the row that was named.

    A batch of one row that was refused is found out: nothing is to be sent. So b bad rows among n cost at most
    1 + 2 b ceil(log2 n) calls, and every good row is accepted exactly once. Raises ValueError if the row that was
    named is not among them.
    """
    if bad is not None:
        rest = tuple(row for row in rows if row.id != bad)
        if len(rest) == len(rows):
            raise ValueError(f"row {bad!r} is not in the batch that was refused: {', '.join(row.id for row in rows)}")
        return (rest,) if rest else ()
    if len(rows) < 2:
        return ()
    middle = len(rows) // 2
    return tuple(rows[:middle]), tuple(rows[middle:])
