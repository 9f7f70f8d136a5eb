"""`tidegate top` and the report page as SVG; nothing in them is loaded from elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from rich.console import Console

from ops.certificate import Certificate
from ops.certificate.present import COLUMNS, table_rows
from ops.report import charts
from ops.report.series import LANE_ORDER, Curves
from ops.report.svg import STYLE
from ops.top import Picture

WAITING = "Waiting for the ERP"
_WIDTH, _ROW, _GAP = 760, 20, 18
_COLUMNS_AT = (0, 270, 380, 690)
_LEGEND = "".join(f'<tspan class="f-{lane}" dx="14" font-size="12">{lane}</tspan>' for lane in LANE_ORDER)


def top_svg(top: dict[str, Any], columns: int = 120) -> str:
    """The screen of `tidegate top` as SVG; nothing in it is loaded from elsewhere."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Picture(top, spaced=True))
    drawn = console.export_svg(title="tidegate top", unique_id="top")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # the fonts would come from a server


def report_svg(certificate: Certificate, drawn: Curves) -> str:
    """The report page as one SVG: the verdict, the charts, and what was promised with the worst case found."""
    parts: list[str] = []
    y = 34
    verdict = f"{certificate.verdict}: profile {certificate.profile or 'unnamed'}, {certificate.calls.total:,} calls"
    parts.append(f'<text x="14" y="{y - 10}" class="strong" font-size="18">{escape(verdict)}</text>')
    for title, chart in _charts(drawn):
        parts.append(f'<text x="14" y="{y + _ROW}" class="strong" font-size="14">{title}{_legend(title)}</text>')
        height = int(float(re.search(r'viewBox="0 0 [0-9.]+ ([0-9.]+)"', chart)[1]))  # type: ignore[index]
        placed = f'<svg x="0" y="{y + _ROW + 6}" width="{_WIDTH}" height="{height}" '
        parts.append(chart.replace("<svg ", placed, 1))
        y += _ROW + 6 + height + _GAP
    for number, row in enumerate([COLUMNS, *table_rows(certificate)]):
        css = "strong" if number == 0 else ""
        parts += [
            f'<text x="{14 + x}" y="{y + _ROW}" class="{css}" font-size="11">{escape(_cut(cell))}</text>'
            for x, cell in zip(_COLUMNS_AT, (row[0], row[1], row[2], row[-1]), strict=True)
        ]
        y += _ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + _GAP}" width="{_WIDTH}">'
    back = f'<style>{STYLE}</style><rect width="{_WIDTH}" height="{y + _GAP}" class="paper" fill="#fff"/>'
    return (
        head
        + back.replace("@media(prefers-color-scheme:dark)", "@media print and (width:0)")
        + "".join(parts)
        + "</svg>\n"
    )


def _charts(drawn: Curves) -> Iterator[tuple[str, str]]:
    for title, chart in (
        ("Calls at the ERP", charts.calls_chart(drawn)),
        ("Calls at the same time", charts.concurrency_chart(drawn)),
        (WAITING, charts.backlog_chart(drawn)),
        ("How long each lane waited", charts.waits_chart(drawn.lanes)),
    ):
        if chart:
            yield title, chart


def _legend(title: str) -> str:
    """Which colour is whose, where the chart's own curves do not say."""
    return _LEGEND if title == WAITING else ""


def _cut(text: str) -> str:
    return text if len(text) <= 52 else text[:51] + "…"
