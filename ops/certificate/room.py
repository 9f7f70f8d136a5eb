"""Room: when one more call would have broken a limit, by the ERP's own log.

Limits of one operation are taken to be those of the work that waits; look-ups have no queue of their own.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from ops.certificate.accepted import Away, Spell
from ops.certificate.erplog import LOOKUP_OPS, ErpLog
from ops.certificate.limits import UNLIMITED, LimitTrack
from ops.certificate.model import NANOSECONDS_PER_SECOND
from ops.certificate.spans import Span, union
from ops.certificate.terms import Terms


class _Met(Struct, frozen=True, gc=False):
    """One call. A call without an answer may have arrived, and ended, as late as its caller may think it did; an answer
    that its caller did not live to read is none."""

    start_ns: int
    arrived_by_ns: int
    end_ns: int


class Room:
    """When the limits that all work shares were full, and when those of one object were."""

    def __init__(self, log: ErpLog, tracks: Sequence[LimitTrack], terms: Terms, spells: Sequence[Spell] = ()) -> None:
        self._log = log
        self._terms = terms
        ends = zip(log.arrived_ns, log.ended_ns, log.lost, strict=True)
        self._longest_ns = max((end - begun + terms.lost_ns * lost for begun, end, lost in ends), default=0)
        self._away = [one for one in spells if isinstance(one, Away) and one.to_ns is not None]
        self._changes = [from_ns for from_ns, _ in log.limit_changes]
        shared = [track for track in tracks if track.per is None and track.op not in LOOKUP_OPS]
        self.known = bool(shared)
        self.full = union(span for track in shared for span in self._full(range(len(log)), track))
        self._objects = self._of_objects([track for track in tracks if track.per is not None])

    def of_object(self, account: str, ready_ns: int, start_ns: int) -> int:
        """From when on a call could go that was ready and started then, by the limits of its own object."""
        spans = self._objects.get(account, ())
        place = bisect_right(spans, start_ns - 1, key=lambda span: span.start_ns) - 1
        if place >= 0 and spans[place].end_ns > ready_ns:
            return min(spans[place].end_ns + self._terms.ready_ns, start_ns)
        return ready_ns

    def _of_objects(self, tracks: Sequence[LimitTrack]) -> dict[str, list[Span]]:
        if not tracks:
            return {}
        calls: dict[str, list[int]] = defaultdict(list)
        for index, account in enumerate(self._log.accounts):
            calls[account].append(index)
        return {
            account: union(span for track in tracks for span in self._full(own, track))
            for account, own in calls.items()
            if account
        }

    def _full(self, indexes: Iterable[int], track: LimitTrack) -> Iterable[Span]:
        calls = [self._met(index) for index in indexes if track.op is None or self._log.op(index) == track.op]
        if track.kind == "rate":
            counted = [Span(call.start_ns, call.arrived_by_ns + track.window_ns) for call in calls]
            return _full(counted, track, self._changes)
        if track.kind == "concurrent":
            return _full([Span(call.start_ns, call.end_ns) for call in calls], track, self._changes)
        return _full_execution([Span(call.start_ns, call.end_ns) for call in calls], self._longest_ns, track)

    def _met(self, index: int) -> _Met:
        arrived_ns, end_ns = self._log.arrived_ns[index], self._log.ended_ns[index]
        unheard_ns = end_ns if self._log.lost[index] else None
        for away in self._away:
            if arrived_ns < away.until_ns and end_ns + self._terms.reaction_ns > away.from_ns:
                unheard_ns = max(end_ns, away.until_ns)  # only who came back could begin to count it as over
        if unheard_ns is None:
            return _Met(arrived_ns, arrived_ns, end_ns)
        return _Met(arrived_ns, unheard_ns + self._terms.lost_ns, unheard_ns + self._terms.lost_ns)


def _full(counted: Sequence[Span], track: LimitTrack, changes: Sequence[int]) -> Iterator[Span]:
    """When as many spans lay over each other as the limit allows that is in force just then."""
    edges = [(span.start_ns, 1) for span in counted] + [(span.end_ns, -1) for span in counted]
    edges += [(instant_ns, 0) for instant_ns in changes]
    count, since_ns = 0, None
    for instant_ns, step in sorted(edges):
        count += step
        full = count >= track.allowed(instant_ns, instant_ns)
        if full and since_ns is None:
            since_ns = instant_ns
        elif not full and since_ns is not None:
            yield Span(since_ns, instant_ns)
            since_ns = None


def _full_execution(calls: Sequence[Span], longest_ns: int, track: LimitTrack) -> Iterator[Span]:
    """Full when what was spent in the window before, and the longest call for each slot in use, fill the limit."""
    calls = sorted(calls, key=lambda one: one.start_ns)
    spent: list[tuple[int, int]] = []
    total = 0
    first = 0
    for call in calls:
        spent.append((call.end_ns, call.end_ns - call.start_ns))
        total += call.end_ns - call.start_ns
        while first < len(spent) and spent[first][0] <= call.start_ns - track.window_ns:
            total -= spent[first][1]
            first += 1
        limit = track.allowed(call.start_ns, call.start_ns)
        if limit != UNLIMITED and total + longest_ns > limit * NANOSECONDS_PER_SECOND:
            yield Span(call.start_ns, spent[first][0] + track.window_ns)
