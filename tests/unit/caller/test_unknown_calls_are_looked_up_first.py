"""An unknown outcome is settled by asking the ERP, never by sending again blindly."""

from pathlib import Path

import pytest

from actors.adapters.port import Failed
from broker.store.rows import Call
from policies.recoverability import FailureClass
from tests.unit.caller.caller_house import CallerHouse, caller_house
from tests.unit.caller.memory_erp import CLOSED, FINE, FORBIDDEN, LOST_DONE, LOST_UNDONE, THROTTLED, Plan

pytestmark = pytest.mark.anyio


def first_post(plan: Plan, intent: str = "intent-1"):  # type: ignore[no-untyped-def]
    """The first post of an intent meets the plan; everything else is fine."""
    met: list[str] = []

    def choose(kind: str, call: Call) -> Plan:
        if kind == "post" and call.intent_id == intent and not met:
            met.append(intent)
            return plan
        return FINE

    return choose


async def test_a_lost_answer_is_looked_up_and_not_sent_again(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(LOST_DONE)) as house:
        (intent,) = await house.request()
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post", "find"]
        assert (await house.call(intent)).document == house.erp.documents[intent]


async def test_what_the_erp_does_not_have_is_sent_again_under_the_same_intent(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(LOST_UNDONE)) as house:
        (intent,) = await house.request()
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post", "find", "post"]
        assert list(house.erp.documents) == [intent]


async def test_a_later_call_of_the_same_account_waits_while_an_earlier_one_is_unknown(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(LOST_DONE)) as house:
        first, second = await house.request(2, account="acc-mine")
        (other,) = await house.request()
        await house.until_settled(60)
        seen = [(entry.kind, entry.intent) for entry in house.erp.log]
        assert seen == [("post", first), ("post", other), ("find", first), ("post", second)]


async def test_a_poster_killed_in_flight_leaves_calls_that_are_found_as_unknown(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        intents = await house.request(5)
        await house.advance(0.02)
        await house.kill()
        assert {(await house.call(intent)).status for intent in intents} == {"in_flight"}
        await house.start()
        assert {(await house.call(intent)).status for intent in intents} == {"unknown"}
        await house.until_settled(60)
        assert len(house.erp.calls("post")) == len(house.erp.calls("find")) == len(house.erp.documents) == 5


async def test_a_call_made_durable_but_not_yet_sent_is_sent_once_after_a_kill(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("1/1s",)) as house:
        house.slow_commits(0.03)
        await house.meanwhile(house.request(3))
        for _ in range(2_000):
            if house.poster.flights() == ["intent-2"]:
                break  # the second call is durable ahead of its moment, 1 s after the first
            await house.advance(0.001)
        assert house.erp.about("intent-2") == []
        await house.kill()
        await house.start()
        await house.until_settled(60)
        assert house.erp.about("intent-2") == ["find", "post"]
        assert len(house.erp.documents) == 3


async def test_a_place_at_the_erp_stays_taken_while_a_lost_call_may_still_be_there(tmp_path: Path) -> None:
    hanging = Plan(answered=False, busy_seconds=6.5)  # time-out after 5 s, safe 2 s later
    async with caller_house(tmp_path, plan=first_post(hanging)) as house:
        await house.request(200)
        await house.until_settled(60)
        assert [limit.name for limit in house.certificate().limits if limit.over] == []
        assert len(house.erp.documents) == 200


async def test_places_stay_taken_after_a_kill_and_another_kill(tmp_path: Path) -> None:
    slow = Plan(busy_seconds=1.8)
    async with caller_house(tmp_path, plan=lambda kind, call: slow if kind == "post" else FINE) as house:
        await house.request(12)
        for seconds in (0.3, 1.0, 0.5, 2.2, 0.1):
            await house.advance(seconds)
            await house.kill()
            await house.start()
        await house.until_settled(120)
        assert [limit.name for limit in house.certificate().limits if limit.over] == []
        assert len(house.erp.documents) == 12


async def test_waiting_for_a_place_is_not_busy_waiting(tmp_path: Path) -> None:
    async with caller_house(tmp_path, lost_seconds=30.0) as house:
        await house.request(5)
        await house.advance(0.02)
        await house.kill()
        await house.start()
        moments = 0
        end_ns = house.clock.boot_ns() + int(20e9)
        while house._step(end_ns):
            await house.quiet()
            moments += 1
        assert moments < 100, "looked-up calls that may not go yet keep the poster spinning"


async def test_a_look_up_that_is_refused_for_good_goes_to_a_person(tmp_path: Path) -> None:
    refused = Plan(failure=Failed(FailureClass.DATA_QUALITY, "document.differs", "another amount"))
    choose = first_post(LOST_DONE)
    async with caller_house(tmp_path, plan=lambda k, c: choose(k, c) if k == "post" else refused) as house:
        (intent,) = await house.request()
        await house.until_settled(60)
        assert (await house.call(intent)).status == "exception"
        assert house.erp.about(intent) == ["post", "find"]
        assert await house.store.reads.exceptions_open() == {("unknown_outcome", "finance"): 1}


async def test_a_credential_refused_at_a_look_up_holds_the_system(tmp_path: Path) -> None:
    choose = first_post(LOST_DONE)
    async with caller_house(tmp_path, plan=lambda k, c: choose(k, c) if k == "post" else FORBIDDEN) as house:
        await house.request(1)
        await house.advance(60)
        assert [(order.verb, order.target) for order in house.controls.in_force()] == [("hold", "erp")]
        assert len(house.erp.calls("find")) == 1


async def test_a_system_that_can_neither_find_nor_deduplicate_sends_the_unknown_to_a_person(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(LOST_DONE), finds=False, deduplicates=False) as house:
        (intent,) = await house.request()
        await house.until_settled(60)
        assert (await house.call(intent)).status == "exception"
        assert house.erp.about(intent) == ["post"]


async def test_without_deduplication_absent_is_believed_only_once_nothing_can_come_late(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(LOST_UNDONE), deduplicates=False, lost_seconds=20.0) as house:
        (intent,) = await house.request()
        await house.until_settled(120)
        posts = house.erp.calls("post")
        assert posts[1].arrived_ns - posts[0].arrived_ns >= 20_000_000_000
        assert list(house.erp.documents) == [intent]


LATE = Plan(answered=False, busy_seconds=12.0)
"""Executed 12 s after it was sent: the caller has given up after 5 s, and the first look-up finds nothing."""


async def test_an_empty_look_up_is_believed_only_once_the_adapter_s_window_for_late_execution_is_over(
    tmp_path: Path,
) -> None:
    plan = first_post(LATE)
    async with caller_house(tmp_path, plan=plan, deduplicates=False, lost_seconds=2.0, late_seconds=20.0) as house:
        (intent,) = await house.request()
        await house.until_settled(120)
        about = house.erp.about(intent)
        assert about[:2] == ["post", "find"]
        assert about.count("post") == 1, "not sent again: it came late"
        assert (await house.call(intent)).status == "done"
        assert len(house.erp.ledger) == 1


async def test_a_system_that_recognises_the_intent_may_execute_late_beside_a_second_try(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(LATE), deduplicates=True, lost_seconds=2.0) as house:
        (intent,) = await house.request()
        await house.until_settled(120)
        assert (await house.call(intent)).status == "done"
        assert len(house.erp.ledger) == 1


async def test_what_the_system_has_forgotten_it_does_not_recognise(tmp_path: Path) -> None:
    known = {"deduplicates": True, "dedupe_seconds": 1.0, "late_seconds": 20.0}
    async with caller_house(tmp_path, plan=first_post(LATE), lost_seconds=2.0, **known) as house:
        (intent,) = await house.request()
        await house.until_settled(120)
        assert house.erp.about(intent).count("post") == 1


async def test_what_cannot_be_asked_but_is_recognised_is_sent_again_under_the_same_intent(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(LOST_DONE), finds=False, dedupe_seconds=3_600.0) as house:
        (intent,) = await house.request()
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post", "post"]
        assert len(house.erp.ledger) == 1
        assert (await house.call(intent)).status == "done"


def closed_before_it_comes(house: CallerHouse):  # type: ignore[no-untyped-def]
    """The first post is executed late; the period is closed meanwhile, and what is known is recognised all the same."""
    late = first_post(LATE)

    def choose(kind: str, call: Call) -> Plan:
        plan = late(kind, call)
        return CLOSED if plan is FINE and call.intent_id not in house.erp.documents else plan

    return choose


UNASKED = {"finds": False, "lost_seconds": 2.0, "late_seconds": 20.0}


async def test_what_cannot_be_asked_for_is_not_sent_again_before_the_first_can_come_no_more(tmp_path: Path) -> None:
    async with caller_house(tmp_path, dedupe_seconds=3_600.0, **UNASKED) as house:
        house.erp.plan = closed_before_it_comes(house)
        (intent,) = await house.request()
        await house.advance(10)
        assert "until then the ERP may still do it" in ((await house.call(intent)).reason or "")
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post", "post"]
        assert (await house.call(intent)).status == "done", "not refused while the first was still to come"
        assert len(house.erp.ledger) == 1


async def test_what_cannot_be_asked_for_goes_to_a_person_where_it_would_come_later_than_it_is_recognised(
    tmp_path: Path,
) -> None:
    async with caller_house(tmp_path, dedupe_seconds=15.0, **UNASKED) as house:
        house.erp.plan = closed_before_it_comes(house)
        (intent,) = await house.request()
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post"]
        assert "does not recognise it any more" in ((await house.call(intent)).reason or "")
        assert await house.store.reads.exceptions_open() == {("unknown_outcome", "finance"): 1}


async def test_after_crashes_what_cannot_be_asked_for_waits_as_long(tmp_path: Path) -> None:
    async with caller_house(tmp_path, dedupe_seconds=3_600.0, **UNASKED) as house:
        house.erp.plan = closed_before_it_comes(house)
        (intent,) = await house.request()
        for seconds in (0.02, 1, 3, 5):
            await house.advance(seconds)
            await house.kill()
            await house.start()
            assert (await house.call(intent)).status == "waiting"
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post", "post"]
        assert (await house.call(intent)).status == "done"
        assert len(house.erp.ledger) == 1


async def test_after_a_crash_what_can_neither_be_asked_nor_recognised_is_a_person_s_with_all_facts(
    tmp_path: Path,
) -> None:
    async with caller_house(tmp_path, finds=False, deduplicates=False) as house:
        intents = await house.request(2)
        await house.advance(0.02)
        await house.kill()
        await house.start()
        for intent in intents:
            call = await house.call(intent)
            assert call.status == "exception"
            for fact in (intent, "EUR", "sent 1 times", "requested 20", "--posted", "--not-posted"):
                assert fact in (call.reason or ""), fact
        assert house.erp.calls("find") == []
        assert await house.store.reads.exceptions_open() == {("unknown_outcome", "finance"): 2}


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_held_until_the_system_has_forgotten_it_is_a_person_s_and_not_sent_again(
    tmp_path: Path, restarted: bool
) -> None:
    async with caller_house(tmp_path, plan=first_post(LOST_DONE), dedupe_seconds=3_600.0, **UNASKED) as house:
        (intent,) = await house.request()
        await house.advance(10)
        await house.order("hold", "erp")
        await house.advance(4_000)
        if restarted:
            await house.kill()
            await house.start()
        await house.meanwhile(house.controls.end("hold", "erp", "anna", "the week-end is over"))
        await house.until_settled(60)
        call = await house.call(intent)
        assert house.erp.about(intent) == ["post"]
        assert call.status == "exception"
        for fact in ("an answer was lost at 20", "does not recognise it any more", "sent 1 times", "--not-posted"):
            assert fact in (call.reason or ""), fact
        assert await house.store.reads.exceptions_open() == {("unknown_outcome", "finance"): 1}


async def test_what_is_only_throttled_until_the_system_has_forgotten_it_is_not_sent_again(tmp_path: Path) -> None:
    async with caller_house(tmp_path, dedupe_seconds=60.0, finds=False) as house:
        lost = first_post(LOST_DONE)
        house.erp.plan = lambda kind, call: THROTTLED if (plan := lost(kind, call)) is FINE else plan
        (intent,) = await house.request()
        await house.until_settled(200)
        begun = house.erp.calls()[0].arrived_ns
        assert len(house.erp.calls()) > 5
        assert all(call.arrived_ns - begun < 60_000_000_000 for call in house.erp.calls())
        assert (await house.call(intent)).status == "exception"


async def test_what_was_surely_not_done_waits_as_long_as_it_must(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(THROTTLED), dedupe_seconds=60.0, finds=False) as house:
        (intent,) = await house.request()
        await house.order("hold", "erp")
        await house.advance(4_000)
        await house.meanwhile(house.controls.end("hold", "erp", "anna", "the week-end is over"))
        await house.until_settled(60)
        assert (await house.call(intent)).status == "done"


async def test_what_may_not_be_sent_again_is_decided_about_when_the_store_is_well(tmp_path: Path) -> None:
    async with caller_house(tmp_path, plan=first_post(LOST_DONE), dedupe_seconds=60.0, finds=False) as house:
        (intent,) = await house.request()
        await house.advance(2)
        await house.order("hold", "erp")
        await house.advance(100)
        await house.meanwhile(house.controls.end("hold", "erp", "anna", "go on"))
        house.store.failing = True
        await house.advance(10)
        assert (await house.call(intent)).status == "waiting"
        house.store.failing = False
        await house.until_settled(60)
        assert house.erp.about(intent) == ["post"]
        assert (await house.call(intent)).status == "exception"
