"""The exact scans: every window and every instant, no sampling and no buckets.

A rate is held against every half-open window [a, a + W). Sliding a window to the right until its left
edge meets an arrival never loses a call, so the windows that start at arrivals hold the worst case.
Concurrency can only rise at an arrival, and an interval is closed: a call that arrives in the very
nanosecond in which another ends meets it.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from msgspec import Struct

from ops.certificate.limits import LimitTrack
from ops.certificate.model import NANOSECONDS_PER_SECOND
from ops.certificate.spans import Span


class Worst(Struct):
    """The worst window of one limit so far. `worst` and `allowed` in calls, or execution nanoseconds."""

    worst: int = 0
    allowed: int | float = 0
    start_ns: int | None = None
    violations: int = 0

    def meet(self, value: int, allowed: int | float, start_ns: int) -> None:
        """Weigh one more window: least room wins, then most use, then the earliest."""
        if value > allowed:
            self.violations += 1
        mine, other = (allowed - value, -value), (self.allowed - self.worst, -self.worst)
        if self.start_ns is None or mine < other:
            self.worst, self.allowed, self.start_ns = value, allowed, start_ns


def worst_rate(arrivals: Sequence[int], track: LimitTrack) -> Worst:
    """The fullest window of `track.window_ns` over sorted arrival instants. O(n)."""
    worst = Worst(allowed=track.current)
    window_ns, constant, count = track.window_ns, track.constant, len(arrivals)
    end = 0
    for start, start_ns in enumerate(arrivals):
        if start and arrivals[start - 1] == start_ns:
            continue
        edge_ns = start_ns + window_ns
        while end < count and arrivals[end] < edge_ns:
            end += 1
        calls = end - start
        if constant is not None and calls <= constant and calls <= worst.worst:
            continue
        worst.meet(calls, track.allowed(start_ns, edge_ns - 1), start_ns)
    return worst


def worst_concurrency(
    arrivals: Sequence[int], ends: Sequence[int], track: LimitTrack, within: Span | None = None
) -> Worst:
    """Most calls at one instant; both sequences sorted, each by itself. `violations` counts instants.

    within: only instants at which a call arrived in that spell.
    """
    worst = Worst(allowed=track.current)
    gone = 0
    for index, arrived_ns in enumerate(arrivals):
        while ends[gone] < arrived_ns:
            gone += 1
        if index + 1 < len(arrivals) and arrivals[index + 1] == arrived_ns:
            continue
        if within is None or within.start_ns <= arrived_ns < within.end_ns:
            worst.meet(index + 1 - gone, track.allowed(arrived_ns, arrived_ns), arrived_ns)
    return worst


def worst_execution(
    arrivals: Sequence[int], ends: Sequence[int], track: LimitTrack, within: Span | None = None
) -> Worst:
    """Most execution time (ns, all calls added) that falls inside one window; calls are cut at its edges.

    The time spent inside [s, s + W) is piecewise linear in s, so its peak is where either edge meets an
    arrival or an end. A limit of L seconds allows L x 1e9 ns. A window is held to the limit that was in force at its
    last call; one whose right edge meets an arrival, to the narrower of those before and after it.

    within: only windows whose last call arrived in that spell.
    """
    busy = _BusyTime(arrivals, ends)
    edges = {edge for instant in busy.instants for edge in (instant, instant - track.window_ns)}
    worst = Worst(allowed=track.current * NANOSECONDS_PER_SECOND)
    for start_ns in sorted(edges):
        edge_ns = start_ns + track.window_ns
        lasts = {
            arrivals[place - 1] for place in (bisect_left(arrivals, edge_ns), bisect_right(arrivals, edge_ns)) if place
        }
        if within is not None:
            lasts = {last_ns for last_ns in lasts if within.start_ns <= last_ns < within.end_ns}
        if not lasts:
            continue
        allowed = min(track.allowed(last_ns, last_ns) for last_ns in lasts) * NANOSECONDS_PER_SECOND
        worst.meet(busy.until(edge_ns) - busy.until(start_ns), allowed, start_ns)
    return worst


class _BusyTime:
    """Execution nanoseconds spent before an instant, over all calls."""

    def __init__(self, arrivals: Sequence[int], ends: Sequence[int]) -> None:
        self.instants = array("q", sorted({*arrivals, *ends}))
        self._total = array("q")
        self._running = array("q")
        total, before = 0, 0
        running = 0
        for instant in self.instants:
            total += running * (instant - before)
            running = bisect_right(arrivals, instant) - bisect_right(ends, instant)
            self._total.append(total)
            self._running.append(running)
            before = instant

    def until(self, instant: int) -> int:
        place = bisect_right(self.instants, instant) - 1
        if place < 0:
            return 0
        return self._total[place] + self._running[place] * (instant - self.instants[place])


def allowed_calls(limit: int | float, window_ns: int, span_ns: int) -> int | float:
    """The most calls in a closed span that break `limit` in no window: bursts at 0, W, 2W..."""
    return limit * (span_ns // window_ns + 1)


def calls_within(arrivals: Sequence[int], start_ns: int, end_ns: int) -> int:
    """Arrivals in the closed span."""
    return bisect_right(arrivals, end_ns) - bisect_left(arrivals, start_ns)
