"""Urgent first, nobody starves, and no account's calls overtake each other."""

from pathlib import Path

import msgspec
import pytest

from actors.caller.gate import Admission, Closed, Gate
from actors.caller.steps import in_flight
from actors.caller.worklist import WINDOW, WINDOW_MAX, Worklist
from broker.store.rows import CallChange
from broker.store.unit import Unit
from policies.limit_words import parse_limits
from tests.unit.caller.caller_house import CallerHouse, caller_house

pytestmark = pytest.mark.anyio


async def test_urgent_calls_overtake_a_backlog_at_once(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        await house.request(200)
        await house.advance(2.5)
        before = len(house.erp.log)
        urgent = await house.request(5, lane="urgent")
        await house.advance(2)
        places = [n for n, entry in enumerate(house.erp.log[before:]) if entry.intent in urgent]
        assert len(places) == 5
        assert places[-1] <= 7


async def test_lower_lanes_keep_their_floor_under_urgent_load(tmp_path: Path) -> None:
    async with caller_house(tmp_path, started=False) as house:
        await house.request(200, lane="urgent")
        await house.request(50, lane="standard")
        await house.request(50, lane="bulk")
        await house.start()
        await house.advance(10)
        lanes = [entry.lane for entry in house.erp.log]
        for start in range(0, len(lanes) - 20, 20):
            part = lanes[start : start + 20]
            assert part.count("bulk") >= 1
            assert part.count("standard") >= 2


async def test_one_account_keeps_its_order_among_others(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        mine = []
        for _ in range(10):
            mine += await house.request(1, account="acc-mine")
            await house.request(4)
        await house.until_settled(60)
        assert [entry.intent for entry in house.erp.log if entry.account == "acc-mine"] == mine


async def sent_before(house: CallerHouse, count: int) -> None:
    """Make the oldest calls ones that were sent once and came back."""
    unit = Unit(1)
    for call in await house.store.reads.calls_ready("erp", "standard", count, 2**60):
        gone = in_flight(call, 1)
        back = msgspec.structs.replace(gone, status="waiting", ready=1)
        unit.call_changes += [CallChange(gone, "waiting", "test"), CallChange(back, "in_flight", "test")]
    await house.store.commit(unit)


async def admitted(gate: Gate, worklist: Worklist, now_ns: int) -> Admission | Closed:
    """The next verdict of the gate, once everything has been read that it asks for."""
    while isinstance(verdict := gate.admit(worklist, now_ns), Closed) and verdict.what == "reading":
        await worklist.refresh(1)
    return verdict


@pytest.mark.parametrize("repeats", [3 * WINDOW, WINDOW_MAX + WINDOW])
async def test_calls_that_may_not_be_repeated_yet_do_not_hide_the_ones_never_sent(tmp_path: Path, repeats: int) -> None:
    async with caller_house(tmp_path, started=False) as house:
        await house.request(repeats)
        await sent_before(house, repeats)
        (fresh,) = await house.request(1)
        gate = Gate(parse_limits(["1000/1s"]), lambda: 0.5)
        worklist = Worklist(house.store.reads, "erp", gate.order)
        await worklist.open()
        chosen = await admitted(gate, worklist, 10**12)
        assert isinstance(chosen, Admission)
        assert chosen.call.intent_id == fresh
        trickle = await admitted(gate, worklist, 10**12 + 1)
        assert isinstance(trickle, Admission), "one repeat goes when nothing else can"
        assert trickle.call.intent_id == "intent-1"
        assert isinstance(await admitted(gate, worklist, 10**12 + 2), Closed)


async def test_a_backlog_longer_than_the_window_is_worked_off_whole_and_in_order(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("500/1s",), latency=(0.001, 0.001)) as house:
        intents = await house.request(2 * WINDOW + 50)
        await house.until_settled(60)
        assert [entry.intent for entry in house.erp.log] == intents
