"""Jain's fairness index over the tenants that waited, slice by slice, lane by lane.

Jain, Chiu, Hawe: A Quantitative Measure of Fairness and Discrimination, DEC TR-301 (1984).
A slice is as many starts of a lane as give each tenant that waits at its beginning about twenty turns; only tenants
that waited through all of it are compared, so nobody is blamed for having nothing to do.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct

from ops.certificate.model import Fairness
from ops.certificate.spans import Span
from ops.certificate.terms import Terms
from ops.certificate.turns import LaneStory, weight_of

TURNS_A_SLICE = 20
STARTS_MAX = 10_000
_LEAST_TURNS = 5


class Slice(Struct, frozen=True):
    """One comparison."""

    lane: str
    from_ns: int
    index: float
    starts: int
    tenants: int


def jain(values: Sequence[float]) -> float:
    """1 for equal values, 1/n if one has it all. 1 for nothing at all: nobody got more than another."""
    total, squares = sum(values), sum(value * value for value in values)
    return total * total / (len(values) * squares) if squares else 1.0


def fairness_of(stories: Sequence[LaneStory], terms: Terms) -> Fairness | None:
    """The index over the whole run; None if never two tenants waited side by side for long enough."""
    slices = [one for story in stories for one in _slices(story, terms)]
    if not slices:
        return None
    worst = min(slices, key=lambda one: one.index)
    return Fairness(
        mean=sum(one.index * one.starts for one in slices) / sum(one.starts for one in slices),
        worst=worst.index,
        worst_lane=worst.lane,
        worst_from_ns=worst.from_ns,
        slices=len(slices),
        tenants_max=max(one.tenants for one in slices),
    )


def _slices(story: LaneStory, terms: Terms) -> Iterator[Slice]:
    started = [waiter for waiter in story.waiters if waiter.started]
    changes = [one.from_ns for one in terms.weights]
    first = 0
    while first < len(started):
        from_ns = started[first].start_ns
        here = {tenant for tenant, spans in story.waits.items() if _covers(spans, from_ns, from_ns)}
        last = min(first + _size(terms, here, from_ns), len(started))
        if change := bisect_right(changes, from_ns):
            change = 0 if change == len(changes) else changes[change]
        elif changes:
            change = changes[0]
        if change:
            last = min(last, max(bisect_left(story.starts, change), first + 1))
        until_ns = started[last - 1].start_ns
        side_by_side = sorted(tenant for tenant in here if _covers(story.waits[tenant], from_ns, until_ns))
        if len(side_by_side) > 1 and last - first >= _LEAST_TURNS * len(here):
            got = Counter(waiter.row.tenant for waiter in started[first:last])
            shares = [got[tenant] / weight_of(terms, tenant, from_ns) for tenant in side_by_side]
            yield Slice(story.lane, from_ns, jain(shares), last - first, len(side_by_side))
        first = last


def _size(terms: Terms, tenants: set[str], at_ns: int) -> int:
    weights = [weight_of(terms, tenant, at_ns) for tenant in tenants] or [1.0]
    return max(1, min(STARTS_MAX, round(max(TURNS_A_SLICE * len(weights), _LEAST_TURNS * sum(weights) / min(weights)))))


def _covers(spans: Sequence[Span], from_ns: int, until_ns: int) -> bool:
    place = bisect_right(spans, from_ns, key=lambda span: span.start_ns) - 1
    return place >= 0 and spans[place].end_ns >= until_ns
