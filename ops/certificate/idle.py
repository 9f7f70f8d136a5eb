"""Work conservation: time in which work waited although every limit had room.

Room is what the ERP's own log shows: one more call at that instant would break no window and no slot. A gate knows
less than that (it learns of an arrival when the answer comes) and needs a moment to act, so stretches up to the
reaction time are left out, calls without an answer count for as long as they may be taken to run, and the time that
a refusal told to stay away is nobody's idleness.
"""

from collections.abc import Iterable, Iterator, Sequence

from ops.certificate.accepted import Spell
from ops.certificate.erplog import ErpLog
from ops.certificate.freezes import freezes_of
from ops.certificate.limits import UNLIMITED, LimitTrack
from ops.certificate.model import NANOSECONDS_PER_SECOND, Idle
from ops.certificate.terms import Terms
from ops.certificate.waiting import Span, Waiter, union, without


def idle_of(
    waiters: Sequence[Waiter], spells: Sequence[Spell], log: ErpLog, tracks: Sequence[LimitTrack], terms: Terms
) -> Idle | None:
    """None if nothing ever had to wait, or no limit says what room is."""
    waited = union(Span(one.ready_ns, one.start_ns) for one in waiters)
    away = [Span(one.from_ns, one.until_ns) for one in spells if one.event == "away"]
    excused = union([*away, *(Span(one.from_ns, one.over_ns) for one in freezes_of(log))])
    waited = without(waited, excused)
    if not waited or not tracks:
        return None
    calls = _calls(log, terms)
    full = union(span for track in tracks for span in full_spans(calls, log, track))
    idle = [one for one in without(waited, full) if one.end_ns - one.start_ns > terms.reaction_ns]
    total = sum(one.end_ns - one.start_ns - terms.reaction_ns for one in idle)
    waited_ns = sum(one.end_ns - one.start_ns for one in waited)
    longest = max(idle, key=lambda one: one.end_ns - one.start_ns, default=None)
    return Idle(
        seconds=total / NANOSECONDS_PER_SECOND,
        percent=round(100 * total / waited_ns, 2),
        waited_seconds=waited_ns / NANOSECONDS_PER_SECOND,
        stretches=len(idle),
        longest_seconds=(longest.end_ns - longest.start_ns) / NANOSECONDS_PER_SECOND if longest else 0.0,
        longest_from_ns=longest.start_ns if longest else None,
    )


def _calls(log: ErpLog, terms: Terms) -> list[Span]:
    """Every call; one without an answer ends as late as its caller may think it does."""
    calls = zip(log.arrived_ns, log.ended_ns, log.lost, strict=True)
    return [Span(arrived_ns, ended_ns + terms.lost_ns * lost) for arrived_ns, ended_ns, lost in calls]


def full_spans(calls: Sequence[Span], log: ErpLog, track: LimitTrack) -> Iterable[Span]:
    """When one more call would have broken the limit."""
    changes = [from_ns for from_ns, _ in log.limit_changes]
    if track.kind == "rate":
        # A call without an answer may have arrived as late as it may have ended.
        arrived_by = (call.end_ns if lost else call.start_ns for call, lost in zip(calls, log.lost, strict=True))
        counted = [Span(call.start_ns, by + track.window_ns) for call, by in zip(calls, arrived_by, strict=True)]
        return _full(counted, track, changes)
    if track.kind == "concurrent":
        return _full(calls, track, changes)
    return _full_execution(calls, track)


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


def _full_execution(calls: Sequence[Span], track: LimitTrack) -> Iterator[Span]:
    """Full when what was spent in the window before, and the longest call for each slot in use, fill the limit."""
    calls = sorted(calls, key=lambda one: one.start_ns)
    longest_ns = max((one.end_ns - one.start_ns for one in calls), default=0)
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
