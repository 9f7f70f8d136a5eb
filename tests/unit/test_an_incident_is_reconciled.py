"""What was approved of an incident agrees with the systems' documents when the books are right, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.incidents import INCIDENT, MINOR, Outage, came_out, credit, outage

pytestmark = pytest.mark.anyio

CREDIT, VOID, POST = ("billing", "credit.create"), ("billing", "credit.void"), ("erp", "adjustment.create")
TELL = tuple((name, "status.report") for name in ("support", "crm", "revenue"))


async def differs(found: Outage) -> list[str]:
    """What does not agree."""
    report = await found.views.reconcile(INCIDENT, None)
    assert report.agrees == all(check.holds for check in report.checks)
    return [check.what for check in report.checks if not check.holds]


async def let_through(found: Outage) -> None:
    await found.approve()
    wave = await found.look()
    assert wave.cases == 3
    await found.ask(*(came_out(credit(name), "posted") for name in ("a", "b", "c")))
    for name in ("a", "b"):
        await found.calls(name, CREDIT, POST, *TELL)


async def test_a_case_that_was_taken_back_sent_again_and_posted_agrees(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in ("a", "b", "c")]) as found:
        await let_through(found)
        await found.calls("c", CREDIT)
        await found.calls("c", POST, status="refused")
        await found.calls("c", VOID, *TELL)
        assert "every credit that was not turned back stands in billing" in await differs(found)
        await found.ask(came_out(credit("c"), "compensated"))
        assert not await differs(found), "nothing stands of what was taken back"
        await found.ask(credit("c"))
        await found.calls("c", CREDIT, POST, *TELL)
        assert await differs(found), "it is under way"
        await found.ask(came_out(credit("c"), "posted"))
        assert not await differs(found)
        report = await found.views.reconcile(INCIDENT, None)
        counts = {line.what: line.count for line in report.lines}
        assert (counts["approved"], counts["credited in billing"], counts["voided in billing"]) == (3, 4, 1)
        assert {counts[what] for what in counts if what.startswith(("told", "posted"))} == {3}


async def test_a_case_that_was_sent_again_with_another_amount_agrees_by_that_amount(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in ("a", "b", "c")]) as found:
        await let_through(found)
        await found.calls("c", CREDIT, VOID, *TELL)
        await found.ask(came_out(credit("c", MINOR - 1), "posted"))
        await found.calls("c", CREDIT, POST, *TELL, minor=MINOR - 1)
        assert not await differs(found)


@pytest.mark.parametrize("more", [(CREDIT,), (POST,), (CREDIT, POST), (VOID,)])
async def test_a_document_too_many_or_too_few_does_not_agree(tmp_path: Path, more: tuple[tuple[str, str], ...]) -> None:
    async with outage(tmp_path, [credit(name) for name in ("a", "b", "c")]) as found:
        await let_through(found)
        await found.calls("c", CREDIT, VOID, *TELL, CREDIT, POST, *TELL)
        assert not await differs(found)
        await found.calls("c", *more)
        assert "each case has the documents of its outcome and amount" in await differs(found)
        (told,) = [one for one in (await found.views.reconcile(INCIDENT, None)).checks if one.examples]
        assert told.examples[0].startswith("c (posted, 100.00 EUR): ")


async def test_one_case_twice_and_another_never_do_not_make_up_for_each_other(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in ("a", "b", "c")]) as found:
        await let_through(found)
        await found.calls("a", CREDIT, POST)
        await found.calls("c", *TELL)
        assert await differs(found) == ["each case has the documents of its outcome and amount"]


async def test_a_credit_that_stands_although_its_case_was_taken_back_does_not_agree(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in ("a", "b", "c")]) as found:
        await let_through(found)
        await found.ask(came_out(credit("c"), "compensated"))
        await found.calls("c", CREDIT, *TELL)
        assert "each case has the documents of its outcome and amount" in await differs(found)


async def test_who_did_not_take_the_last_report_was_not_told(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in ("a", "b", "c")]) as found:
        await let_through(found)
        await found.calls("c", CREDIT, VOID, *TELL, CREDIT, POST, TELL[0], TELL[2])
        await found.calls("c", TELL[1], status="refused")
        assert await differs(found) == ["crm was told of each, as it is now"]
