"""Stretches of time, and instants to count."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from msgspec import Struct


class Span(Struct, frozen=True, gc=False):
    """Half-open, in nanoseconds."""

    start_ns: int
    end_ns: int


def union(spans: Iterable[Span]) -> list[Span]:
    """Sorted, apart: spans that overlap or touch become one; empty ones go."""
    joined: list[Span] = []
    for span in sorted((one for one in spans if one.end_ns > one.start_ns), key=lambda one: one.start_ns):
        if joined and span.start_ns <= joined[-1].end_ns:
            joined[-1] = Span(joined[-1].start_ns, max(joined[-1].end_ns, span.end_ns))
        else:
            joined.append(span)
    return joined


def without(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """What is left of `spans` after `taken`; both as `union` gives them."""
    left: list[Span] = []
    place = 0
    for span in spans:
        start_ns = span.start_ns
        while place < len(taken) and taken[place].end_ns <= start_ns:
            place += 1
        here = place
        while here < len(taken) and taken[here].start_ns < span.end_ns:
            if taken[here].start_ns > start_ns:
                left.append(Span(start_ns, taken[here].start_ns))
            start_ns = max(start_ns, taken[here].end_ns)
            here += 1
        if start_ns < span.end_ns:
            left.append(Span(start_ns, span.end_ns))
    return left


class Counter:
    """How many of a set of instants lie where; O(log n) a question."""

    def __init__(self, instants: Iterable[int]) -> None:
        self.instants = array("q", sorted(instants))

    def until(self, instant_ns: int) -> int:
        """At or before."""
        return bisect_right(self.instants, instant_ns)

    def before(self, instant_ns: int) -> int:
        return bisect_left(self.instants, instant_ns)

    def between(self, start_ns: int, end_ns: int) -> int:
        """Strictly between."""
        return max(0, self.before(end_ns) - self.until(start_ns))
