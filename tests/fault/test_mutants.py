"""The certificate catches planted faults by name; `make mutants` runs all of them, this the quickest of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.mutants.catalogue import MUTANTS, Mutant
from tests.fault.mutants.judge import attempt, control, scenarios

QUICK = (
    "aiolimiter is the gate",
    "a slot is forgotten at the time-out",
    "the spent budget is forgotten at a restart",
    "the floor of a lane is ignored",
    "a freeze lasts half of Retry-After",
    "half of the limit stays idle",
    "unknown is taken for failed",
)


def of(name: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.name == name)


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_caught_by_name_and_by_a_line_of_the_log(name: str, tmp_path: Path) -> None:
    verdict = attempt(of(name), tmp_path)
    assert of(name).finding in verdict.findings
    assert verdict.convicting(of(name).finding).startswith("line ")


@pytest.mark.parametrize("name", sorted({of(name).scenario.name for name in QUICK}))
def test_the_same_run_without_a_fault_passes(name: str, tmp_path: Path) -> None:
    scenario = next(one for one in scenarios() if one.name == name)
    assert control(scenario, tmp_path).findings == {}


def test_there_are_more_mutants_than_promised_and_each_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
