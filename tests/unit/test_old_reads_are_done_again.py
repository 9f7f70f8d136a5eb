"""What was read of a customer is read again when the approval took long: the decider by itself."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from broker.effects import Duplicate, Milestone, RequestCall
from contracts.messages import ProcessGrant
from tests.unit.test_processes_are_sent_again import ACCOUNT, INVOICES, Replays
from tests.unit.test_processes_wait import DAY, NOW, RECORDS, names, of, start

LATER = NOW + 20 * DAY
CANCELLED = ACCOUNT.replace("active", "cancelled")


class Waits(Replays):
    """A desk at which a credit waits for long, and is approved then."""

    def __init__(self) -> None:
        super().__init__()
        self.take(start())
        self.first = list(self.asked)
        for call in self.first:
            self.end(call, document=RECORDS[call.operation])
        self.asked = []

    def approved(self, at: datetime = LATER) -> list[RequestCall]:
        """Anna and Tom approve it; what is asked of the systems then."""
        self.vote("anna", at)
        assert names(self.vote("tom", at))[0] == "approval.given"
        return list(self.asked)


def test_what_was_read_long_before_the_approval_is_read_again_before_money_moves() -> None:
    desk = Waits()
    again = desk.approved()
    assert [call.operation for call in again] == ["account.read", "invoices.read"]
    assert not {call.intent_id for call in again} & {call.intent_id for call in desk.first}
    for call in again:
        assert len(desk.asked) == 2
        desk.end(call, at=LATER, document=RECORDS[call.operation])
    assert [call.operation for call in desk.asked[2:]] == ["credit.create"]
    assert [vote.who for vote in desk.record.votes] == ["anna", "tom"], "nobody is asked again for the same thing"


def test_a_contract_that_ended_while_people_were_asked_gets_nothing_and_all_are_told() -> None:
    desk = Waits()
    account, invoices = desk.approved()
    desk.end(account, at=LATER, document=CANCELLED)
    desk.end(invoices, at=LATER, document=INVOICES)
    assert desk.record.process.outcome == "refused"
    assert "contract CT-1 is cancelled" in (desk.record.process.reason or "")
    assert {call.operation for call in desk.asked[2:]} == {"status.report"}


def test_what_is_told_or_voted_twice_reads_nothing_twice() -> None:
    desk = Waits()
    again = desk.approved()
    for call in desk.first:
        assert desk.end(call, at=LATER, document=CANCELLED) == [Duplicate()], "the first answer, told late"
    assert names(desk.vote("tom", LATER)) == ["approval.too_late"]
    desk.end(again[0], at=LATER, document=ACCOUNT)
    assert desk.end(again[0], at=LATER, document=CANCELLED) == [Duplicate()]
    assert len(desk.asked) == 2


@pytest.mark.parametrize(("age", "asked"), [
    (DAY, ["credit.create"]), (DAY + timedelta(seconds=1), ["account.read", "invoices.read"]),
])  # fmt: skip
def test_what_is_fresh_enough_is_not_read_again(age: timedelta, asked: list[str]) -> None:
    assert [call.operation for call in Waits().approved(NOW + age)] == asked


def test_only_what_is_old_is_read_again() -> None:
    desk = Waits()
    looked = {**desk.record.looked_at, "account": desk.record.looked_at["account"] + 20 * 86_400_000_000}
    desk.keep(looked_at=looked)
    assert [call.operation for call in desk.approved()] == ["invoices.read"]


def test_a_process_from_before_such_times_were_kept_counts_as_read_when_it_began() -> None:
    desk = Waits()
    desk.keep(looked_at={})
    assert [call.operation for call in desk.approved()] == ["account.read", "invoices.read"]


def test_a_case_that_is_let_through_with_its_incident_is_looked_at_again_as_well() -> None:
    desk = Waits()
    grant = ProcessGrant(
        process_id="CASE-1", account_id="ACC-1", digest=desk.record.digest, approval="w1-2", approvers=["anna", "tom"]
    )
    told = of(Milestone, desk.take(grant, LATER))
    assert [one.name for one in told] == ["approval.given", "process.looked_again"]
    assert [call.operation for call in desk.asked] == ["account.read", "invoices.read"]


def test_what_is_refused_on_the_second_look_can_be_sent_again_and_is_read_once_more() -> None:
    desk = Waits()
    account, invoices = desk.approved()
    desk.end(account, at=LATER, document=CANCELLED)
    desk.end(invoices, at=LATER, document=INVOICES)
    desk.told()
    desk.asked = []
    assert names(desk.again("dora"))[0] == "process.replayed"
    third = {call.intent_id for call in desk.asked}
    assert len(third) == 2
    assert not third & {call.intent_id for call in (*desk.first, account, invoices)}
