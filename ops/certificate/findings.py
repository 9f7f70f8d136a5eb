"""From a log to one finding per limit: the worst window, what was in it, how much of the limit was used."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from ops.certificate.erplog import ErpLog
from ops.certificate.limits import FOREVER_NS, UNLIMITED, LimitTrack, describe
from ops.certificate.model import NANOSECONDS_PER_SECOND, CallRef, LimitFinding, Place, Regime
from ops.certificate.piecewise import worst_rate_by_last_call
from ops.certificate.spans import Span
from ops.certificate.windows import (
    Worst,
    allowed_calls,
    calls_within,
    worst_concurrency,
    worst_execution,
    worst_rate,
)

CALLS_SHOWN = 100


class Timeline:
    """The log's calls by arrival, with their ends sorted apart: what the scans need, made once."""

    def __init__(self, log: ErpLog, of: Sequence[int] | None = None) -> None:
        """`of`: the places in the log of the calls that count, in the order of arrival; all, if None."""
        self.log = log
        self.by_arrival: Sequence[int] = range(len(log)) if of is None else of
        if of is None and not _is_sorted(log.arrived_ns):
            self.by_arrival = array("q", sorted(range(len(log)), key=log.arrived_ns.__getitem__))
        self.arrivals = array("q", (log.arrived_ns[index] for index in self.by_arrival))
        self.ends = array("q", sorted(log.ended_ns[index] for index in self.by_arrival))
        self._zero = _instant(log.wall_at_zero)

    def only(self, op: str) -> "Timeline":
        """The calls of one operation."""
        return Timeline(self.log, array("q", (index for index in self.by_arrival if self.log.op(index) == op)))

    def each(self) -> "Iterator[Timeline]":
        """The calls of each account that the log names, by themselves."""
        accounts: dict[str, array[int]] = {}
        for index in self.by_arrival:
            if account := self.log.accounts[index]:
                accounts.setdefault(account, array("q")).append(index)
        return (Timeline(self.log, of) for of in accounts.values())

    def at(self, instant_ns: int) -> str | None:
        """Wall time of an instant, RFC 3339 UTC to the microsecond, if the header tells the zero."""
        if self._zero is None:
            return None
        return (self._zero + timedelta(microseconds=instant_ns // 1000)).isoformat().replace("+00:00", "Z")

    def post_span(self) -> tuple[int, int] | None:
        """Arrival of the first and of the last post; of the first and last call if there is no post."""
        posts = [self.log.arrived_ns[i] for i in self.by_arrival if self.log.op(i) == "post"]
        spanned = posts or self.arrivals
        return (min(spanned), max(spanned)) if spanned else None

    def place(self, start_ns: int, inside: Callable[[int, int], bool]) -> Place:
        """The calls for which `inside(arrived_ns, ended_ns)`, in order of arrival."""
        calls: list[CallRef] = []
        total = 0
        for index in self._near(start_ns, inside):
            total += 1
            if total <= CALLS_SHOWN:
                calls.append(self.log.call(index))
        return Place(start_ns, self.at(start_ns), total, calls)

    def _near(self, start_ns: int, inside: Callable[[int, int], bool]) -> Iterator[int]:
        log = self.log
        return (i for i in self.by_arrival if inside(log.arrived_ns[i], log.ended_ns[i]))


def find(timeline: Timeline, track: LimitTrack) -> LimitFinding:
    """Hold the whole log against one limit."""
    if track.op is not None:
        timeline = timeline.only(track.op)
    found = _find(timeline, track)
    return found if track.constant is not None else replace(found, regimes=list(_regimes(timeline, track)))


def _find(timeline: Timeline, track: LimitTrack) -> LimitFinding:
    scan = {"rate": _rate, "concurrent": _concurrent, "execution": _execution}[track.kind]
    if track.per is None:
        return scan(timeline, track)
    found = [scan(part, track) for part in timeline.each()] or [scan(Timeline(timeline.log, ()), track)]
    worst = min(found, key=lambda one: (one.margin, -one.worst))
    violations = sum(one.violations for one in found)
    return replace(worst, over=violations > 0, violations=violations, used_percent=None)


def _regimes(timeline: Timeline, track: LimitTrack) -> Iterator[Regime]:
    """Each value that the limit had, with the worst case while it was in force."""
    unit = NANOSECONDS_PER_SECOND if track.kind == "execution" else 1
    parts = [timeline] if track.per is None else list(timeline.each())
    for span, limit in track.regimes():
        found = [_worst_within(part, track, span) for part in parts] or [Worst(allowed=limit * unit)]
        worst = max(found, key=lambda one: one.worst)
        yield Regime(
            limit=limit,
            from_at=timeline.at(span.start_ns) if span.start_ns >= 0 else None,
            until_at=timeline.at(span.end_ns) if span.end_ns < FOREVER_NS else None,
            worst=worst.worst if unit == 1 else worst.worst / unit,
            margin=limit - (worst.worst if unit == 1 else worst.worst / unit),
            violations=sum(one.violations for one in found),
        )


def _worst_within(timeline: Timeline, track: LimitTrack, span: Span) -> Worst:
    match track.kind:
        case "rate":
            return worst_rate_by_last_call(timeline.arrivals, track, span)
        case "concurrent":
            return worst_concurrency(timeline.arrivals, timeline.ends, track, span)
        case _:
            return worst_execution(timeline.arrivals, timeline.ends, track, span)


def _rate(timeline: Timeline, track: LimitTrack) -> LimitFinding:
    scan = worst_rate if track.constant is not None else worst_rate_by_last_call
    worst = scan(timeline.arrivals, track)
    start_ns = worst.start_ns or 0
    place = timeline.place(start_ns, lambda arrived, _: start_ns <= arrived < start_ns + track.window_ns)
    return _finding(track, worst, place, _rate_used(timeline, track), unit=1)


def _rate_used(timeline: Timeline, track: LimitTrack) -> float | None:
    span = timeline.post_span()
    if span is None or track.constant in (None, UNLIMITED):
        return None
    allowed = allowed_calls(track.current, track.window_ns, span[1] - span[0])
    return round(100 * calls_within(timeline.arrivals, *span) / allowed, 2)


def _concurrent(timeline: Timeline, track: LimitTrack) -> LimitFinding:
    worst = worst_concurrency(timeline.arrivals, timeline.ends, track)
    at_ns = worst.start_ns or 0
    place = timeline.place(at_ns, lambda arrived, ended: arrived <= at_ns <= ended)
    span = timeline.post_span()
    used = None
    if span is not None and span[0] < span[1] and track.constant not in (None, UNLIMITED):
        used = _percent(_busy_ns(timeline, *span), track.current * (span[1] - span[0]))
    return _finding(track, worst, place, used, unit=1)


def _execution(timeline: Timeline, track: LimitTrack) -> LimitFinding:
    worst = worst_execution(timeline.arrivals, timeline.ends, track)
    start_ns = worst.start_ns or 0
    place = timeline.place(start_ns, lambda arrived, ended: arrived < start_ns + track.window_ns and ended > start_ns)
    return _finding(track, worst, place, None, unit=NANOSECONDS_PER_SECOND)


def _finding(track: LimitTrack, worst: Worst, place: Place, used: float | None, unit: int) -> LimitFinding:
    value = worst.worst if unit == 1 else worst.worst / unit
    limit = worst.allowed if unit == 1 else worst.allowed / unit
    return LimitFinding(
        name=describe(track, limit),
        kind=track.kind,
        seconds=track.seconds,
        limit=limit,
        worst=value,
        margin=limit - value,
        over=worst.violations > 0,
        violations=worst.violations,
        where=place if worst.start_ns is not None else None,
        used_percent=used,
    )


def _busy_ns(timeline: Timeline, start_ns: int, end_ns: int) -> int:
    log = timeline.log
    return sum(
        max(0, min(ended, end_ns) - max(arrived, start_ns))
        for arrived, ended in zip(log.arrived_ns, log.ended_ns, strict=True)
    )


def _percent(part: int, whole: int | float) -> float:
    return round(100 * part / whole, 2)


def _is_sorted(values: Sequence[int]) -> bool:
    previous = -1
    for value in values:
        if value < previous:
            return False
        previous = value
    return True


def _instant(text: str | None) -> datetime | None:
    """The header's wall clock at zero; a date without a zone is taken as UTC."""
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def seconds_of(span_ns: int) -> float:
    return round(span_ns / NANOSECONDS_PER_SECOND, 6)
