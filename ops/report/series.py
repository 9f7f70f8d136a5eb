"""The curves of a run, in equal slices of time. Instants are nanoseconds of the ERP's monotonic clock."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from ops.certificate import AcceptedRow, Certificate, ErpLog
from ops.certificate.findings import Timeline
from ops.certificate.model import NANOSECONDS_PER_SECOND, LimitFinding

SLICES = 160
LANE_ORDER = ("urgent", "standard", "bulk")


class Mark(Struct, frozen=True):
    """Something that happened during the run, such as a kill of the daemon."""

    at_ns: int
    label: str


class LaneCurve(Struct, frozen=True):
    """One lane: messages accepted and not yet at the ERP, at the end of each slice; and all waits, sorted."""

    lane: str
    backlog: list[int]
    waits_ns: list[int]


class RateCurve(Struct, frozen=True):
    """Calls against one rate limit, per slice; both in calls per `window_ns`.

    mean: arrivals in the slice, spread over it. peak: the fullest window that starts in the slice.
    """

    window_ns: int
    limit: int | float
    mean: list[float]
    peak: list[int]


class Frame(Struct, frozen=True):
    """The slices alone."""

    start_ns: int
    slice_ns: int
    slices: int

    def slice_of(self, instant_ns: int) -> int:
        return min(max((instant_ns - self.start_ns) // self.slice_ns, 0), self.slices - 1)


class Curves(Struct, frozen=True):
    """Everything that is drawn. Slice i covers [start_ns + i * slice_ns, start_ns + (i + 1) * slice_ns)."""

    start_ns: int
    slice_ns: int
    slices: int
    rate: RateCurve | None
    concurrency: list[int]
    concurrency_limit: int | float | None
    lanes: list[LaneCurve]
    marks: list[Mark]

    @property
    def seconds(self) -> float:
        return self.slices * self.slice_ns / NANOSECONDS_PER_SECOND


def curves(certificate: Certificate, log: ErpLog, accepted: Sequence[AcceptedRow], marks: Sequence[Mark]) -> Curves:
    """Cut the run into slices, whole windows of the shortest rate limit where it is short enough."""
    timeline = Timeline(log)
    rate = min((one for one in certificate.limits if one.kind == "rate"), key=_window_ns, default=None)
    start_ns, end_ns = _span(timeline, accepted, marks)
    slice_ns = _slice_ns(end_ns - start_ns, _window_ns(rate) if rate else 0)
    slots = [one.limit for one in certificate.limits if one.kind == "concurrent"]
    frame = Frame(start_ns, slice_ns, (end_ns - start_ns) // slice_ns + 1)
    return Curves(
        start_ns=frame.start_ns,
        slice_ns=frame.slice_ns,
        slices=frame.slices,
        rate=_rate(frame, timeline, rate) if rate else None,
        concurrency=_concurrency(frame, timeline),
        concurrency_limit=min(slots, default=None),
        lanes=_lanes(frame, log, accepted),
        marks=sorted(marks, key=lambda mark: mark.at_ns),
    )


def _window_ns(finding: LimitFinding) -> int:
    return round((finding.seconds or 0) * NANOSECONDS_PER_SECOND)


def _span(timeline: Timeline, accepted: Sequence[AcceptedRow], marks: Sequence[Mark]) -> tuple[int, int]:
    instants = [*timeline.arrivals[:1], *timeline.ends[-1:], *(mark.at_ns for mark in marks)]
    instants += [row.accepted_ns for row in accepted]
    return (min(instants), max(instants)) if instants else (0, NANOSECONDS_PER_SECOND)


def _slice_ns(span_ns: int, window_ns: int) -> int:
    if 0 < window_ns * 12 <= span_ns:
        return window_ns * -(-span_ns // (window_ns * SLICES))
    return max(1, -(-span_ns // SLICES))


def _rate(frame: Frame, timeline: Timeline, finding: LimitFinding) -> RateCurve:
    window_ns, arrivals = _window_ns(finding), timeline.arrivals
    counts, peak = [0] * frame.slices, [0] * frame.slices
    end = 0
    for start, start_ns in enumerate(arrivals):
        while end < len(arrivals) and arrivals[end] < start_ns + window_ns:
            end += 1
        place = frame.slice_of(start_ns)
        counts[place] += 1
        peak[place] = max(peak[place], end - start)
    mean = [count * window_ns / frame.slice_ns for count in counts]
    return RateCurve(window_ns, finding.limit, mean, peak)


def _concurrency(frame: Frame, timeline: Timeline) -> list[int]:
    """The most calls at one instant of each slice; a slice without an arrival has what ran into it."""
    most = [0] * frame.slices
    gone = 0
    for index, arrived_ns in enumerate(timeline.arrivals):
        while timeline.ends[gone] < arrived_ns:
            gone += 1
        place = frame.slice_of(arrived_ns)
        most[place] = max(most[place], index + 1 - gone)
    for place in range(frame.slices):
        edge_ns = frame.start_ns + place * frame.slice_ns
        running = bisect_right(timeline.arrivals, edge_ns) - bisect_right(timeline.ends, edge_ns - 1)
        most[place] = max(most[place], running)
    return most


def _lanes(frame: Frame, log: ErpLog, accepted: Sequence[AcceptedRow]) -> list[LaneCurve]:
    created = {one.source_document or one.reference: one.arrived_ns for one in reversed(log.documents())}
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    taken: set[str] = set()
    for row in accepted:
        key = row.key if row.key in created else row.reference or ""
        if key in created and key not in taken:
            taken.add(key)
            spans[row.lane].append((row.accepted_ns, max(row.accepted_ns, created[key])))
    known = [lane for lane in LANE_ORDER if lane in spans]
    return [_lane(frame, lane, spans[lane]) for lane in known + sorted(spans.keys() - set(known))]


def _lane(frame: Frame, lane: str, spans: Sequence[tuple[int, int]]) -> LaneCurve:
    came, went = sorted(start for start, _ in spans), sorted(end for _, end in spans)
    edges = [frame.start_ns + (place + 1) * frame.slice_ns for place in range(frame.slices)]
    backlog = [bisect_right(came, edge) - bisect_right(went, edge) for edge in edges]
    return LaneCurve(lane, backlog, sorted(end - start for start, end in spans))
