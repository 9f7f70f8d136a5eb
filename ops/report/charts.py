"""The four charts of the report, each from its curves to one SVG element."""

from collections.abc import Sequence
from math import log10

from ops.certificate.model import NANOSECONDS_PER_SECOND
from ops.certificate.order import quantile
from ops.report.series import LANE_ORDER, Curves, LaneCurve
from ops.report.svg import BOTTOM, LEFT, RIGHT, WIDTH, Plot, duration

BUCKETS = 48
ROW = 84


def calls_chart(curves: Curves, standalone: bool = False) -> str:
    """Calls at the ERP against the shortest rate limit: mean as bars, fullest sliding window as a line."""
    rate = curves.rate
    if rate is None:
        return ""
    unit = f"calls per {duration(rate.window_ns / NANOSECONDS_PER_SECOND)}"
    plot = Plot(f"ERP calls: {unit}", curves.seconds, max(rate.limit, *rate.peak) * 1.12)
    plot.bars(rate.mean, "bar", lambda place, value: f"{_when(curves, place)}: {value:.3g} {unit} on average")
    plot.steps(rate.peak, "line")
    plot.limit(rate.limit, f"limit {rate.limit:g}")
    _frame(plot, curves, named=True)
    most = max(rate.peak)
    return plot.render(f"Calls over time. Fullest window {most} of {rate.limit:g} allowed.", standalone)


def concurrency_chart(curves: Curves, standalone: bool = False) -> str:
    """Most calls in progress at one instant of each slice."""
    limit = curves.concurrency_limit
    most = max(curves.concurrency)
    plot = Plot("Calls at the same time", curves.seconds, max(limit or 0, most) * 1.12, height=200)
    plot.steps(curves.concurrency, "area", filled=True)
    plot.steps(curves.concurrency, "line")
    if limit is not None:
        plot.limit(limit, f"limit {limit:g}")
    _frame(plot, curves, named=False)
    allowed = "no limit" if limit is None else f"limit {limit:g}"
    return plot.render(f"Concurrency over time. At most {most}, {allowed}.", standalone)


def backlog_chart(curves: Curves) -> str:
    """Messages accepted and not yet at the ERP, one curve a lane."""
    if not curves.lanes:
        return ""
    highest = max(max(lane.backlog) for lane in curves.lanes)
    plot = Plot("Waiting for the ERP", curves.seconds, max(highest, 1) * 1.05)
    for lane in reversed(curves.lanes):
        plot.steps(lane.backlog, f"lane {css(lane.lane)}")
    _frame(plot, curves, named=False)
    peaks = ", ".join(f"{lane.lane} at most {max(lane.backlog)}" for lane in curves.lanes)
    return plot.render(f"Backlog over time: {peaks}.")


def waits_chart(lanes: Sequence[LaneCurve]) -> str:
    """How long messages waited: one row a lane on a common logarithmic axis, with p50 and p99."""
    lanes = [lane for lane in lanes if lane.waits_ns]
    if not lanes:
        return ""
    axis = _LogAxis([wait for lane in lanes for wait in (lane.waits_ns[0], lane.waits_ns[-1])])
    height = ROW * len(lanes) + BOTTOM
    plot = Plot("Waits", 1, 0, height)
    for tick in axis.ticks():
        x = axis.x(tick)
        plot.rule(x, 22, x, height - BOTTOM, "grid")
        plot.text(x, height - BOTTOM + 18, f"{tick / NANOSECONDS_PER_SECOND:g} s", anchor="middle")
    for row, lane in enumerate(lanes):
        _wait_row(plot, axis, lane, ROW * (row + 1) - 8)
    return plot.render("Distribution of waits per lane, logarithmic axis.")


def css(lane: str) -> str:
    """The class that colours a lane."""
    return lane if lane in LANE_ORDER else "other"


class _LogAxis:
    """Nanoseconds to x, logarithmic, from the decade below the shortest wait to the longest one."""

    def __init__(self, waits_ns: Sequence[int]) -> None:
        self.low = 1_000_000
        while self.low * 10 <= max(min(waits_ns), 1_000_000):
            self.low *= 10
        self.decades = 1
        while self.low * 10**self.decades < max(waits_ns):
            self.decades += 1

    def x(self, wait_ns: int) -> float:
        return LEFT + 24 + (WIDTH - LEFT - RIGHT - 48) * self.share(wait_ns)

    def share(self, wait_ns: int) -> float:
        """Place on the axis, 0 to 1, linear between the bounds of a bucket's decade."""
        value, decade = max(wait_ns, self.low) / self.low, 0
        while value > 10 and decade < self.decades - 1:
            value, decade = value / 10, decade + 1
        return min((decade + log10(value)) / self.decades, 1)

    def ticks(self) -> list[int]:
        return [self.low * 10**decade for decade in range(self.decades + 1)]


def _wait_row(plot: Plot, axis: _LogAxis, lane: LaneCurve, base: float) -> None:
    counts = [0] * BUCKETS
    for wait in lane.waits_ns:
        counts[min(int(axis.share(wait) * BUCKETS), BUCKETS - 1)] += 1
    left, right, most = axis.x(axis.low), axis.x(axis.low * 10**axis.decades), max(counts)
    each, tall = (right - left) / BUCKETS, ROW - 36
    for place, count in enumerate(counts):
        if count:
            high = max(tall * count / most, 1.5)
            plot.add(
                f'<rect x="{left + place * each:.1f}" y="{base - high:.1f}" width="{each - 1:.1f}" height="{high:.1f}" '
                f'class="lane-fill f-{css(lane.lane)}"><title>{count} messages</title></rect>'
            )
    plot.rule(left, base, right, base, "axis")
    p50, p99 = quantile(lane.waits_ns, 50), quantile(lane.waits_ns, 99)
    for value in (p50, p99):
        plot.rule(axis.x(value), base - tall - 4, axis.x(value), base + 4, "mark")
    plot.text(left, base - tall - 10, lane.lane, "strong")


def _frame(plot: Plot, curves: Curves, named: bool) -> None:
    plot.time_axis()
    since = [((mark.at_ns - curves.start_ns) / NANOSECONDS_PER_SECOND, mark.label) for mark in curves.marks]
    plot.marks(since, named)


def _when(curves: Curves, place: int) -> str:
    return f"from {duration(place * curves.slice_ns / NANOSECONDS_PER_SECOND)}"
