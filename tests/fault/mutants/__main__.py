"""`make mutants`: the healthy runs pass, and each mutant is caught by name; one line each. Exit code 1 if not."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.fault.mutants.catalogue import MUTANTS
from tests.fault.mutants.judge import Verdict, attempt, control, scenarios
from tests.fault.mutants.poster import FINDINGS, PLANTED, judged
from tests.fault.mutants.scenarios import BEHIND
from tests.fault.test_planted_bugs import Planted


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run everything; 0 if every control passes and every mutant is caught."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tidegate-mutants-") as folder:
        place = Path(folder)
        bad = sum(_control(number, place) for number in range(len(scenarios())))
        bad += sum(not _sound(bug, place / f"sound-{number}") for number, bug in enumerate(PLANTED))
        caught = sum(_mutant(number, place) for number in range(len(MUTANTS)))
        caught += sum(_planted(bug, place / f"planted-{number}") for number, bug in enumerate(PLANTED))
    took, total = time.monotonic() - begun, len(MUTANTS) + len(PLANTED)
    say(f"\n{caught} of {total} mutants caught by name, {bad} controls failed; {took:.0f} s")
    return 0 if caught == total and not bad else 1


def _control(number: int, place: Path) -> bool:
    scenario = scenarios()[number]
    verdict = control(scenario, place / f"control-{number}")
    passes = _passes(scenario.name, verdict)
    if scenario is BEHIND:
        say(f"             {verdict.newcomer()}")
    return not passes


def _sound(bug: Planted, place: Path) -> bool:
    return _passes(f"poster, {bug.name}", judged(bug, place, planted=False))


def _mutant(number: int, place: Path) -> bool:
    mutant = MUTANTS[number]
    return _caught(mutant.name, mutant.finding, attempt(mutant, place / f"mutant-{number}"))


def _planted(bug: Planted, place: Path) -> bool:
    return _caught(f"poster: {bug.name}", FINDINGS[bug.name], judged(bug, place, planted=True))


def _passes(name: str, verdict: Verdict) -> bool:
    said = "passes" if not verdict.findings else f"FAILS: {verdict.findings}"
    say(f"control  {name}: {said}")
    return not verdict.findings


def _caught(name: str, finding: str, verdict: Verdict) -> bool:
    if finding not in verdict.findings:
        say(f"MISSED   {name}: expected {finding}, found {verdict.findings or 'nothing'}")
        return False
    say(f"caught   {name}: {finding}: {verdict.findings[finding]}")
    if line := verdict.convicting(finding):
        say(f"             {line}")
    return True


if __name__ == "__main__":
    sys.exit(main())
