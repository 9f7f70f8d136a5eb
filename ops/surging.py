"""`tidegate surge` and the surge of the demo: live progress, then certificate and report."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ops.certificate import HOUSE, Certificate, Held, Terms, read_accepted, read_log
from ops.certificate.certify import state
from ops.certificate.page import page
from ops.certificate.present import show
from ops.client import Client
from ops.foresight import Foresight, sentences
from ops.report import Foreseen
from ops.report.build import build_report
from ops.report.series import Mark
from ops.surge import Progress, Surge
from ops.surge_evidence import Evidence

PATIENCE_SECONDS = 120.0
FAIR = msgspec.structs.replace(HOUSE, idle_percent_max=None)
"""Shares, turns, floors and refusals. Idleness is stated: it is as much the machine's as the daemon's."""
_PLAIN_EVERY_SECONDS = 5.0


class Screen:
    """Progress on a terminal, or a line every few seconds elsewhere."""

    def __init__(self, as_json: bool, title: str) -> None:
        self._console = Console(stderr=as_json)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._title = title
        self._last = 0.0
        self._begun = time.monotonic()

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, progress: Progress) -> None:
        """Show where it stands."""
        if self._console.is_terminal:
            self._live.update(_render(progress, self._title, time.monotonic() - self._begun))
        elif time.monotonic() - self._last > _PLAIN_EVERY_SECONDS:
            self._last = time.monotonic()
            self._console.print(_line(progress, time.monotonic() - self._begun), highlight=False, soft_wrap=True)


def _line(progress: Progress, seconds: float) -> str:
    waiting = ", ".join(f"{lane} {count}" for lane, count in progress.waiting.items())
    load = ", ".join(f"{row['used']}/{row['limit']} ({row['name']})" for row in progress.budget)
    note = f"; {progress.note}" if progress.note else ""
    return (
        f"{seconds:5.0f} s  accepted {progress.accepted}/{progress.total}, settled {progress.settled} "
        f"(posted {progress.posted}), waiting: {waiting or '-'}; ERP load: {load or '-'}{note}"
    )


def _render(progress: Progress, title: str, seconds: float) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    bars = [("accepted", progress.accepted), ("settled", progress.settled), ("posted", progress.posted)]
    for name, count in bars:
        table.add_row(
            name, ProgressBar(total=max(progress.total, 1), completed=count, width=40), f"{count}/{progress.total}"
        )
    for row in progress.budget:
        bar = ProgressBar(total=row["limit"], completed=min(row["used"], row["limit"]), width=40)
        table.add_row(f"ERP load {row['name']}", bar, f"{row['used']}/{row['limit']}")
    waiting = "   ".join(f"{lane} {count}" for lane, count in progress.waiting.items())
    return Group(f"[bold]{title}[/]  {seconds:.0f} s", table, f"waiting  {waiting}", f"[yellow]{progress.note}[/]")


def run_surge(
    client: Client,
    pack: str,
    cases: int,
    seed: int,
    erp_log: Path | None,
    out: Path,
    as_json: bool,
    step: Callable[[Progress], None] = lambda progress: None,
    marks: Callable[[], Sequence[Mark]] = lambda: (),
    hours: float | None = None,
    evidence: Evidence | None = None,
    foresight: Foresight | None = None,
    previous: str = "",
    terms: Callable[[], Terms] = lambda: FAIR,
) -> int:
    """Send, watch, and (with the ERP's log) certify and draw; the exit code says whether everything held.

    hours: send in the shape of a business day of that length; None: as fast as the daemon takes it. evidence,
    foresight: others than usual. previous: the hash of the certificate before this one. terms: what it is held to, with
    the floors and weights that were in force.
    """
    out.mkdir(parents=True, exist_ok=True)
    accepted = out / "accepted.jsonl"
    since_ns = time.monotonic_ns()
    evidence, foresight = evidence or Evidence(), foresight or Foresight(client)
    with Screen(as_json, f"surge {pack}, {cases} cases, seed {seed}") as screen:

        def tell(progress: Progress) -> None:
            screen.tell(progress)
            foresight.look(progress)
            step(progress)

        progress = Surge(client, pack, cases, seed, tell, PATIENCE_SECONDS, hours, evidence).run(accepted)
    foreseen = foresight.conclude(out, [mark.at_ns for mark in marks()])
    if erp_log is None:
        sys.stdout.write(json.dumps(msgspec.to_builtins(progress)) + "\n" if as_json else _line(progress, 0.0) + "\n")
        return 0 if progress.settled == progress.total else 1
    held = Held(since_ns=since_ns, terms=evidence.terms(terms()))
    (out / "terms.json").write_bytes(msgspec.json.encode(held.terms) + b"\n")
    certificate = state(read_log(erp_log), read_accepted(accepted), held, previous)
    return conclude(certificate, erp_log, accepted, out, progress, as_json, marks(), foreseen)


def conclude(
    certificate: Certificate,
    erp_log: Path,
    accepted: Path,
    out: Path,
    progress: Progress,
    as_json: bool,
    marks: Sequence[Mark],
    foreseen: list[Foreseen],
) -> int:
    """The certificate as JSON, page and text, the report, and one summary."""
    (out / "certificate.html").write_text(page([certificate]), "utf-8")
    (out / "certificate.json").write_bytes(msgspec.json.format(msgspec.json.encode(certificate)) + b"\n")
    paths = build_report(certificate, erp_log, accepted, out, events=list(marks), foreseen=foreseen)
    if as_json:
        summary = {"certificate": msgspec.to_builtins(certificate), "report": str(paths.html)}
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        show(certificate, sys.stdout)
        sys.stdout.write(
            f"\n{progress.accepted} accepted ({progress.duplicates} more were recognised as duplicates): "
            f"{progress.posted} posted, {progress.refused} refused with a reason, {progress.approval} await approval, "
            f"{progress.total - progress.settled} unsettled\n"
            + "".join(f"{line}\n" for line in sentences(foreseen))
            + f"report: {paths.html}\ncertificate: {out / 'certificate.json'}\n"
            f"again: tidegate certify {erp_log} --accepted {accepted} --terms {out / 'terms.json'}\n"
        )
    return 0 if certificate.verdict == "PASS" else 1
