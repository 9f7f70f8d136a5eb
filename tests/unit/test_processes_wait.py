"""What waits for people waits in the store, and a clock, not a person, ends it: the workflow decider by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest

from actors.processes import WorkflowDecider
from actors.processes_record import PREFIXES, Record
from actors.runtime.clock import microseconds
from broker.effects import Done, Duplicate, Emit, Milestone, OpenException, Reject, RequestCall, SaveState, StartTimer
from contracts.codec import decode, encode
from contracts.envelope import Envelope
from contracts.messages import CallEnded, ProcessEnded, ProcessStart, ProcessTimer, ProcessVote
from contracts.money import Money
from policies.approval import ApprovalPolicy, Person

T = TypeVar("T")
RECORDS = {
    "account.read": '{"contract":"CT-1","status":"active","tier":"premium","entitled":true}',
    "invoices.read": '{"open":2,"overdue":0}',
}
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
PEOPLE = {name: Person(name, "finance-manager") for name in ("anna", "tom")} | {
    "dora": Person("dora", "cfo"),
    "dirk": Person("dirk", "finance-director"),
    "clara": Person("clara", "finance-clerk"),
}
ENVELOPE = Envelope(id="evt-1", source="urn:test", type="process.start", tenant="acme", data=msgspec.Raw(b"{}"))


class Desk:
    """A decider with its state kept as the store keeps it: written and read again between messages."""

    def __init__(self) -> None:
        policy = ApprovalPolicy(escalate_seconds=3 * 86_400, expire_seconds=21 * 86_400)
        self.decider = WorkflowDecider(frozenset({"erp", "billing", "support", "crm", "revenue"}), PEOPLE, (), policy)
        self.kept: bytes | None = None
        self.asked: list[RequestCall] = []

    @property
    def record(self) -> Record:
        assert self.kept is not None
        return decode(self.kept, Record)

    def keep(self, **changes: Any) -> None:
        """The state as it would be with other facts in it."""
        self.kept = encode(msgspec.structs.replace(self.record, **changes))

    def take(self, data: Any, at: datetime = NOW) -> list[Any]:
        outcome = self.decider.decide(ENVELOPE, data, self.record if self.kept else None, at)
        if not isinstance(outcome, Done):
            return [outcome]
        for effect in outcome.effects:
            if isinstance(effect, SaveState):
                self.kept = encode(effect.state)
            if isinstance(effect, RequestCall):
                self.asked.append(effect)
        return list(outcome.effects)

    def begin(self, data: ProcessStart) -> list[Any]:
        """Begin, with everything in order at the systems of record; what was read is not among `asked`."""
        effects = self.take(data)
        reads, self.asked = self.asked, []
        for call in reads:
            effects += self.end(call, document=RECORDS[call.operation])
        return effects

    def end(
        self, call: RequestCall, status: Any = "done", at: datetime = NOW, document: str | None = None
    ) -> list[Any]:
        made = document or f"DOC-{call.intent_id}"
        ended = CallEnded(
            process_id="CASE-1",
            account_id="ACC-1",
            intent_id=call.intent_id,
            status=status,
            document=made if status == "done" else None,
            reason=None if status == "done" else "it says no",
        )
        return self.take(ended, at)

    def vote(
        self,
        who: str,
        at: datetime = NOW,
        verdict: Any = "approve",
        digest: str | None = None,
        exposure: Money | None = None,
    ) -> list[Any]:
        seen = digest or self.record.digest
        vote = ProcessVote(
            process_id="CASE-1", account_id="ACC-1", who=who, verdict=verdict, digest=seen, exposure=exposure
        )
        return self.take(vote, at)


def start(minor: int = 5_000_00, **changes: Any) -> ProcessStart:
    money = Money(minor, "EUR")
    facts: dict[str, Any] = {
        "process_id": "CASE-1",
        "kind": "credit",
        "account_id": "ACC-1",
        "amount": money,
        "reason_code": "service_credit",
        "requested_by": "credit-policy",
        "exposure": money,
    }
    return ProcessStart(**(facts | changes))


def of(kind: type[T], effects: list[Any]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def timer(desk: Desk, started: StartTimer) -> list[Any]:
    assert isinstance(started.data, ProcessTimer)
    return desk.take(started.data, started.due)


def names(effects: list[Any]) -> list[str]:
    return [effect.name for effect in of(Milestone, effects)]


def test_weeks_of_waiting_end_by_the_clock_and_each_step_up_asks_a_higher_role() -> None:
    desk = Desk()
    timers = of(StartTimer, desk.begin(start()))
    assert [(one.name, one.due - NOW) for one in timers] == [("expire-1", 21 * DAY), ("escalate-1", 3 * DAY)]
    expire, escalate = timers
    roles = []
    while True:
        effects = timer(desk, escalate)
        roles.append(desk.record.need.role)
        assert names(effects) == ["approval.escalated"]
        if not (more := of(StartTimer, effects)):
            break
        (escalate,) = more
    assert roles[:3] == ["finance-director", "cfo", "cfo"]
    assert escalate.due < expire.due, "the last step up comes before the end"
    effects = timer(desk, expire)
    assert "approval.expired" in names(effects)
    assert {call.system for call in desk.asked} == {"support", "crm", "revenue"}, "no money moved, all are told"
    assert desk.record.process.outcome == "expired"


def test_a_timer_that_comes_after_the_decision_changes_nothing() -> None:
    desk = Desk()
    expire, escalate = of(StartTimer, desk.begin(start()))
    desk.vote("anna")
    desk.vote("tom")
    before = desk.kept
    assert timer(desk, escalate) == [Duplicate()]
    assert timer(desk, expire) == [Duplicate()]
    assert desk.kept == before


def test_a_step_up_that_is_told_twice_counts_once() -> None:
    desk = Desk()
    _, escalate = of(StartTimer, desk.begin(start()))
    timer(desk, escalate)
    assert timer(desk, escalate) == [Duplicate()]


def test_what_was_stuck_while_it_waited_for_people_has_its_clocks_when_it_waits_for_them_again() -> None:
    desk = Desk()
    expire, escalate = of(StartTimer, desk.take(start()))
    account, invoices = desk.asked
    assert "process.stuck" in names(desk.end(account, "exception"))
    assert timer(desk, escalate) == [Duplicate()], "nobody can approve it as it is"
    assert timer(desk, expire) == [Duplicate()]
    assert of(StartTimer, desk.end(invoices, document=RECORDS["invoices.read"])) == [], "it is stuck yet"
    later = NOW + 30 * DAY
    effects = desk.end(account, at=later, document=RECORDS["account.read"])
    assert (desk.record.process.phase, names(effects)) == ("approval", ["account.done", "approval.asked"])
    expire, escalate = of(StartTimer, effects)
    assert [(one.name, one.due - later) for one in (expire, escalate)] == [
        ("expire-1", 21 * DAY),
        ("escalate-1", 3 * DAY),
    ]
    assert desk.record.row(later).due_at == microseconds(expire.due)
    assert names(timer(desk, escalate)) == ["approval.escalated"]
    timer(desk, expire)
    assert desk.record.process.outcome == "expired"


def test_a_clock_of_before_that_rings_late_sets_the_one_of_now_again_and_does_nothing_else() -> None:
    desk = Desk()
    old = of(StartTimer, desk.take(start()))
    account, invoices = desk.asked
    desk.end(account, "exception")
    later = NOW + 20 * DAY
    desk.end(account, at=later, document=RECORDS["account.read"])
    desk.end(invoices, at=later, document=RECORDS["invoices.read"])
    before = desk.kept
    for one, wait in zip(old, (21 * DAY, 3 * DAY), strict=True):
        (again,) = desk.take(one.data, later + DAY)
        assert (again.name, again.due, again.data) == (one.name, later + wait, one.data)
    assert desk.kept == before


def test_who_is_not_of_the_higher_role_can_no_longer_approve_after_a_step_up() -> None:
    desk = Desk()
    _, escalate = of(StartTimer, desk.begin(start()))
    timer(desk, escalate)
    (refused,) = of(Milestone, desk.vote("anna"))
    assert (refused.name, refused.facts["code"]) == ("approval.vote_refused", "approval.role")


def test_votes_are_judged_again_by_the_process_itself() -> None:
    desk = Desk()
    desk.begin(start())
    (first,) = of(Milestone, desk.vote("anna"))
    assert first.name == "approval.counted"
    (again,) = of(Milestone, desk.vote("anna"))
    assert again.facts["code"] == "approval.twice"
    (other,) = of(Milestone, desk.vote("tom", digest="of another amount"))
    assert other.facts["code"] == "approval.changed"
    assert desk.asked == []
    assert names(desk.vote("tom"))[0] == "approval.given"
    assert [call.system for call in desk.asked] == ["billing"]


def test_what_the_incident_has_come_to_since_is_judged_by_the_larger_sum_and_breaks_no_vote() -> None:
    desk = Desk()
    desk.begin(start(900_00, incident_id="INC-1"))
    digest = desk.record.digest
    assert (desk.record.need.people, desk.record.need.role) == (1, "finance-manager")
    (counted,) = of(Milestone, desk.vote("dora", exposure=Money(5_000_000_00, "EUR")))
    assert (counted.name, counted.facts["left"]) == ("approval.counted", "1")
    assert counted.facts["exposure"] == "5000000.00 EUR"
    assert (desk.record.need.people, desk.record.request.exposure) == (2, Money(5_000_000_00, "EUR"))
    assert desk.record.digest == digest, "the same thing is asked for"
    assert desk.take(start(900_00, incident_id="INC-1")) == [Duplicate()]
    (refused,) = of(Milestone, desk.vote("tom", exposure=Money(900_00, "EUR")))
    assert refused.facts["code"] == "approval.role", "it does not come down again"
    assert names(desk.vote("dirk", exposure=Money(900_00, "EUR")))[0] == "approval.given"


def test_a_larger_incident_needs_a_higher_role_whatever_was_needed_at_first() -> None:
    desk = Desk()
    desk.begin(start(400_00, incident_id="INC-1"))
    assert desk.record.need.role == "finance-clerk"
    (refused,) = of(Milestone, desk.vote("clara", exposure=Money(300_000_00, "EUR")))
    assert refused.facts["code"] == "approval.role"
    assert desk.asked == []
    assert names(desk.vote("clara"))[0] == "approval.given", "a vote from before there was a sum in it"


def test_a_process_that_begins_twice_begins_once_and_another_amount_is_set_aside() -> None:
    desk = Desk()
    desk.begin(start(90_00, judged=True))
    assert desk.take(start(90_00, judged=True)) == [Duplicate()]
    (refused,) = desk.take(start(91_00, judged=True))
    assert isinstance(refused, Reject)
    assert [call.operation for call in desk.asked] == ["credit.create"]


def test_the_whole_way_asks_each_system_once_with_an_intent_of_its_own() -> None:
    desk = Desk()
    desk.begin(start(90_00, judged=True, intent_id="CR-decided"))
    done = 0
    while done < len(desk.asked):
        last = desk.end(desk.asked[done])
        assert desk.end(desk.asked[done]) == [Duplicate()], "told twice"
        done += 1
    assert [call.operation for call in desk.asked] == [
        "credit.create",
        "case.update",
        "adjustment.create",
        "status.report",
        "status.report",
        "status.report",
    ]
    assert len({call.intent_id for call in desk.asked}) == len(desk.asked)
    assert desk.asked[2].intent_id == "CR-decided", "the ERP's reference is the one that the decision named"
    (ended,) = of(Emit, last)
    assert isinstance(ended.data, ProcessEnded)
    assert ended.data.outcome == "posted"
    assert ended.data.states["account"] == "crm: done as contract CT-1, active, tier premium, entitled"
    assert set(ended.data.documents) == {"billing", "case", "erp", "tell_support", "tell_crm", "tell_revenue"}


def test_a_refused_report_is_its_owners_and_does_not_stop_the_process() -> None:
    desk = Desk()
    desk.begin(start(90_00, judged=True))
    desk.end(desk.asked[0])
    (case,) = [call for call in desk.asked if call.operation == "case.update"]
    (exception,) = of(OpenException, desk.end(case, "refused"))
    assert exception.owner == "support"
    (erp,) = [call for call in desk.asked if call.system == "erp"]
    desk.end(erp)
    assert desk.record.process.phase == "telling"


def test_an_outcome_that_a_person_finds_out_later_lets_a_stuck_process_go_on() -> None:
    desk = Desk()
    desk.begin(start(90_00, judged=True))
    assert "process.stuck" in names(desk.end(desk.asked[0], "exception"))
    desk.end(desk.asked[0], "done")
    assert [call.operation for call in desk.asked] == ["credit.create", "case.update", "adjustment.create"]


@pytest.mark.parametrize("foreign", ["CN-OTHER", "CR-OTHER"])
def test_the_end_of_a_call_that_is_not_its_own_is_nothing_to_it(foreign: str) -> None:
    desk = Desk()
    desk.begin(start(90_00, judged=True))
    ended = CallEnded(process_id="CASE-1", account_id="ACC-1", intent_id=foreign, status="done", document="X")
    assert desk.take(ended) == [Duplicate()]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ('{"contract":"CT-1","status":"cancelled","tier":"basic","entitled":true}', "contract CT-1 is cancelled"),
        ('{"contract":"CT-1","status":"active","tier":"basic","entitled":false}', "not entitled to service credits"),
        ("<html>", "makes no sense"),
    ],
)
def test_what_the_crm_speaks_against_is_refused_while_nobody_has_been_bothered(record: str, why: str) -> None:
    desk = Desk()
    desk.take(start())
    account, invoices = desk.asked
    effects = desk.end(account, document=record)
    assert "account.refused" in names(effects)
    desk.end(invoices, document=RECORDS["invoices.read"])
    assert desk.record.process.outcome == "refused"
    assert why in (desk.record.process.reason or "")
    assert {call.operation for call in desk.asked[2:]} == {"status.report"}


def test_what_takes_a_step_back_has_an_intent_of_its_own_and_names_the_document() -> None:
    desk = Desk()
    desk.begin(start(90_00, judged=True))
    desk.end(desk.asked[0], document="CRN-1")
    (erp,) = [call for call in desk.asked if call.system == "erp"]
    desk.end(erp, "refused")
    (undo,) = [call for call in desk.asked if call.operation == "credit.void"]
    assert undo.body.reverses == "CRN-1"  # type: ignore[attr-defined]
    assert len({call.intent_id for call in desk.asked}) == len(desk.asked)
    assert all(call.intent_id.partition("-")[0] in PREFIXES for call in desk.asked), "its end would not be told"
    desk.end(undo)
    told = [call.body.outcome for call in desk.asked if call.operation == "status.report"]  # type: ignore[attr-defined]
    assert told == ["compensated"] * 3
