"""The certificate on a terminal: a table with rich where it is installed, plain columns where it is not."""

from collections.abc import Iterator
from typing import TextIO

from ops.certificate.model import Certificate, Check, LimitFinding, Place, Regime, Service, Turn

try:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ModuleNotFoundError:  # pragma: no cover - the plain form is tested by itself
    HAS_RICH = False
else:
    HAS_RICH = True

WIDTH_OF_A_FILE = 120
TENANTS_SHOWN = 5
COLUMNS = ("promise", "held to", "worst case", "margin", "verdict")
Row = tuple[str, str, str, str, str]


def show(certificate: Certificate, out: TextIO) -> None:
    """Write the table, the waits and the one-line verdict with its reasons."""
    if HAS_RICH:
        _rich(certificate, out)
    else:
        out.writelines(f"{line}\n" for line in plain_lines(certificate))


def verdict_line(certificate: Certificate) -> str:
    """`CERTIFICATE: PASS`, or `CERTIFICATE: FAIL: ` and the first reason."""
    if certificate.verdict == "PASS":
        return "CERTIFICATE: PASS"
    more = f" (and {len(certificate.reasons) - 1} more)" if len(certificate.reasons) > 1 else ""
    return f"CERTIFICATE: FAIL: {certificate.reasons[0]}{more}"


def table_rows(certificate: Certificate) -> list[Row]:
    """One row per limit, then one per promise about money and order."""
    return limit_rows(certificate) + [check_row(one) for one in certificate.checks]


def limit_rows(certificate: Certificate) -> list[Row]:
    """One row per limit, and one for each value that it had if it changed."""
    return [row for one in certificate.limits for row in (_limit_row(one), *map(_regime_row, one.regimes))]


def plain_lines(certificate: Certificate) -> Iterator[str]:
    """The certificate as columns of plain text."""
    rows = [COLUMNS, *table_rows(certificate)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield from _tail(certificate)


def _limit_row(finding: LimitFinding) -> Row:
    used = f", {finding.used_percent:g}% used" if finding.used_percent is not None else ""
    start = f" at {_clock(finding.where)}" if finding.where else ""
    return (
        finding.name,
        f"{finding.limit:g}{used}",
        f"{finding.worst:g}{start}",
        f"{finding.margin:g}",
        f"OVER {finding.violations}x" if finding.over else "holds",
    )


def _regime_row(regime: Regime) -> Row:
    """One value of a limit that changed: the row of the limit is above it."""
    since = f"from {_time_of_day(regime.from_at)}" if regime.from_at else "at first"
    until = f" to {_time_of_day(regime.until_at)}" if regime.until_at else ""
    verdict = f"OVER {regime.violations}x" if regime.violations else "holds"
    return (f"  {since}{until}", f"{regime.limit:g}", f"{regime.worst:g}", f"{regime.margin:g}", verdict)


def _clock(place: Place) -> str:
    """Time of day is enough for a table; the reasons and the JSON have the whole instant."""
    return _time_of_day(place.start_at) if place.start_at else str(place.start_ns)


def _time_of_day(instant: str) -> str:
    return instant.partition("T")[2].rstrip("Z")


def check_row(check: Check) -> Row:
    """One promise about money, order or service, as the columns of the table."""
    verdict = {True: "holds", False: "BROKEN", None: "stated" if check.worst else "not examined"}[check.holds]
    worst = check.worst
    if check.holds is False or (check.holds and not worst):
        worst = f"{check.count} broken" + (f"; {worst}" if worst else "")
    return (check.promise, check.bound, worst, "", verdict)


def _tail(certificate: Certificate) -> Iterator[str]:
    calls = certificate.calls
    yield ""
    yield (
        f"{calls.total} calls in {certificate.seconds:g} s ({calls.posts} posts, {calls.lookups} look-ups, "
        f"{calls.other} other), {certificate.documents} documents, "
        f"{calls.refused_429} refused by the ERP (429), "
        f"{calls.unfinished} without an end, {certificate.sources.restarts} restarts of the ERP"
    )
    for wait in certificate.waits:
        yield (
            f"lane {wait.lane}: {wait.count} waited, p50 {wait.p50_seconds:.3f} s, "
            f"p99 {wait.p99_seconds:.3f} s, max {wait.max_seconds:.3f} s"
        )
    yield from _service_lines(certificate.service)
    yield from (f"note: {note}" for note in certificate.notes)
    yield f"log sha256 {certificate.sources.log_sha256}"
    if certificate.sources.accepted_sha256:
        yield f"accepted sha256 {certificate.sources.accepted_sha256}"
    yield f"certificate sha256 {certificate.sha256}"
    yield verdict_line(certificate)
    yield from (f"  - {reason}" for reason in certificate.reasons)


def _service_lines(service: Service | None) -> Iterator[str]:
    if service is None:
        return
    if service.newcomer is not None:
        yield newcomer_line(service.newcomer)
    for one in service.tenants[:TENANTS_SHOWN]:
        still = f", {one.waiting} still wait" if one.waiting else ""
        yield (
            f"tenant {one.tenant or '(none)'}, weight {one.weight:g}: {one.calls} calls, longest wait "
            f"{one.longest_seconds:.3f} s, {one.longest_rounds:g} rounds{still}"
        )
    if more := service.tenants_total - len(service.tenants[:TENANTS_SHOWN]):
        yield f"and {more} more tenants that waited fewer rounds; the JSON has up to 100"


def newcomer_line(turn: Turn) -> str:
    """What became of the message that came behind the longest queue of others."""
    return (
        f"one new message of tenant {turn.tenant or '(none)'} ({turn.key}) behind {turn.behind:,} of others in lane "
        f"{turn.lane} started after {turn.overtaken_by} of their calls; one round was {turn.round_calls:g}"
    )


def _rich(certificate: Certificate, out: TextIO) -> None:
    width = None if out.isatty() else WIDTH_OF_A_FILE
    console = Console(file=out, width=width, soft_wrap=not out.isatty(), highlight=False)
    table = Table(title=f"Surge certificate, profile {certificate.profile or 'unnamed'}", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column == "margin" else "left", overflow="fold")
    for row in table_rows(certificate):
        table.add_row(*row[:-1], Text(row[-1], style=_style(row[-1])))
    console.print(table)
    for line in _tail(certificate):
        console.print(Text(line, style=_line_style(line)))


def _line_style(line: str) -> str:
    if not line.startswith("CERTIFICATE:"):
        return ""
    return "bold green" if line == "CERTIFICATE: PASS" else "bold red"


def _style(verdict: str) -> str:
    return {"holds": "green", "stated": "", "not examined": "dim"}.get(verdict, "bold red")
