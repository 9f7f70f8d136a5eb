"""The caller takes an ERP at its word: it narrows, stands still as long as asked, and keeps both over a restart."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path

import pytest

from actors.adapters.port import Answer, Failed
from actors.caller.gate import DOUBTS_MAX, Gate
from broker.store.rows import Call
from policies.limit_words import parse_limits
from policies.limits import ConcurrencyLimit
from policies.recoverability import FailureClass
from policies.signals import Dimension, Reading, Refusal
from tests.unit.caller.caller_house import CallerHouse, Parts, caller_house
from tests.unit.caller.memory_erp import FINE, UNAVAILABLE, MemoryErp, Plan

pytestmark = pytest.mark.anyio
SECOND_NS = 1_000_000_000


class Narrow(MemoryErp):
    """An ERP that has fewer slots than it is believed to have, and says so with a 400 (as NetSuite does)."""

    slots = 3
    retry_after: float | None = 2.0
    busy = 0
    refused_ns: list[int]

    async def post(self, call: Call) -> Answer:
        if self.busy >= self.slots:
            self.refused_ns = [*getattr(self, "refused_ns", []), self.clock.boot_ns()]
            await self.clock.sleep(0.001)
            reading = Reading(Refusal(Dimension.CONCURRENT, "it answered 400 SSS_REQUEST_LIMIT_EXCEEDED"))
            why = Failed(FailureClass.THROTTLED, "SSS_REQUEST_LIMIT_EXCEEDED", "too many", self.retry_after)
            return Answer(why, 0, reading)
        self.busy += 1
        try:
            return await super().post(call)
        finally:
            self.busy -= 1


def narrow_house(path: Path) -> AbstractAsyncContextManager[CallerHouse]:
    return caller_house(path, ("8 concurrent",), Parts(erp=Narrow), latency=(0.2, 0.4))


def refused(house: CallerHouse) -> list[int]:
    assert isinstance(house.erp, Narrow)
    return getattr(house.erp, "refused_ns", [])


async def test_a_disguised_refusal_narrows_the_limit_burns_no_attempt_and_is_stored_with_its_reason(
    tmp_path: Path,
) -> None:
    async with narrow_house(tmp_path) as house:
        intents = await house.request(60)
        await house.until_settled(60)
        assert house.poster.gate.budget.limits == (ConcurrencyLimit(3),)
        assert len(refused(house)) <= 10
        assert {(await house.call(intent)).attempts for intent in intents} == {1}
        rows = await house.store.reads.gate_events("erp")
        assert {row.kind for row in rows} == {"limit", "freeze"}
        last = [row for row in rows if row.kind == "limit"][-1]
        assert (last.subject, last.now, last.ceiling, last.signal) == ("concurrent", 3, 8, "refusal")
        assert "SSS_REQUEST_LIMIT_EXCEEDED" in last.why


async def test_a_restart_goes_on_with_what_was_learned(tmp_path: Path) -> None:
    async with narrow_house(tmp_path) as house:
        await house.request(40)
        await house.until_settled(60)
        await house.kill()
        so_far = len(refused(house))
        await house.start()
        await house.request(20)
        await house.until_settled(60)
        assert len(refused(house)) == so_far


async def test_a_restart_in_the_middle_of_a_freeze_does_not_call_before_its_end(tmp_path: Path) -> None:
    async with narrow_house(tmp_path) as house:
        assert isinstance(house.erp, Narrow)
        house.erp.slots, house.erp.retry_after = 0, 30.0
        await house.request(5)
        await house.advance(1)
        frozen_at = refused(house)[0]
        asked = len(refused(house))
        await house.kill()
        house.erp.slots = 8
        await house.start()
        await house.advance(28)
        assert house.erp.log == []
        assert len(refused(house)) == asked
        await house.until_settled(60)
        assert house.erp.log[0].arrived_ns >= frozen_at + 30 * SECOND_NS


async def test_the_limits_that_the_erp_tells_are_kept_and_asking_is_one_call_of_the_budget(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("6 concurrent",), started=False) as house:
        house.ask_limits_seconds = 10.0
        house.erp.says = (ConcurrencyLimit(2),)
        await house.start()
        await house.advance(25)
        assert house.erp.asked == 3
        assert house.poster.gate.budget.limits == (ConcurrencyLimit(2),)
        house.erp.says = (ConcurrencyLimit(60),)
        await house.advance(10)
        assert house.poster.gate.budget.limits == (ConcurrencyLimit(6),), "never above what is configured"
        spends = await house.store.reads.spends("erp", 0)
        assert [spend.kind for spend in spends] == ["limits"] * house.erp.asked


class OneOperationFails:
    """Posts of one operation fail; everything else is fine."""

    def __init__(self, bad: str) -> None:
        self.bad = bad

    def __call__(self, kind: str, call: Call) -> Plan:
        return UNAVAILABLE if call.operation == self.bad else FINE


async def test_a_failing_operation_rests_and_the_others_go_on(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=OneOperationFails("refund.create")) as house:
        house.operation = "refund.create"
        await house.request(20)
        await house.advance(5)
        house.operation = "adjustment.create"
        good = await house.request(40)
        await house.advance(10)
        assert {(await house.call(intent)).status for intent in good} == {"done"}
        rests = house.poster.gate.rests(house.clock.boot_ns())
        assert [rest.reason.split(":")[0] for rest in rests] == ["refund.create"]
        assert rests[0].until_ns is not None


async def test_when_only_resting_operations_wait_the_gate_says_so(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=OneOperationFails("refund.create")) as house:
        house.operation = "refund.create"
        await house.request(20)
        await house.advance(5)
        assert house.poster.closed is not None
        assert house.poster.closed.what == "breaker"
        assert house.poster.closed.reason.startswith("refund.create: ")


async def test_a_rest_is_never_longer_than_the_setting(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=OneOperationFails("adjustment.create")) as house:
        await house.request(400)
        await house.advance(1_800)
        posts = [post.arrived_ns for post in house.erp.calls("post")]
        gaps = [(later - earlier) / 1e9 for earlier, later in pairwise(posts)]
        assert max(gaps) <= 61


def suspicious(code: str = "INVALID_LOGIN_ATTEMPT") -> Answer:
    refusal = Refusal(Dimension.CONCURRENT, "perhaps too many calls at once", suspected=True)
    return Answer(Failed(FailureClass.AUTH, code, "the login is not valid"), None, Reading(refusal))


def test_a_refused_login_is_doubted_a_few_times_if_it_worked_before_and_then_believed() -> None:
    gate = Gate(parse_limits(["5 concurrent"]), lambda: 0.5)
    assert gate.believe(suspicious()) == suspicious(), "it never worked, so it is what it says"
    gate._well = True
    doubted = [gate.believe(suspicious()).outcome for _ in range(DOUBTS_MAX + 1)]
    classes = [outcome.failure for outcome in doubted if isinstance(outcome, Failed)]
    assert classes == [FailureClass.THROTTLED] * DOUBTS_MAX + [FailureClass.AUTH]


def locked(kind: str, call: Call) -> Plan:
    return Plan(commit=False, failure=Failed(FailureClass.THROTTLED, "lock_timeout", "the object is locked", 4.0))


class Locking(MemoryErp):
    """One account is locked; the rest works."""

    async def post(self, call: Call) -> Answer:
        answer = await super().post(call)
        if not isinstance(answer.outcome, Failed):
            return answer
        return Answer(answer.outcome, answer.server_ns, Reading(Refusal(Dimension.OBJECT, "it is locked")))


async def test_a_locked_object_delays_its_own_call_and_no_other(tmp_path: Path) -> None:
    met: list[str] = []

    def first_is_locked(kind: str, call: Call) -> Plan:
        met.append(call.intent_id)
        return locked(kind, call) if met.count("intent-1") == 1 and call.intent_id == "intent-1" else FINE

    async with caller_house(tmp_path, parts=Parts(erp=Locking), plan=first_is_locked) as house:
        intents = await house.request(20)
        await house.advance(3)
        assert {(await house.call(intent)).status for intent in intents[1:]} == {"done"}
        assert (await house.call("intent-1")).status == "waiting"
        await house.until_settled(10)
        assert (await house.call("intent-1")).attempts == 1
