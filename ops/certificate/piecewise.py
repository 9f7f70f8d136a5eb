"""Rates whose limit changed in mid-run, judged by the rule that a change has for a gate.

A new limit is in force for every call that arrives from its instant on, and such a call counts what arrived before it.
So a window is held to the limit that was in force at its last call: a window that holds a call made after the change
keeps the new limit, calls from before the change included; a window without one keeps the old.

Every window ends at some call once its right edge is slid to its last call, and sliding loses none. So the windows
(t - W, t] over all arrivals t hold the worst case, each with one limit.
"""

from bisect import bisect_left
from collections.abc import Sequence

from ops.certificate.limits import LimitTrack
from ops.certificate.spans import Span
from ops.certificate.windows import Worst


def worst_rate_by_last_call(arrivals: Sequence[int], track: LimitTrack, within: Span | None = None) -> Worst:
    """The window with the least room over sorted arrival instants; `within`: whose last call is in that spell. O(n)."""
    worst = Worst(allowed=track.current)
    first, begin, end = 0, 0, len(arrivals)
    if within is not None:
        begin, end = bisect_left(arrivals, within.start_ns), bisect_left(arrivals, within.end_ns)
    for last in range(begin, end):
        last_ns = arrivals[last]
        if last + 1 < len(arrivals) and arrivals[last + 1] == last_ns:
            continue
        while arrivals[first] <= last_ns - track.window_ns:
            first += 1
        worst.meet(last + 1 - first, track.allowed(last_ns, last_ns), last_ns - track.window_ns + 1)
    return worst
