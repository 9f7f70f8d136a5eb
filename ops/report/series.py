"""The curves of a run, in equal slices of time. Instants are nanoseconds of the ERP's monotonic clock."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from ops.certificate import AcceptedRow, Certificate, ErpLog
from ops.certificate.findings import Timeline
from ops.certificate.model import NANOSECONDS_PER_SECOND, LimitFinding
from ops.certificate.order import quantile

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


class Waits(Struct, frozen=True):
    """How long messages waited from acceptance to the ERP; nearest-rank quantiles."""

    lane: str
    count: int
    p50_seconds: float
    p99_seconds: float
    max_seconds: float


class TenantWaits(Struct, frozen=True):
    """The waits of one tenant, a lane each."""

    tenant: str
    lanes: list[Waits]


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
    tenants: list[TenantWaits]
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
    found = spans(log, accepted)
    frame = Frame(start_ns, slice_ns, (end_ns - start_ns) // slice_ns + 1)
    return Curves(
        start_ns=frame.start_ns,
        slice_ns=frame.slice_ns,
        slices=frame.slices,
        rate=_rate(frame, timeline, rate) if rate else None,
        concurrency=_concurrency(frame, timeline),
        concurrency_limit=min(slots, default=None),
        lanes=_lanes(frame, found),
        tenants=_tenants(found),
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


def spans(log: ErpLog, accepted: Sequence[AcceptedRow]) -> list[tuple[AcceptedRow, int]]:
    """Each accepted message that has a document, with the instant at which the call that made it reached the ERP."""
    created = {(one.source_document or one.reference): one.arrived_ns for one in reversed(log.documents())}
    found: list[tuple[AcceptedRow, int]] = []
    taken: set[str] = set()
    for row in accepted:
        key = row.key if row.key in created else row.reference or ""
        if key in created and key not in taken:
            taken.add(key)
            found.append((row, max(row.accepted_ns, created[key])))
    return found


def _lanes(frame: Frame, found: Sequence[tuple[AcceptedRow, int]]) -> list[LaneCurve]:
    by_lane: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, created_ns in found:
        by_lane[row.lane].append((row.accepted_ns, created_ns))
    return [_lane(frame, lane, by_lane[lane]) for lane in in_order(by_lane)]


def in_order(lanes: Collection[str]) -> list[str]:
    """Lanes as people expect them, those of other houses last."""
    known = [lane for lane in LANE_ORDER if lane in lanes]
    return known + sorted(set(lanes) - set(known))


def _lane(frame: Frame, lane: str, waits: Sequence[tuple[int, int]]) -> LaneCurve:
    came, went = sorted(start for start, _ in waits), sorted(end for _, end in waits)
    edges = [frame.start_ns + (place + 1) * frame.slice_ns for place in range(frame.slices)]
    backlog = [bisect_right(came, edge) - bisect_right(went, edge) for edge in edges]
    return LaneCurve(lane, backlog, sorted(end - start for start, end in waits))


def _tenants(found: Sequence[tuple[AcceptedRow, int]]) -> list[TenantWaits]:
    """The tenants with the most messages first."""
    waits: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, created_ns in found:
        waits[row.tenant or "(none)"][row.lane].append(created_ns - row.accepted_ns)
    sizes = {tenant: sum(map(len, lanes.values())) for tenant, lanes in waits.items()}
    return [_tenant(tenant, waits[tenant]) for tenant in sorted(waits, key=lambda one: (-sizes[one], one))]


def _tenant(tenant: str, waits: Mapping[str, list[int]]) -> TenantWaits:
    return TenantWaits(tenant, [_waits_of(lane, sorted(waits[lane])) for lane in in_order(waits)])


def _waits_of(lane: str, waits: Sequence[int]) -> Waits:
    p50, p99 = (quantile(waits, percent) / NANOSECONDS_PER_SECOND for percent in (50, 99))
    return Waits(lane, len(waits), p50, p99, waits[-1] / NANOSECONDS_PER_SECOND)
