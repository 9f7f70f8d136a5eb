"""The page's tables beside that of the promises."""

from collections.abc import Iterable, Sequence
from html import escape

from msgspec import Struct

from ops.report.series import TenantWaits
from ops.report.svg import duration

TENANTS_SHOWN = 30


class Foreseen(Struct, frozen=True):
    """A forecast of the run and what came true, in seconds from when it was asked. None: never, or not yet.

    asked_seconds: from the start of the run. what: `everything`, `lane bulk`, `tenant acme`. steps: how often
    somebody changed limits, killed the daemon and the like between question and truth, which no forecast knows.
    """

    asked_seconds: float
    what: str
    waiting: int
    low: float | None
    likely: float | None
    high: float | None
    truth: float | None
    held: bool = False
    """It said that a person has to act first, and who: nothing that could come true or not."""
    steps: int = 0

    @property
    def verdict(self) -> str:
        """Whether the truth lies in the interval."""
        if self.truth is None:
            return "open"
        if self.held:
            return "held"
        inside = self.low is not None and self.low <= self.truth and (self.high is None or self.truth <= self.high)
        return "within" if inside else "outside"


def table(title: str, lead: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A section with a table; nothing if there are no rows."""
    body = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in rows)
    if not body:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return (
        f'<section><h2>{escape(title)}</h2><p class="soft">{escape(lead)}</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></section>"
    )


def _cells(columns: Sequence[str], row: Sequence[str]) -> str:
    cells = zip(columns, row, strict=True)
    return "".join(f'<td data-c="{escape(column)}">{escape(cell)}</td>' for column, cell in cells)


def tenants_section(tenants: Sequence[TenantWaits]) -> str:
    """How long each tenant waited, a row for each of its lanes."""
    lead = "From acceptance to the call that made the document; the tenants with the most messages first."
    if len(tenants) > TENANTS_SHOWN:
        lead += f" {TENANTS_SHOWN} of {len(tenants)} are shown; all are in report.json."
    rows = (
        (tenant.tenant, one.lane, f"{one.count:,}", *map(duration, (one.p50_seconds, one.p99_seconds, one.max_seconds)))
        for tenant in tenants[:TENANTS_SHOWN]
        for one in tenant.lanes
    )
    return table("How long each tenant waited", lead, ("tenant", "lane", "messages", "p50", "p99", "longest"), rows)


def foreseen_section(foreseen: Sequence[Foreseen]) -> str:
    """What was forecast during the run, and what came true."""
    lead = (
        f"Time until the last of the calls that waited then was done; the interval is meant to hold in four cases of "
        f"five. Here: {held_of(foreseen)}; those of one moment share their luck."
    )
    columns = ("asked after", "time to drain of", "waiting", "likely", "between", "came true", "steps meanwhile", "")
    rows = (
        (
            duration(one.asked_seconds),
            one.what,
            f"{one.waiting:,}",
            _time(one.likely),
            f"{_time(one.low)} .. {_time(one.high)}",
            "-" if one.truth is None else duration(one.truth),
            f"{one.steps}",
            one.verdict,
        )
        for one in foreseen
        if not one.what.startswith("tenant")
    )
    return table("What was forecast, and what came true", lead, columns, rows)


def held_of(foreseen: Sequence[Foreseen]) -> str:
    """How many held, those apart after which somebody intervened."""
    known = [one for one in foreseen if one.truth is not None and not one.held]
    calm = [one for one in known if not one.steps]
    said = f"{sum(one.verdict == 'within' for one in calm)} of {len(calm)} within their interval"
    if len(calm) == len(known):
        return said
    rest = [one for one in known if one.steps]
    inside = sum(one.verdict == "within" for one in rest)
    return f"{said}, and {inside} of {len(rest)} of those with interventions after they were asked"


def _time(seconds: float | None) -> str:
    return "never" if seconds is None else duration(seconds)
