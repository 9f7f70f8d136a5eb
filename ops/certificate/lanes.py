"""Lanes: the floor of the lower ones while they wait, the strictness of the higher ones, the longest wait of each."""

import itertools
from collections.abc import Iterator, Sequence

from msgspec import Struct

from ops.certificate.model import NANOSECONDS_PER_SECOND, Example, LaneService
from ops.certificate.spans import Counter, Span, union
from ops.certificate.terms import Terms
from ops.certificate.waiting import Waiter


class LaneSpell(Struct, frozen=True):
    """A spell in which a lane waited without a break, and what started in it."""

    lane: str
    span: Span
    starts: int
    own: int
    lower: int
    allowed: int


class LaneRun(Struct, frozen=True):
    """Calls of other lanes that started one after the other while the lane waited."""

    lane: str
    from_ns: int
    calls: int
    until_ns: int


class Lanes:
    """All lanes of a run, side by side. What is owed to a lane may be forgotten each time that nobody was there."""

    def __init__(self, waiters: Sequence[Waiter], terms: Terms, restarts: Counter | None = None) -> None:
        self._terms = terms
        self._restarts = restarts or Counter(())
        self.lanes = sorted({one.row.lane for one in waiters}, key=self._rank)
        self._waiters = {lane: [one for one in waiters if one.row.lane == lane] for lane in self.lanes}
        self._starts = {
            lane: Counter(one.start_ns for one in own if one.started) for lane, own in self._waiters.items()
        }
        self.waits = {
            lane: union(Span(one.ready_ns, one.start_ns) for one in own) for lane, own in self._waiters.items()
        }

    def _rank(self, lane: str) -> tuple[int, str]:
        order = self._terms.lane_order
        return (order.index(lane) if lane in order else len(order), lane)

    def of(self, lane: str) -> list[Waiter]:
        return self._waiters[lane]

    def service(self) -> list[LaneService]:
        """What each lane got, highest first."""
        return [self._service(lane) for lane in self.lanes]

    def _service(self, lane: str) -> LaneService:
        waiters, spells = self._waiters[lane], list(self.spells(lane))
        starts = sum(spell.starts for spell in spells)
        worst = max(spells, key=lambda spell: spell.lower - spell.allowed, default=None)
        return LaneService(
            lane=lane,
            calls=sum(one.started for one in waiters),
            waiting=sum(not one.started for one in waiters),
            longest_seconds=max(one.wait_ns for one in waiters) / NANOSECONDS_PER_SECOND,
            share_percent=round(100 * sum(spell.own for spell in spells) / starts, 2) if starts else None,
            longest_run=max((run.calls for run in self.runs(lane)), default=0),
            lower_calls=worst.lower if worst else 0,
            spell_calls=worst.starts if worst else 0,
        )

    def runs(self, lane: str) -> Iterator[LaneRun]:
        """The longest run of each spell, cut at the lane's own starts."""
        own = self._starts[lane].instants
        others = [self._starts[other] for other in self.lanes if other != lane]
        for span in self.waits[lane]:
            cuts = [
                span.start_ns,
                *own[self._starts[lane].until(span.start_ns) : self._starts[lane].until(span.end_ns)],
            ]
            if cuts[-1] < span.end_ns:
                cuts.append(span.end_ns)
            pairs = itertools.pairwise(cuts)
            yield max(
                (LaneRun(lane, start, sum(one.between(start, end) for one in others), end) for start, end in pairs),
                key=lambda run: run.calls,
                default=LaneRun(lane, span.start_ns, 0, span.end_ns),
            )

    def spells(self, lane: str) -> Iterator[LaneSpell]:
        """Every spell in which the lane waited. `allowed`: calls of lower lanes that their floors entitle to."""
        lower = self.lanes[self.lanes.index(lane) + 1 :]
        periods = self._terms.periods()
        early = max(len(periods) - 1, 0)
        for span in self.waits[lane]:
            counts = {other: self._starts[other].between(span.start_ns, span.end_ns) for other in self.lanes}
            counts[lane] += self._starts[lane].until(span.end_ns) - self._starts[lane].before(span.end_ns)
            starts = sum(counts.values())
            due = sum(-(-starts // max(periods[other] - early, 1)) for other in lower if other in periods)
            lives = 1 + self._restarts.between(span.start_ns, span.end_ns)
            allowed = due + lives * self._terms.transit_calls
            yield LaneSpell(lane, span, starts, counts[lane], sum(counts[other] for other in lower), allowed)

    # what is broken --------------------------------------------------------------------------------------------

    def below_the_floor(self) -> Iterator[tuple[int, Example]]:
        """Runs of calls of other lanes that are longer than the floor of a waiting lane allows."""
        for lane, period in self._terms.periods().items():
            if lane not in self._waiters:
                continue
            for run in self.runs(lane):
                lives = 1 + self._restarts.between(run.from_ns, run.until_ns)
                if run.calls > lives * (period - 1 + self._terms.transit_calls):
                    yield run.from_ns, Example(lane, f"{run.calls} calls of other lanes in a row while it waited")

    def not_strict(self) -> Iterator[tuple[int, Example]]:
        """Spells in which calls of lower lanes went first beyond their floors."""
        for lane in self.lanes:
            for spell in self.spells(lane):
                if spell.lower > spell.allowed:
                    seconds = (spell.span.end_ns - spell.span.start_ns) / NANOSECONDS_PER_SECOND
                    yield (
                        spell.span.start_ns,
                        Example(
                            lane,
                            f"{spell.lower} of {spell.starts} calls were of lower lanes while it waited, "
                            f"{seconds:.3f} s; at most {spell.allowed} are theirs",
                        ),
                    )

    def too_long(self) -> Iterator[Example]:
        """Messages that waited longer than their lane allows, the longest of each lane."""
        for lane, seconds_max in self._terms.lane_wait_max_seconds.items():
            longest = max(self._waiters.get(lane, []), key=lambda one: one.wait_ns, default=None)
            if longest is not None and longest.wait_ns > seconds_max * NANOSECONDS_PER_SECOND:
                waited = longest.wait_ns / NANOSECONDS_PER_SECOND
                yield Example(
                    longest.row.key, f"waited {waited:.3f} s in lane {lane}, at most {seconds_max:g} s allowed"
                )
