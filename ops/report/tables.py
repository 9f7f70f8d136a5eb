"""The page's tables beside that of the promises."""

from collections.abc import Iterable, Sequence
from html import escape

from ops.report.series import TenantWaits
from ops.report.svg import duration

TENANTS_SHOWN = 30


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
