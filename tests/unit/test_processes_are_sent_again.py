"""What was refused is sent again: by a third person, under an intent of its own, approved anew where money moves."""

from __future__ import annotations

from typing import Any

import pytest

from broker.effects import Milestone, StartTimer
from contracts.messages import CallEnded, ProcessGrant, ProcessReplay
from contracts.money import Money
from tests.unit.test_processes_wait import Desk, names, of, start


class Replays(Desk):
    """A desk at which calls end as told, and refused things are sent again."""

    def ends(self, operation: str, status: str, document: str | None = "DOC-1", reason: str | None = None) -> list[Any]:
        """The last call of this operation ends."""
        call = next(call for call in reversed(self.asked) if call.operation == operation)
        data = CallEnded(
            process_id="CASE-1",
            account_id="ACC-1",
            intent_id=call.intent_id,
            status=status,  # type: ignore[arg-type]
            document=document if status == "done" else None,
            reason=reason,
        )
        return self.take(data)

    def again(self, who: str, digest: str | None = None, **changes: Any) -> list[Any]:
        """Somebody sends it again."""
        data = ProcessReplay(
            process_id="CASE-1",
            account_id="ACC-1",
            who=who,
            digest=digest or self.record.digest,
            reason="it is mended",
            **changes,
        )
        return self.take(data)

    def turned_back(self) -> None:
        """Approved by anna and tom, credited, refused by the ERP, voided, told."""
        self.begin(start())
        self.vote("anna")
        self.vote("tom")
        self.ends("credit.create", "done")
        self.ends("case.update", "done")
        self.ends("adjustment.create", "refused", reason="period.closed")
        self.ends("credit.void", "done")
        self.told()

    def told(self) -> None:
        """Support, CRM and revenue reporting have been told."""
        for call in [call for call in self.asked if call.operation == "status.report"][-3:]:
            self.take(CallEnded(process_id="CASE-1", account_id="ACC-1", intent_id=call.intent_id, status="done"))


@pytest.mark.parametrize(("who", "code"), [
    ("anna", "approval.replayer"), ("tom", "approval.replayer"), ("credit-policy", "approval.person"),
    ("mallory", "approval.person"),
])  # fmt: skip
def test_neither_who_asked_nor_who_approved_sends_it_again(who: str, code: str) -> None:
    desk = Replays()
    desk.turned_back()
    (told,) = of(Milestone, desk.again(who))
    assert (told.name, told.facts["code"]) == ("replay.refused", code)
    assert desk.record.process.phase == "ended"


def test_what_was_turned_back_begins_anew_with_other_intents_and_is_approved_by_others() -> None:
    desk = Replays()
    desk.turned_back()
    assert desk.record.process.outcome == "compensated"
    before = {call.intent_id for call in desk.asked}
    old = desk.record.digest
    effects = desk.again("dora", amount=Money(4_000_00, "EUR"))
    assert names(effects)[:2] == ["process.replayed", "approval.asked"]
    assert (desk.record.process.phase, desk.record.votes) == ("approval", ())
    assert desk.record.digest != old
    (refused,) = of(Milestone, desk.vote("dora"))
    assert refused.facts["code"] == "approval.replayer"
    (refused,) = of(Milestone, desk.vote("anna", digest=old))
    assert refused.facts["code"] == "approval.changed", "it was changed"
    for operation in ("account.read", "invoices.read"):
        desk.ends(operation, "done", document={"account.read": ACCOUNT, "invoices.read": INVOICES}[operation])
    desk.vote("anna", digest=desk.record.digest)
    desk.vote("tom", digest=desk.record.digest)
    desk.ends("credit.create", "done", "DOC-2")
    desk.ends("case.update", "done")
    desk.ends("adjustment.create", "done", "DOC-3")
    desk.told()
    assert (desk.record.process.phase, desk.record.process.outcome) == ("ended", "posted")
    after = [call for call in desk.asked if call.intent_id not in before]
    assert len({call.intent_id for call in after}) == len(after)
    posted = [call for call in after if call.system == "erp"]
    assert [call.money for call in posted] == [Money(4_000_00, "EUR")]


def test_an_undoing_that_was_refused_is_done_again_under_another_intent_and_once() -> None:
    desk = Replays()
    desk.begin(start())
    desk.vote("anna")
    desk.vote("tom")
    desk.ends("credit.create", "done")
    desk.ends("case.update", "done")
    desk.ends("adjustment.create", "refused", reason="period.closed")
    stuck = desk.ends("credit.void", "refused", reason="the note is locked")
    assert "process.stuck" in names(stuck)
    assert desk.record.process.phase == "stuck"
    assert names(desk.again("dora", amount=Money(1, "EUR"))) == ["replay.refused"], "money has moved for this amount"
    assert names(desk.again("dora")) == ["process.replayed"]
    voids = [call.intent_id for call in desk.asked if call.operation == "credit.void"]
    assert len(set(voids)) == 2
    assert names(desk.again("dora")) == ["replay.refused"], "it is under way"
    desk.ends("credit.void", "done")
    desk.told()
    assert desk.record.process.outcome == "compensated"
    assert names(desk.again("dora", digest="of something else")) == ["replay.refused"]


def test_a_look_that_is_sent_again_is_waited_for_with_clocks_set_anew() -> None:
    desk = Replays()
    desk.take(start())
    desk.ends("invoices.read", "done", document=INVOICES)
    desk.ends("account.read", "exception", reason="the CRM cannot be read")
    assert desk.record.process.phase == "stuck"
    effects = desk.again("dora")
    assert names(effects) == ["process.replayed", "approval.asked"]
    assert [one.name for one in of(StartTimer, effects)] == ["expire-1", "escalate-1"]
    assert desk.asked[-1].operation == "account.read"


def test_a_grant_counts_for_the_case_as_it_is_and_not_for_who_asked() -> None:
    def grant(digest: str, *approvers: str) -> ProcessGrant:
        return ProcessGrant(
            process_id="CASE-1", account_id="ACC-1", digest=digest, approval="w1-2", approvers=list(approvers)
        )

    desk = Replays()
    desk.begin(start(requested_by="sam", policy_version=None))
    (refused,) = of(Milestone, desk.take(grant("of another amount", "anna", "tom")))
    assert refused.facts["code"] == "approval.changed"
    (refused,) = of(Milestone, desk.take(grant(desk.record.digest, "anna", "sam")))
    assert refused.facts["code"] == "approval.own"
    (refused,) = of(Milestone, desk.take(grant(desk.record.digest, "operator")))
    assert refused.facts["code"] == "approval.own", "the one token may be the requester's"
    assert names(desk.take(grant(desk.record.digest, "anna", "tom")))[0] == "approval.given"
    assert [vote.who for vote in desk.record.votes] == ["anna", "tom"]
    assert [call.operation for call in desk.asked] == ["credit.create"]
    assert names(desk.again("anna")) == ["replay.refused"]


ACCOUNT = '{"contract":"CT-1","status":"active","tier":"premium","entitled":true}'
INVOICES = '{"open":2,"overdue":0}'
