"""The certificate as one HTML page: nothing loaded from anywhere, light and dark, readable on a phone and on paper."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from ops.certificate.model import Certificate, LaneService, LimitFinding, Regime, Service, TenantService
from ops.certificate.present import COLUMNS, check_row, newcomer_line

CALLS_SHOWN = 25
_STYLE = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5b6675;--edge:#dde2e9;--good:#0b6b3a;
--bad:#a3211a;--fill:#b9c6d8}
@media(prefers-color-scheme:dark){:root{--paper:#10151d;--card:#18202b;--ink:#e8edf4;--soft:#a3afbf;--edge:#2b3442;
--good:#7fdca6;--bad:#ffa59d;--fill:#3d4d66}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:980px;margin:0 auto;padding:20px 16px 48px}h1{font-size:1.5rem;margin:0 0 4px}h2{font-size:1.2rem;
margin:28px 0 6px}h3{font-size:1rem;margin:0 0 6px}section{background:var(--card);border:1px solid var(--edge);
border-radius:10px;padding:14px 16px;margin:12px 0;overflow-x:auto}.soft{color:var(--soft);font-size:.92rem}
.PASS{color:var(--good)}.FAIL,.bad{color:var(--bad)}table{border-collapse:collapse;width:100%;font-size:.92rem;
font-variant-numeric:tabular-nums}th{text-align:left;color:var(--soft);font-weight:600}th,td{padding:6px 12px 6px 0;
border-bottom:1px solid var(--edge);vertical-align:top}tr:last-child td{border-bottom:0}code{font-size:.8rem;
overflow-wrap:anywhere}.bar{background:var(--edge);border-radius:4px;height:8px;min-width:90px}.bar i{display:block;
height:8px;border-radius:4px;background:var(--fill)}.bar .over{background:var(--bad)}summary{cursor:pointer}
@media print{body{background:#fff}section{break-inside:avoid}}
"""


def page(certificates: Sequence[Certificate]) -> str:
    """The whole document for one log or several."""
    passed = all(one.verdict == "PASS" for one in certificates)
    verdict = "PASS" if passed else "FAIL"
    systems = "one system" if len(certificates) == 1 else f"{len(certificates)} systems"
    return "".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>Certificate: {verdict}</title><style>{_STYLE}</style><main>",
            f'<h1 class="{verdict}">Certificate: {verdict}</h1>',
            f'<p class="soft">What {systems} experienced, by their own logs and by what clients were told.</p>',
            *(part for one in certificates for part in _system(one)),
            "</main></html>\n",
        ]
    )


def _system(one: Certificate) -> Iterator[str]:
    yield f'<h2>{escape(one.profile or "unnamed")}: <span class="{one.verdict}">{one.verdict}</span></h2>'
    if one.reasons:
        yield f"<section><h3>Why it fails</h3>{_list(one.reasons)}</section>"
    limits = (row for limit in one.limits for row in (_limit_row(limit), *map(_regime_row, limit.regimes)))
    yield _section("Every limit, every window", "", _table(_LIMIT_COLUMNS, limits))
    yield from (_where(limit) for limit in one.limits if limit.where is not None)
    rows = (_promise_row(check_row(check)) for check in one.checks)
    yield _section("Promises", "", _table((*COLUMNS[:3], COLUMNS[4]), rows))
    if one.service is not None:
        yield from _service(one.service)
    yield _sources(one)


_LIMIT_COLUMNS = ("limit", "worst", "", "margin", "used", "from", "verdict")


def _limit_row(limit: LimitFinding) -> Iterator[str]:
    yield escape(limit.name)
    yield f"{limit.worst:g}"
    part = min(100.0, 100 * limit.worst / limit.limit)
    yield f'<div class="bar"><i class="{"over" if limit.over else ""}" style="width:{part:.1f}%"></i></div>'
    yield f"{limit.margin:g}"
    yield "" if limit.used_percent is None else f"{limit.used_percent:g}%"
    yield escape((limit.where.start_at or str(limit.where.start_ns)) if limit.where else "")
    yield f'<b class="bad">over {limit.violations}x</b>' if limit.over else "holds"


def _regime_row(regime: Regime) -> Iterator[str]:
    yield f'<span class="soft">{regime.limit:g}, {escape(regime.from_at or "at first")}</span>'
    yield f"{regime.worst:g}"
    part = min(100.0, 100 * regime.worst / regime.limit)
    yield f'<div class="bar"><i class="{"over" if regime.violations else ""}" style="width:{part:.1f}%"></i></div>'
    yield f"{regime.margin:g}"
    yield ""
    yield escape(f"to {regime.until_at}" if regime.until_at else "")
    yield f'<b class="bad">over {regime.violations}x</b>' if regime.violations else "holds"


def _where(limit: LimitFinding) -> str:
    place = limit.where
    if place is None:
        return ""
    rows = (
        (str(call.line), str(call.seq), escape(call.op), f"{(call.arrived_ns - place.start_ns) / 1e6:.3f} ms")
        for call in place.calls[:CALLS_SHOWN]
    )
    more = f" (the first {CALLS_SHOWN} shown)" if place.calls_total > CALLS_SHOWN else ""
    title = f"{escape(limit.name)}: the {place.calls_total} calls of the worst window{more}"
    table = _table(("line of the log", "call", "operation", "after its start"), rows)
    return f'<section><details><summary class="soft">{title}</summary>{table}</details></section>'


def _promise_row(row: tuple[str, ...]) -> Iterator[str]:
    yield from (escape(cell) for cell in row[:3])
    yield f'<b class="bad">{escape(row[4])}</b>' if row[4] == "BROKEN" else escape(row[4])


_LANE_COLUMNS = ("lane", "calls", "still wait", "longest wait", "share while it waited", "others in a row", "lower")
_TENANT_COLUMNS = ("tenant", "weight", "calls", "still wait", "longest wait", "in rounds")


def _service(service: Service) -> Iterator[str]:
    if service.newcomer is not None:
        yield _section("One new message behind many", f"{escape(newcomer_line(service.newcomer))}.", "")
    yield _section("Lanes", "", _table(_LANE_COLUMNS, (_lane_row(lane) for lane in service.lanes)))
    said = f"{service.tenants_total:,} in all; those that waited most rounds first."
    yield _section("Tenants", said, _table(_TENANT_COLUMNS, (_tenant_row(one) for one in service.tenants)))


def _lane_row(lane: LaneService) -> Iterator[str]:
    yield escape(lane.lane)
    yield f"{lane.calls:,}"
    yield f"{lane.waiting:,}"
    yield f"{lane.longest_seconds:.3f} s"
    yield "" if lane.share_percent is None else f"{lane.share_percent:g}%"
    yield str(lane.longest_run)
    yield f"{lane.lower_calls} of {lane.spell_calls}"


def _tenant_row(tenant: TenantService) -> Iterator[str]:
    yield escape(tenant.tenant or "(none)")
    yield f"{tenant.weight:g}"
    yield f"{tenant.calls:,}"
    yield f"{tenant.waiting:,}"
    yield f"{tenant.longest_seconds:.3f} s"
    yield f"{tenant.longest_rounds:g}"


def _sources(one: Certificate) -> str:
    sources = one.sources
    lines = [f"ERP log, {sources.log_lines:,} lines, {sources.restarts} restarts: <code>{sources.log_sha256}</code>"]
    lines.append(f"its last line: <code>{sources.log_chain or 'not chained'}</code>")
    if sources.accepted_sha256:
        lines.append(f"accepted list, {sources.accepted_messages:,} messages: <code>{sources.accepted_sha256}</code>")
    if one.previous:
        lines.append(f"the certificate before this one: <code>{one.previous}</code>")
    lines.append(f"this certificate: <code>{one.sha256}</code>")
    lines += [f"note: {escape(note)}" for note in one.notes]
    return _section("Read from", "", _list(lines, plain=True))


def _section(title: str, lead: str, body: str) -> str:
    said = f"<p>{lead}</p>" if lead else ""
    return f"<section><h3>{title}</h3>{said}{body}</section>"


def _list(items: Iterable[str], plain: bool = False) -> str:
    return "<ul>" + "".join(f"<li>{item if plain else escape(item)}</li>" for item in items) + "</ul>"


def _table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
