"""The calibration as a table and as a plot: each surge a line from the low to the high end, with the truth on it."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from statistics import median

from ops.report.svg import LEFT, RIGHT, STYLE, WIDTH
from ops.virtual.questions import Outcome

HEIGHT, TOP, BOTTOM = 330, 40, 34
OCTAVES = 2.5
"""The y axis goes from 2^-2.5 to 2^2.5 times the likely value."""


def share_within(outcomes: Sequence[Outcome]) -> float:
    """The share whose truth lies in the interval."""
    return sum(outcome.within for outcome in outcomes) / max(len(outcomes), 1)


def page(outcomes: Sequence[Outcome], surges: int) -> str:
    """Markdown with the numbers."""
    lines = [
        "# How far forecasts can be trusted",
        "",
        f"{surges} simulated surges, one question in the middle of each, compared with what came true. "
        "The interval is meant to contain the truth in 80 % of the cases. Made by `make forecast-calibration`.",
        "",
        "| time to drain of | forecasts | truth within | sooner | later | truth / likely, median | width, median |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(name, [one for one in outcomes if one.what == what]) for what, name in _KINDS.items()]
    lines += ["", "![each surge's interval and what came true](forecast-calibration.svg)", ""]
    return "\n".join(lines)


_KINDS = {"total": "everything", "lane": "a lane", "tenant": "a tenant"}


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    sooner = sum(one.truth < (one.interval.low or 0) for one in outcomes) / max(len(outcomes), 1)
    later = 1 - share_within(outcomes) - sooner
    known = [one for one in outcomes if one.interval.likely]
    ratio = median(one.truth / (one.interval.likely or 1) for one in known)
    width = median(((one.interval.high or 0) - (one.interval.low or 0)) / (one.interval.likely or 1) for one in known)
    shares = (share_within(outcomes), sooner, later)
    return (
        f"| {name} | {len(outcomes):,} | {' | '.join(f'{share:.1%}' for share in shares)} | {ratio:.3f} | {width:.2f} |"
    )


def plot(outcomes: Sequence[Outcome]) -> str:
    """The forecasts of everything, as a file: sorted by the width of the interval, all as multiples of the likely
    value, on a logarithmic axis."""
    totals = [one for one in outcomes if one.what == "total" and one.interval.likely and one.interval.high]
    totals.sort(key=lambda one: (one.interval.high or 0) / max(one.interval.low or 0, 1e-3))
    within = share_within([one for one in outcomes if one.what == "total"])
    title = f"{len(totals)} simulated surges: {within:.1%} of the truths lie within the 80 % interval"
    shapes = [f'<text x="{LEFT}" y="18" class="strong">{title}</text>', *_grid()]
    shapes += [shape for place, one in enumerate(totals) for shape in _surge(_x(place, len(totals)), one)]
    foot = "one line a surge, narrow ones left; y: multiples of the likely time to drain; dot: what came true"
    shapes.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">{foot}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f"<style>{STYLE}</style>{''.join(shapes)}</svg>\n"
    )


def _surge(x: float, one: Outcome) -> list[str]:
    likely = one.interval.likely or 1.0
    low, high, truth = (_y((value or 0) / likely) for value in (one.interval.low, one.interval.high, one.truth))
    css = "f-standard" if one.within else "f-urgent"
    return [
        f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" class="grid"/>',
        f'<circle cx="{x:.1f}" cy="{truth:.1f}" r="{1.3 if one.within else 1.9}" class="{css}"/>',
    ]


def _grid() -> list[str]:
    shapes = []
    for octave in (-2, -1, 0, 1, 2):
        y = _y(2.0**octave)
        shapes.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="axis" opacity=".35"/>')
        shapes.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{2.0**octave:g}x</text>')
    return shapes


def _x(place: int, count: int) -> float:
    return LEFT + 4 + (WIDTH - LEFT - RIGHT - 8) * place / max(count - 1, 1)


def _y(ratio: float) -> float:
    octave = min(max(log2(max(ratio, 1e-9)), -OCTAVES), OCTAVES)
    return TOP + (HEIGHT - TOP - BOTTOM) * (OCTAVES - octave) / (2 * OCTAVES)
