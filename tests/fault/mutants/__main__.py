"""`make mutants`: the healthy runs pass, and each mutant is caught by name; one line each. Exit code 1 if not."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.fault.mutants.catalogue import MUTANTS
from tests.fault.mutants.judge import attempt, control, scenarios
from tests.fault.mutants.scenarios import BEHIND


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
        caught = sum(_mutant(number, place) for number in range(len(MUTANTS)))
    took = time.monotonic() - begun
    say(f"\n{caught} of {len(MUTANTS)} mutants caught by name, {bad} controls failed; {took:.0f} s")
    return 0 if caught == len(MUTANTS) and not bad else 1


def _control(number: int, place: Path) -> bool:
    scenario = scenarios()[number]
    verdict = control(scenario, place / f"control-{number}")
    said = "passes" if not verdict.findings else f"FAILS: {verdict.findings}"
    say(f"control  {scenario.name}: {said}")
    if scenario is BEHIND:
        say(f"             {verdict.newcomer()}")
    return bool(verdict.findings)


def _mutant(number: int, place: Path) -> bool:
    mutant = MUTANTS[number]
    verdict = attempt(mutant, place / f"mutant-{number}")
    if mutant.finding not in verdict.findings:
        say(f"MISSED   {mutant.name}: expected {mutant.finding}, found {verdict.findings or 'nothing'}")
        return False
    say(f"caught   {mutant.name}: {mutant.finding}: {verdict.findings[mutant.finding]}")
    if line := verdict.convicting(mutant.finding):
        say(f"             {line}")
    return True


if __name__ == "__main__":
    sys.exit(main())
