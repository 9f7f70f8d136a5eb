"""When the store cannot write, no call starts, no answer is forgotten, and a stop does not wait for it."""

from pathlib import Path

import pytest

from tests.unit.caller.caller_house import caller_house

pytestmark = pytest.mark.anyio


async def test_an_answer_waits_until_it_can_be_stored(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        (intent,) = await house.request()
        await house.advance(0.01)
        house.store.failing = True
        await house.advance(20)
        assert (await house.call(intent)).status == "in_flight"
        house.store.failing = False
        await house.until_settled(5)
        assert house.erp.about(intent) == ["post"]


async def test_no_call_starts_while_its_intent_cannot_be_made_durable(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("10/60s",)) as house:
        await house.order("hold", "erp")
        await house.request(10)
        await house.controls.end("hold", "erp", "anna", "go")
        house.store.failing = True
        await house.advance(20)
        assert house.erp.log == []
        house.store.failing = False
        await house.advance(5)
        assert len(house.erp.documents) == 10, "what did not start took nothing out of the budget"


async def test_a_stop_does_not_wait_for_a_store_that_waits_for_the_stop(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        intents = await house.request(5)
        await house.advance(0.01)
        house.store.failing = True
        await house.advance(1)
        before_ns = house.clock.boot_ns()
        await house.stop()
        assert house.clock.boot_ns() - before_ns <= 1_000_000_000
        assert sorted(house.poster.flights()) == intents, "they are named as abandoned"
        house.store.failing = False
        await house.start()
        await house.until_settled(30)
        assert [house.erp.about(intent) for intent in intents] == [["post", "find"]] * 5
