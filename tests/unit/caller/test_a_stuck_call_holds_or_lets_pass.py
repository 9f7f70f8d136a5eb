"""A call that is with a person: those behind it wait or go on, as the registry says; and it comes back."""

from pathlib import Path

import msgspec
import pytest

from actors.caller.steps import put_back
from actors.followers import behind, told
from broker.store.operators import OperatorReads
from broker.store.rows import CallChange
from broker.store.unit import Unit
from contracts.catalogue import REGISTRY
from contracts.messages import AdjustmentRequest
from contracts.money import Money
from contracts.processes import ON_STUCK
from tests.unit.caller.caller_house import CallerHouse, caller_house
from tests.unit.caller.memory_erp import CLOSED, FINE, Plan

pytestmark = pytest.mark.anyio


def closed_for(*intents: str):  # type: ignore[no-untyped-def]
    """The period is closed for these."""
    return lambda kind, call: CLOSED if call.intent_id in intents else FINE


async def requested(house: CallerHouse, count: int, rule: str) -> list[str]:
    """Calls of one account whose workflow has this rule."""
    now = 1
    rows = [house._row(now, "standard", "acc-mine") for _ in range(count)]
    await house.store.commit(Unit(now, calls=[msgspec.structs.replace(row, on_stuck=rule) for row in rows]))
    return [row.intent_id for row in rows]


async def put_in_line_again(house: CallerHouse, intent: str, unknown: bool = False) -> None:
    """What a person does with `retry`."""
    call = await house.call(intent)
    change = CallChange(put_back(call, unknown, "lea", "open now", 5), "exception", "lea")
    await house.meanwhile(house.store.commit(Unit(5, call_changes=[change])))


async def test_where_later_ones_build_on_it_they_wait_and_are_listed(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=closed_for("intent-1")) as house:
        first, *others = await requested(house, 3, "hold")
        (elsewhere,) = await house.request(1)
        await house.advance(20)
        stuck = await house.call(first)
        assert (stuck.status, [(await house.call(i)).status for i in others]) == ("exception", ["waiting"] * 2)
        assert (await house.call(elsewhere)).status == "done", "another account goes on"
        assert await OperatorReads(house.store.reads).followers(stuck, 1) == (2, ["case-2"])
        assert "case-2, case-3" in await behind(house.store.reads, stuck)
        await house.kill()
        await house.start()
        await house.advance(20)
        assert [(await house.call(i)).status for i in others] == ["waiting"] * 2, "also in the next life"
        house.erp.plan = lambda kind, call: FINE
        await put_in_line_again(house, first)
        await house.until_settled(60)
        assert [entry.intent for entry in house.erp.calls() if entry.verdict == "created"] == [
            elsewhere, first, *others,
        ]  # fmt: skip


async def test_where_they_do_not_build_on_it_they_go_on_and_it_comes_back_in_its_turn(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=closed_for("intent-1")) as house:
        first, *others = await requested(house, 3, "pass")
        await house.advance(20)
        assert [(await house.call(i)).status for i in (first, *others)] == ["exception", "done", "done"]
        assert await behind(house.store.reads, await house.call(first)) == ""
        house.erp.plan = lambda kind, call: FINE
        await put_in_line_again(house, first)
        await house.until_settled(60)
        assert (await house.call(first)).status == "done"


async def test_a_person_who_says_it_is_not_done_lets_the_others_go(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=closed_for("intent-1")) as house:
        first, second = await requested(house, 2, "hold")
        await house.advance(20)
        stuck = await house.call(first)
        over = msgspec.structs.replace(stuck, status="refused", open=0, reason="settled: lea has looked")
        await house.meanwhile(house.store.commit(Unit(6, call_changes=[CallChange(over, "exception", "lea")])))
        await house.until_settled(60)
        assert (await house.call(second)).status == "done"


async def test_sent_back_with_an_unknown_outcome_it_is_looked_up_and_not_posted_again(tmp_path: Path) -> None:
    lost = Plan(answered=False)
    async with caller_house(tmp_path, plan=lambda kind, call: lost, finds=False, deduplicates=False) as house:
        (intent,) = await house.request()
        await house.advance(30)
        assert (await house.call(intent)).status == "exception"
        house.erp.plan = lambda kind, call: FINE
        await put_in_line_again(house, intent, unknown=True)
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post"], "nobody to ask, and nobody who would recognise it"
        stuck = await house.call(intent)
        assert stuck.status == "exception"
        assert f"settle {intent} --not-posted; then it can be asked for anew" in (stuck.reason or "")
        house.erp.finds = True  # somebody has told us how to look it up
        await put_in_line_again(house, intent, unknown=True)
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post", "find"]
        assert (await house.call(intent)).status == "done"


def test_the_registry_states_the_rule_of_each_workflow() -> None:
    contract = REGISTRY.newest("erp.adjustment.request")

    def rule(reason: str) -> str:
        return contract.stuck_rule(
            AdjustmentRequest(
                intent_id="i", account_id="a", amount=Money(1, "EUR"), reason_code=reason,  # type: ignore[arg-type]
                source_document="d", kind="credit",
            )
        )  # fmt: skip

    assert {reason: rule(reason) for reason in ("service_credit", "refund", "correction", "renewal")} == {
        "service_credit": "pass",
        "refund": "pass",
        "correction": "hold",
        "renewal": "hold",
    }
    assert dict(ON_STUCK) == {"credit": "pass", "refund": "pass", "correction": "hold", "amendment": "hold"}


def test_followers_are_told_in_words() -> None:
    assert told(0, []) == ""
    assert told(1, ["b"]) == " Behind it waits, to keep the order of the account: b."
    assert told(9, ["b", "c"]).endswith("b, c and 7 more.")
