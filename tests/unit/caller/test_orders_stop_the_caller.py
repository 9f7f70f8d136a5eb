"""Hold and pause: when the order is answered, no call starts any more that it forbids."""

from datetime import timedelta
from pathlib import Path

import pytest

from actors.controls import Order
from actors.runtime.clock import microseconds
from tests.unit.caller.caller_house import CallerHouse, caller_house
from tests.unit.caller.memory_erp import FINE, LOST_DONE

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("hold", "erp"),
        ("pause", "erp-poster"),
        ("pause", "all"),
        ("pause", "lane:standard"),
        ("pause", "tenant:t,operation:adjustment"),
    ],
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


async def test_a_paused_partition_holds_back_no_other(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        await house.order("pause", "partition:2,lane:standard")
        await house.order("pause", "partition:0,lane:bulk")
        await house.request(10)
        await house.request(10, lane="bulk")
        await house.advance(10)
        assert {entry.lane for entry in house.erp.log} == {"standard"}
        assert len(house.erp.documents) == 10


async def test_an_order_that_begins_later_stops_nothing_before(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        begins = microseconds(house.clock.now() + timedelta(seconds=5))
        await house.controls.give(Order("hold", "tenant:t", "anna", "maintenance", None, begins))
        assert house.controls.in_force() == []
        assert [order.target for order in house.controls.to_come()] == ["tenant:t"]
        await house.request(10)
        await house.advance(5)
        assert len(house.erp.documents) == 10
        await house.request(10)
        await house.advance(20)
        assert len(house.erp.documents) == 10


async def test_look_ups_of_a_paused_tenant_wait_and_those_of_others_go_on(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        house.erp.plan = lambda kind, call: LOST_DONE if kind == "post" else FINE
        await house.request(1)
        await house.advance(0.1)
        await house.order("pause", "tenant:t")
        await house.advance(120)
        assert [entry.kind for entry in house.erp.log] == ["post"]
        await house.controls.end("pause", "tenant:t", "anna", "go on")
        await house.until_settled(120)


async def test_what_has_outlived_its_time_is_written_down_as_ended_by_tidegate(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        until = microseconds(house.clock.now() + timedelta(seconds=30))
        await house.controls.give(Order("pause", "tenant:t", "anna", "a short stop", until))
        await house.advance(31)
        assert [order.target for order in await house.store.reads.controls()] == ["tenant:t"]
        await house.meanwhile(house.controls.expire())
        assert await house.store.reads.controls() == []
        entries = await house.store.reads.audit(0, 100)
        assert [(e.actor, e.verb, e.subject) for e in entries if "pause" in e.verb] == [
            ("anna", "pause", "tenant:t"),
            ("tidegate", "pause.ended", "tenant:t"),
        ]
