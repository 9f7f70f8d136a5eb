"""Runs a mutant, or a healthy control, and says by which findings the certificate caught it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ops.certificate import Certificate, certify
from ops.certificate.model import LimitFinding, Turn
from ops.certificate.present import newcomer_line
from tests.fault.mutants.catalogue import HEALTHY, MUTANTS, Mutant
from tests.fault.mutants.desk import Parts
from tests.fault.mutants.scenarios import Scenario, run
from tests.fault.mutants.world import FILE_NAME

LINE_WIDTH = 160


@dataclass(frozen=True)
class Verdict:
    """What the certificate found, by name, each with its line of the log."""

    findings: dict[str, str]
    lines: dict[str, int | None]
    log: Path
    turn: Turn | None

    def newcomer(self) -> str:
        """What became of the message of a tenant that had nothing waiting, behind the longest queue of others."""
        return newcomer_line(self.turn) if self.turn is not None else ""

    def convicting(self, finding: str) -> str:
        """The line of the log that convicts, as it stands there."""
        number = self.lines.get(finding)
        if number is None:
            return ""
        text = self.log.read_text().splitlines()[number - 1].partition(',"chain"')[0]
        return f"line {number}: {text[:LINE_WIDTH]}"


def control(scenario: Scenario, place: Path) -> Verdict:
    """The run with nothing wrong."""
    return verdict_of(run(scenario, HEALTHY.get(scenario.name, Parts()), place), place)


def attempt(mutant: Mutant, place: Path) -> Verdict:
    """The run with the fault."""
    certificate = run(mutant.scenario, mutant.parts, place)
    if mutant.tamper is not None:
        mutant.tamper(place / FILE_NAME)
        certificate = certify(place / FILE_NAME, place / "accepted.jsonl", terms=mutant.scenario.terms)
    return verdict_of(certificate, place)


def scenarios() -> list[Scenario]:
    """Every run that a mutant needs, once."""
    return list({mutant.scenario.name: mutant.scenario for mutant in MUTANTS}.values())


def verdict_of(certificate: Certificate, place: Path) -> Verdict:
    """What a certificate found, by name."""
    findings: dict[str, str] = {}
    lines: dict[str, int | None] = {}
    for limit in certificate.limits:
        if limit.over:
            name = _name(limit)
            findings[name] = f"{limit.worst:g} where {limit.limit:g} are allowed, {limit.violations}x"
            calls = limit.where.calls if limit.where else []
            lines[name] = calls[min(int(limit.limit), len(calls) - 1)].line if calls else None
    for check in certificate.checks:
        if check.holds is False:
            findings[check.name] = check.examples[0].detail
            lines[check.name] = check.examples[0].line
    turn = certificate.service.newcomer if certificate.service else None
    return Verdict(findings, lines, place / FILE_NAME, turn)


def _name(limit: LimitFinding) -> str:
    """Kind, window, and what it counts: concurrent, rate/1s, rate/3s/object, rate/3s/post."""
    window = "" if limit.seconds is None else f"/{limit.seconds:g}s"
    each = "/object" if limit.name.endswith("for each object") else ""
    op = "/post" if " post calls" in limit.name else ""
    return f"{limit.kind}{window}{each}{op}"
