"""From a certificate and the two files it was made from to the report's files."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ops.certificate import Certificate, read_accepted, read_log
from ops.report.charts import calls_chart, concurrency_chart
from ops.report.page import page
from ops.report.series import Curves, Mark, curves
from ops.report.tables import Foreseen


class ReportPaths(Struct, frozen=True):
    """Where the report is: the page, its main chart, and the numbers behind both."""

    html: Path
    svg: Path
    json: Path


class _Numbers(Struct):
    certificate: Certificate
    curves: Curves
    foreseen: list[Foreseen]


class SourceChanged(ValueError):
    """A file is not the one that the certificate was made from."""


def build_report(
    certificate: Certificate,
    erp_log: Path,
    accepted: Path | None,
    out_dir: Path,
    events: Sequence[Mark] = (),
    foreseen: Sequence[Foreseen] = (),
) -> ReportPaths:
    """Write `report.html`, `calls.svg` and `report.json` into `out_dir` (made if it is missing).

    events: what happened during the run, drawn as vertical marks. foreseen: forecasts, and what came true.
    Raises SourceChanged when a file is not
    the one that was certified, Unreadable and OSError as `certify` does. Same input, same bytes.
    """
    log = read_log(erp_log)
    told = read_accepted(accepted) if accepted is not None else None
    _check("ERP log", certificate.sources.log_sha256, log.sha256)
    _check("accepted list", certificate.sources.accepted_sha256, told.sha256 if told else None)
    drawn = curves(certificate, log, told.rows if told else [], events)
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = ReportPaths(out_dir / "report.html", out_dir / "calls.svg", out_dir / "report.json")
    paths.html.write_text(page(certificate, drawn, foreseen), "utf-8")
    paths.svg.write_text(calls_chart(drawn, standalone=True) or concurrency_chart(drawn, standalone=True), "utf-8")
    paths.json.write_bytes(msgspec.json.format(msgspec.json.encode(_Numbers(certificate, drawn, list(foreseen)))))
    return paths


def _check(what: str, certified: str | None, found: str | None) -> None:
    if certified != found:
        raise SourceChanged(f"the {what} has sha256 {found}, the certificate is about {certified}; certify it again")
