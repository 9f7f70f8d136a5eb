"""Hold and pause: when the order is answered, no call starts any more that it forbids."""

from datetime import timedelta
from pathlib import Path

import pytest

from actors.controls import Order
from actors.runtime.clock import microseconds
from tests.unit.caller.caller_house import CallerHouse, caller_house

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("verb", "target"), [("hold", "erp"), ("pause", "erp-poster"), ("pause", "all"), ("pause", "lane:standard")]
)
@pytest.mark.parametrize("moment", [0.0, 0.96])
async def test_no_call_starts_after_an_order_is_in_force(verb: str, target: str, moment: float, tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        house.slow_commits(0.02)
        house.poster._lead_ns = 50_000_000  # calls are made durable ahead of their moment
        await house.meanwhile(house.request(200))
        await house.advance(moment)
        await house.order(verb, target)
        under_way = set(house.poster.flights())
        before = len(house.erp.log)
        await house.advance(10)
        assert {entry.intent for entry in house.erp.log[before:]} <= under_way
        house.slow_commits(0.0)
        await house.controls.end(verb, target, "anna", "go on")
        await house.until_settled(60)


def ahead_of_their_moment(house: CallerHouse) -> list[str]:
    """Calls that are durable and have not left yet."""
    return [flight.call.intent_id for flight in house.poster._flights.values() if not flight.left.is_set()]


async def test_an_order_is_answered_when_the_last_call_made_durable_before_it_has_left(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        await house.request(200)
        for _ in range(2_000):
            house.poster._lead_ns = 50_000_000  # as if the last commit had been slow; this one is quick
            await house.advance(0.001)
            if ahead_of_their_moment(house):
                break
        assert ahead_of_their_moment(house)
        await house.order("hold", "erp")
        assert ahead_of_their_moment(house) == []


async def test_a_paused_lane_holds_back_no_other_lane(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        await house.order("pause", "lane:standard")
        await house.request(600)
        await house.request(30, lane="bulk")
        await house.request(10, lane="urgent")
        await house.advance(5)
        assert {entry.lane for entry in house.erp.log} == {"urgent", "bulk"}
        assert len(house.erp.documents) == 40


async def test_an_order_with_an_end_ends_by_itself(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        until = microseconds(house.clock.now() + timedelta(seconds=30))
        await house.controls.give(Order("hold", "erp", "anna", "a short stop", until))
        await house.request(5)
        await house.advance(29)
        assert house.erp.log == []
        await house.advance(3)
        assert len(house.erp.documents) == 5


async def test_an_order_survives_a_kill(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        await house.request(5)
        await house.order("hold", "erp")
        before = len(house.erp.log)
        await house.kill()
        await house.controls.load()
        await house.start()
        await house.advance(60)
        assert len(house.erp.log) == before


async def test_a_process_that_is_ending_starts_nothing_and_stores_no_order(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        await house.request(100)
        await house.advance(0.5)
        house.controls.cease("the daemon is stopping")
        await house.advance(0.2)
        before = len(house.erp.log)
        await house.advance(5)
        assert len(house.erp.log) == before
        assert await house.store.reads.controls() == []


async def test_a_stop_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        intents = await house.request(5)
        await house.advance(0.01)
        await house.stop()
        assert {(await house.call(intent)).status for intent in intents} == {"done"}
