"""`tidegate surge --virtual`: the day, its certificate, report and summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from ops.certificate import Certificate, certify
from ops.certificate.present import show
from ops.packs.day import DAY_HOURS
from ops.report import Foreseen, build_report
from ops.virtual.day import Plan, run_day
from ops.virtual.erp import Mood
from ops.virtual.questions import Question
from ops.virtual.summary import Numbers, sentences, summarise, write
from ops.virtual.world import World


def run_virtual(
    out: Path,
    as_json: bool,
    *,
    pack: str,
    cases: int,
    seed: int,
    hours: float | None,
    profile: str | None,
    limits: tuple[str, ...],
    **mood: float | None,
) -> int:
    """Simulate, certify, draw, sum up; the exit code says whether everything held. `mood`: fields of Mood, or None.

    Raises click.UsageError for limits that make no sense.
    """
    given = {name: value for name, value in mood.items() if value is not None}
    plan = Plan(pack, cases, seed, hours or DAY_HOURS, profile or Plan().profile, limits, Mood(**given))
    try:
        certificate, numbers = simulate(plan, out)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    if as_json:
        summary = {"certificate": msgspec.to_builtins(certificate), "summary": msgspec.to_builtins(numbers)}
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        show(certificate, sys.stdout)
        sys.stdout.write("\n" + "\n".join(sentences(numbers)) + "\n")
        sys.stdout.write(f"report: {out / 'report.html'}\nsummary: {out / 'summary.json'}\n")
    return 0 if certificate.verdict == "PASS" else 1


def simulate(plan: Plan, out: Path) -> tuple[Certificate, Numbers]:
    """Run the day and write all its files into `out`, anew: log, accepted list, certificate, report, summary.

    Raises what `run_day` raises.
    """
    world, files, questions = run_day(plan, out)
    certificate = certify(files.erp_log, files.accepted)
    (out / "certificate.json").write_bytes(msgspec.json.format(msgspec.json.encode(certificate)) + b"\n")
    foreseen = [told for question in questions for told in _foreseen(question, world)]
    build_report(certificate, files.erp_log, files.accepted, out, foreseen=foreseen)
    numbers = summarise(plan, world, certificate)
    write(numbers, out / "summary.json")
    return certificate, numbers


def _foreseen(question: Question, world: World) -> Iterator[Foreseen]:
    begun_ns = world.fates[0].accepted_ns
    for one in question.outcomes(world.fates):
        what = "everything" if one.what == "total" else f"{one.what} {one.name}"
        told = one.interval
        asked = (question.asked_ns - begun_ns) / 1e9
        yield Foreseen(asked, what, told.waiting, told.low, told.likely, told.high, round(one.truth, 3))
