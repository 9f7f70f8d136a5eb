"""A few cases of the crash matrix, and a few of its planted bugs; all of them run by `make crash-matrix`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.crash.bugs import PLANTED
from tests.fault.crash.case import Case
from tests.fault.crash.field import Field
from tests.fault.crash.plan import planted

CASES = (
    Case("commit/poster.start/erp-poster", "after", 1, "lost"),
    Case("call/saas.post/billing-caller", "after", 1),
    Case("commit/life.carry/workflow", "before", 6, "lost"),
    Case("commit/approvals.vote", "after", 1),
    Case("ack/life.carry/workflow", "before", 3, engine="rabbitmq"),
    Case("publish/relay.send", "after", 3, "lost", engine="rabbitmq"),
)
BUGS = ("post before intent", "compensation twice", "in flight taken for never sent")


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with Field(tmp_path_factory.mktemp("crash"), 1, ["embedded", "rabbitmq"]) as ready:
        yield ready


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_death_at_this_point_leaves_no_trace_in_any_ledger(case: Case, field: Field) -> None:
    result = field.run(case)
    assert result.findings == [], result.log[-3000:]
    assert result.died, f"never reached: {result.passes}"


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_by_its_name(name: str, field: Field) -> None:
    result = field.run(planted(name))
    assert result.died, f"never reached: {result.passes}"
    assert PLANTED[name].finds in {finding.kind for finding in result.findings}, result.findings
