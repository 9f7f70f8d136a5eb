"""The page: one HTML file, nothing loaded from anywhere, light and dark, readable on a phone."""

from collections.abc import Iterator, Sequence
from html import escape

from ops.certificate import Certificate
from ops.certificate.model import NANOSECONDS_PER_SECOND
from ops.certificate.order import quantile
from ops.certificate.present import COLUMNS, table_rows
from ops.report import charts
from ops.report.series import Curves, LaneCurve
from ops.report.svg import STYLE, duration
from ops.report.tables import Foreseen, foreseen_section, tenants_section

_PAGE_STYLE = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5b6675;--edge:#dde2e9;
--good:#0b6b3a;--good-back:#e3f4ea;--bad:#a3211a;--bad-back:#fcebe9}
@media(prefers-color-scheme:dark){:root{--paper:#10151d;--card:#18202b;--ink:#e8edf4;--soft:#a3afbf;
--edge:#2b3442;--good:#7fdca6;--good-back:#12301f;--bad:#ffa59d;--bad-back:#3a1815}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:940px;margin:0 auto;padding:20px 16px 48px}h1{font-size:1.05rem;font-weight:600;margin:0 0 12px}
h2{font-size:1.05rem;margin:0 0 2px}section{background:var(--card);border:1px solid var(--edge);border-radius:12px;
padding:16px 18px;margin:14px 0}p{margin:2px 0 8px}.soft{color:var(--soft);font-size:.92rem}
.verdict{border-radius:12px;padding:18px 20px;margin:0 0 14px;border:1px solid currentColor}
.verdict strong{font-size:1.7rem;line-height:1.2;display:block}.verdict p,.verdict ul{color:var(--ink);margin:6px 0 0}
.verdict ul{padding-left:20px;overflow-wrap:anywhere}
.PASS{background:var(--good-back);color:var(--good)}.FAIL{background:var(--bad-back);color:var(--bad)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:10px;margin:0}
.facts div{background:var(--card);border:1px solid var(--edge);border-radius:12px;padding:10px 14px}
.facts dt{color:var(--soft);font-size:.84rem}.facts dd{margin:0;white-space:nowrap;font-size:1.2rem;font-weight:600}
.scroll{overflow-x:auto}.scroll svg{display:block;width:100%;min-width:600px;height:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:600}th,td{padding:7px 10px 7px 0;border-bottom:1px solid var(--edge)}
tr:last-child td{border-bottom:0}td:last-child{font-weight:600;white-space:nowrap}
.holds{color:var(--good)}.broken{color:var(--bad)}.unseen{color:var(--soft);font-weight:400!important}
.legend{display:flex;gap:2px 18px;flex-wrap:wrap;font-size:.9rem;margin:4px 0}
.legend svg{width:26px;height:10px;display:inline-block;margin-right:6px}
code{font-size:.82rem;overflow-wrap:anywhere}.facts+section{margin-top:14px}
@media(max-width:620px){thead{display:none}tr{display:block;padding:9px 0;border-bottom:1px solid var(--edge)}
td{display:block;border:0;padding:1px 0}td:empty{display:none}
td[data-c]:before{content:attr(data-c)": ";color:var(--soft)}
td:first-child{font-weight:600}td:first-child:before{content:none!important}}
"""


def page(certificate: Certificate, curves: Curves, foreseen: Sequence[Foreseen] = ()) -> str:
    """The whole document."""
    return "".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>Surge certificate: {certificate.verdict}</title><style>{_PAGE_STYLE}{STYLE}</style><main>",
            f"<h1>Surge certificate, profile {escape(certificate.profile or 'unnamed')}</h1>",
            _verdict(certificate),
            _facts(certificate),
            *_charts(curves),
            tenants_section(curves.tenants),
            foreseen_section(foreseen),
            _table(certificate),
            _sources(certificate),
            "</main></html>\n",
        ]
    )


def _verdict(certificate: Certificate) -> str:
    if certificate.verdict == "PASS":
        body = "<strong>✓ PASS</strong><p>Everything that was examined holds, in every window and at every instant.</p>"
    else:
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in certificate.reasons)
        body = f"<strong>✕ FAIL</strong><ul>{reasons}</ul>"
    notes = "".join(f'<p class="soft">Note: {escape(note)}.</p>' for note in certificate.notes)
    return f'<div class="verdict {certificate.verdict}">{body}{notes}</div>'


def _facts(certificate: Certificate) -> str:
    calls = certificate.calls
    used = [one for one in certificate.limits if one.kind == "rate" and one.used_percent is not None]
    facts = [
        ("calls at the ERP", f"{calls.total:,}"),
        ("documents", f"{certificate.documents:,}"),
        ("duration", duration(certificate.seconds)),
        ("refused by the ERP", f"{calls.refused_429:,}"),
        *(("of the rate used", f"{one.used_percent:g}%") for one in used),
    ]
    return '<dl class="facts">' + "".join(f"<div><dt>{a}</dt><dd>{b}</dd></div>" for a, b in facts) + "</dl>"


def _charts(curves: Curves) -> Iterator[str]:
    slice_ = duration(curves.slice_ns / NANOSECONDS_PER_SECOND)
    yield _section(
        "Calls at the ERP",
        f"Bars: average over each {slice_}. Line: fullest sliding window that starts there.",
        charts.calls_chart(curves),
    )
    yield _section("Calls at the same time", f"Most at one instant of each {slice_}.", charts.concurrency_chart(curves))
    legend = _legend([(lane.lane, f"{lane.lane}, at most {max(lane.backlog):,}") for lane in curves.lanes])
    yield _section(
        "Waiting for the ERP", "Accepted messages whose document is not yet made.", charts.backlog_chart(curves), legend
    )
    yield _section(
        "How long each lane waited",
        "From acceptance to the call that made the document; logarithmic axis; marks at p50 and p99.",
        charts.waits_chart(curves.lanes),
        _legend([(lane.lane, _waited(lane)) for lane in curves.lanes]),
    )


def _section(title: str, lead: str, chart: str, legend: str = "") -> str:
    if not chart:
        return ""
    return (
        f'<section><h2>{title}</h2><p class="soft">{lead}</p>{legend}'
        f'<div class="scroll" tabindex="0">{chart}</div></section>'
    )


def _legend(entries: list[tuple[str, str]]) -> str:
    spans = (
        f'<span><svg viewBox="0 0 26 10" aria-hidden="true"><line x1="0" y1="5" x2="26" y2="5" '
        f'class="lane {charts.css(lane)}"/></svg>{escape(text)}</span>'
        for lane, text in entries
    )
    return f'<div class="legend">{"".join(spans)}</div>'


def _waited(lane: LaneCurve) -> str:
    p50, p99 = (duration(quantile(lane.waits_ns, percent) / NANOSECONDS_PER_SECOND) for percent in (50, 99))
    longest = duration(lane.waits_ns[-1] / NANOSECONDS_PER_SECOND)
    return f"{lane.lane}, {len(lane.waits_ns):,}: p50 {p50}, p99 {p99}, max {longest}"


def _table(certificate: Certificate) -> str:
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    rows = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in table_rows(certificate))
    return (
        "<section><h2>What was promised, and the worst case found</h2>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _cells(row: tuple[str, ...]) -> Iterator[str]:
    for column, cell in zip(COLUMNS[:-1], row[:-1], strict=True):
        yield f'<td data-c="{column}">{escape(cell)}</td>'
    css, sign = {"holds": ("holds", "✓"), "not examined": ("unseen", "–"), "stated": ("unseen", "·")}.get(
        row[-1], ("broken", "✕")
    )
    yield f'<td class="{css}">{sign} {escape(row[-1])}</td>'


def _sources(certificate: Certificate) -> str:
    sources = certificate.sources
    lines = [f"ERP log, {sources.log_lines:,} lines: <code>{sources.log_sha256}</code>"]
    if sources.accepted_sha256:
        lines.append(f"Accepted list, {sources.accepted_messages:,} messages: <code>{sources.accepted_sha256}</code>")
    lines.append(f"Certificate: <code>{certificate.sha256}</code>")
    lines.append(
        "The same files give the same certificate: <code>python -m ops.certificate ERP_LOG --accepted FILE</code>"
    )
    return "<section><h2>Read from</h2>" + "".join(f'<p class="soft">{line}</p>' for line in lines) + "</section>"
