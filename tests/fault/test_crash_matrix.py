"""A few cases of the crash matrix, and a few of its planted bugs; all of them run by `make crash-matrix`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.fault.crash.bugs import PLANTED
from tests.fault.crash.case import Case, Result
from tests.fault.crash.field import Field
from tests.fault.crash.plan import planted

CASES = (
    Case("commit/poster.start/erp-poster", "after", 1, "lost"),
    Case("commit/life.carry/workflow", "before", 6, "lost"),
    Case("commit/approvals.vote", "after", 1),
    Case("publish/relay.send", "after", 3, "lost", engine="rabbitmq"),
)
BUGS = ("post before intent", "compensation twice", "in flight taken for never sent")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Case, Future[Result]]]:
    with Field(tmp_path_factory.mktemp("crash"), 2, ["embedded", "rabbitmq"]) as field:
        yield {case: field.submit(case) for case in (*CASES, *map(planted, BUGS))}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_death_at_this_point_leaves_no_trace_in_any_ledger(case: Case, results: dict[Case, Future[Result]]) -> None:
    result = results[case].result()
    assert result.findings == [], result.log[-3000:]
    assert result.died, f"never reached: {result.passes}"


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_by_its_name(name: str, results: dict[Case, Future[Result]]) -> None:
    result = results[planted(name)].result()
    assert result.died, f"never reached: {result.passes}"
    assert PLANTED[name].finds in {finding.kind for finding in result.findings}, result.findings
