"""The few shapes that the charts are drawn from. Sizes in user units of the SVG; colours are CSS classes."""

from collections.abc import Callable, Iterator, Sequence
from html import escape

WIDTH, HEIGHT = 760, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 26, 30

STYLE = """
svg{--ink:#1c2430;--soft:#5b6675;--grid:#e3e7ed;--fill:#9db8e8;--line:#1d4fb8;--limit:#b3261e;--mark:#7a3fb0;
--urgent:#b4460f;--standard:#1d4fb8;--bulk:#0f766e;--other:#5b6675;font:12px system-ui,sans-serif}
@media(prefers-color-scheme:dark){svg{--ink:#e8edf4;--soft:#a3afbf;--grid:#2b3442;--fill:#35548f;--line:#8ab4ff;
--limit:#ff8a80;--mark:#d3a6ff;--urgent:#ffa566;--standard:#8ab4ff;--bulk:#5fd4c4;--other:#a3afbf}}
svg text{fill:var(--soft)}svg .strong{fill:var(--ink);font-weight:600}
.grid{stroke:var(--grid)}.axis{stroke:var(--soft)}.bar{fill:var(--fill)}
.line{fill:none;stroke:var(--line);stroke-width:1.6}.area{fill:var(--fill);opacity:.55}
.limit{stroke:var(--limit);stroke-width:1.6;stroke-dasharray:6 4}svg .limit-text{fill:var(--limit);font-weight:600}
.mark{stroke:var(--mark);stroke-width:1.4}svg .mark-text{fill:var(--mark);font-weight:600}
.lane{fill:none;stroke-width:2}.lane-fill{opacity:.8}
.urgent{stroke:var(--urgent)}.standard{stroke:var(--standard)}.bulk{stroke:var(--bulk)}.other{stroke:var(--other)}
.f-urgent{fill:var(--urgent)}.f-standard{fill:var(--standard)}.f-bulk{fill:var(--bulk)}.f-other{fill:var(--other)}
.standard{stroke-dasharray:none}.bulk{stroke-dasharray:9 3}.urgent{stroke-width:2.6}
"""


class Plot:
    """A frame with a linear y axis from 0 and an x axis of seconds; collects the shapes drawn into it.

    highest: what the y axis must reach; 0 draws no axis.
    """

    def __init__(self, title: str, seconds: float, highest: float, height: int = HEIGHT) -> None:
        self.title = title
        self.height = height
        self.seconds = max(seconds, 1e-9)
        self.ticks = list(nice_ticks(highest)) if highest else []
        self.top_value = self.ticks[-1] if self.ticks else 1
        self._shapes: list[str] = []
        self._grid()

    def x(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(seconds / self.seconds, 0), 1)

    def y(self, value: float) -> float:
        return self.height - BOTTOM - (self.height - TOP - BOTTOM) * min(value / self.top_value, 1)

    def add(self, shape: str) -> None:
        """A shape as SVG text, drawn after those that are there."""
        self._shapes.append(shape)

    def text(self, x: float, y: float, text: str, css: str = "", anchor: str = "start") -> None:
        """A text at a place in pixels."""
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>')

    def rule(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line between two places in pixels."""
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>')

    def steps(self, values: Sequence[float], css: str, filled: bool = False) -> None:
        """A step curve: each value holds for its slice of the x axis."""
        each = self.seconds / max(len(values), 1)
        path = f"M{self.x(0):.1f} {self.y(0):.1f}" if filled else f"M{self.x(0):.1f} {self.y(values[0]):.1f}"
        for place, value in enumerate(values):
            path += f"V{self.y(value):.1f}H{self.x((place + 1) * each):.1f}"
        self.add(f'<path d="{path}{f"V{self.y(0):.1f}Z" if filled else ""}" class="{css}"/>')

    def bars(self, values: Sequence[float], css: str, tip: Callable[[int, float], str]) -> None:
        """One bar a slice, with a tooltip."""
        each = self.seconds / max(len(values), 1)
        for place, value in enumerate(values):
            if value > 0:
                left, right = self.x(place * each), self.x((place + 1) * each)
                self.add(
                    f'<rect x="{left:.1f}" y="{self.y(value):.1f}" width="{max(right - left - 0.6, 0.4):.1f}" '
                    f'height="{self.y(0) - self.y(value):.1f}" class="{css}">'
                    f"<title>{escape(tip(place, value))}</title></rect>"
                )

    def limit(self, value: float, text: str) -> None:
        """A dashed line across, named at its right end."""
        self.rule(LEFT, self.y(value), WIDTH - RIGHT, self.y(value), "limit")
        self.text(WIDTH - RIGHT, self.y(value) - 6, text, "limit-text", "end")

    def marks(self, marks: Sequence[tuple[float, str]], named: bool) -> None:
        """Vertical marks; names sit in the head, pushed apart where they would collide."""
        free_from = 0.0
        for seconds, label in marks:
            x = self.x(seconds)
            self.add(
                f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{self.height - BOTTOM}" class="mark">'
                f"<title>{escape(label)}</title></line>"
            )
            if named and x >= free_from:
                width = 6.4 * len(label)
                right = x + width > WIDTH - RIGHT
                self.text(x, TOP - 9, label, "mark-text", "end" if right else "start")
                free_from = x + width + 10

    def render(self, described: str, standalone: bool = False) -> str:
        """The SVG element; `standalone` brings its own style, for a file."""
        style = f"<style>{STYLE}</style>" if standalone else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" role="img" '
            f'aria-label="{escape(described)}">{style}<title>{escape(self.title)}</title>{"".join(self._shapes)}</svg>'
        )

    def _grid(self) -> None:
        for tick in self.ticks:
            self.rule(LEFT, self.y(tick), WIDTH - RIGHT, self.y(tick), "grid" if tick else "axis")
            self.text(LEFT - 7, self.y(tick) + 4, f"{tick:,g}", anchor="end")

    def time_axis(self) -> None:
        """Tick labels below, from the start of the run."""
        for tick in nice_seconds(self.seconds):
            anchor = "end" if self.x(tick) > WIDTH - RIGHT - 30 else "middle" if tick else "start"
            self.rule(self.x(tick), self.height - BOTTOM, self.x(tick), self.height - BOTTOM + 4, "axis")
            self.text(self.x(tick), self.height - BOTTOM + 18, duration(tick), anchor=anchor)


def nice_ticks(highest: float, count: int = 4) -> Iterator[float]:
    """0, step, 2 step ... up to at least `highest`, with a step of 1, 2 or 5 times a power of ten."""
    step = nice_step(max(highest, 1) / count)
    place = 0
    while True:
        yield place * step
        if place * step >= highest and place:
            return
        place += 1


def nice_step(rough: float) -> float:
    """The next step of 1, 2 or 5 times a power of ten that is not below `rough`."""
    power = 1.0
    while power * 10 <= rough:
        power *= 10
    while power > rough:
        power /= 10
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return max(1, round(step)) if step >= 1 or rough > 0.2 else step


def nice_seconds(span: float) -> Iterator[float]:
    """Instants for a time axis: at most eight whole steps that people count in."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
    step = next((one for one in steps if span / one <= 8), span / 8) if span > 2 else span / 4
    place = 0
    while place * step <= span * 1.0001:
        yield place * step
        place += 1


def duration(seconds: float) -> str:
    """`0.25 s`, `42 s`, `3 min`, `3 min 20 s`, `2 h`: short, for axes and tables."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
