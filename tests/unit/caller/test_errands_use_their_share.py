"""Calls that compare the ledger with a system: a small share, never starved, never past a limit, stopped by a hold."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.adapters.port import Absent, Answer, NotSent
from actors.caller.first_looks import LookFacts
from broker.store.ledger_rows import ReconciliationRow, StrayRow
from broker.store.unit import Unit
from tests.unit.caller.caller_house import CallerHouse, caller_house

pytestmark = pytest.mark.anyio
SECOND_NS = 1_000_000_000


def listing(house: CallerHouse, arrivals: list[int]) -> Any:
    """A page of a listing that takes the ERP 50 ms."""

    async def ways() -> tuple[Answer, str]:
        arrivals.append(house.clock.boot_ns())
        await house.clock.sleep(0.05)
        return Answer(Absent()), "a page"

    return ways


def over(windows: list[int], limit: int) -> bool:
    """Whether more than so many fall into some second."""
    inorder = sorted(windows)
    return any(b - a < SECOND_NS for a, b in zip(inorder, inorder[limit:], strict=False))


async def test_it_goes_on_beside_a_full_backlog_with_a_tenth_of_the_calls(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("10/1s", "5 concurrent")) as house:
        arrivals: list[int] = []

        async def compare() -> None:
            while True:
                await house.poster.errands.ask("list", "ledger", listing(house, arrivals))

        await house.request(150)
        comparing = asyncio.create_task(compare())
        await house.advance(12)
        comparing.cancel()
        assert 10 <= len(arrivals) <= 12
        assert all(b - a >= SECOND_NS for a, b in pairwise(arrivals))
        every = [*arrivals, *(entry.arrived_ns for entry in house.erp.log)]
        assert not over(every, 10)
        assert len(every) >= 110, "what it leaves is used"


async def test_an_urgent_one_is_held_back_by_the_limits_alone(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("10/1s", "5 concurrent")) as house:
        arrivals: list[int] = []
        for _ in range(30):
            asked = house.poster.errands.ask("list", "restore", listing(house, arrivals), urgent=True)
            await house.meanwhile(asked)
        assert not over(arrivals, 10)
        assert arrivals[-1] - arrivals[0] < 4 * SECOND_NS


async def test_a_hold_stops_it_and_a_stop_tells_who_waits(tmp_path: Path) -> None:
    async with caller_house(tmp_path) as house:
        await house.order("hold", "erp")
        arrivals: list[int] = []
        asked = asyncio.create_task(house.poster.errands.ask("list", "ledger", listing(house, arrivals)))
        await house.advance(5)
        assert arrivals == []
        assert "anna" in house.poster.errands.closed.reason  # type: ignore[union-attr]
        await house.stop()
        answer, page = await asked
        assert isinstance(answer.outcome, NotSent)
        assert page is None


def stray(intent: str) -> StrayRow:
    facts = {"document": "ADJ-9", "amount": "1.01", "currency": "EUR", "account": "acc-1"}
    return StrayRow(system="erp", intent_id=intent, found_at=1, **facts)


async def test_a_call_whose_document_may_be_there_is_looked_up_instead_of_sent(tmp_path: Path) -> None:
    async with caller_house(tmp_path, started=False) as house:
        there, gone, other = await house.request(3)
        await house.store.commit(Unit(1, strays=[stray(there), stray(gone)]))
        before = await house.call(there)
        task = asyncio.create_task(house.erp.post(before))
        await house.advance(1)
        await task
        await house.start()
        await house.until_settled(60)
        assert house.erp.about(there) == ["post", "find"], "found, so it is not posted again"
        assert house.erp.about(gone) == ["find", "post"], "not found, so it is posted"
        assert house.erp.about(other) == ["post"]
        assert {(await house.call(one)).status for one in (there, gone, other)} == {"done"}
        assert house.poster.first_looks.strays == 0
        await house.kill()
        await house.start()
        assert house.poster.first_looks.strays == 0, "that they are explained is durable"


async def test_nothing_is_posted_while_a_restore_was_not_looked_at_and_then_everything_is_looked_up(
    tmp_path: Path,
) -> None:
    def row(kind: str, of: int | None, facts: str) -> ReconciliationRow:
        system = "" if kind == "restore" else "erp"
        return ReconciliationRow(kind=kind, system=system, of=of, why="w", started_at=1, ended_at=1, facts=facts)

    async with caller_house(tmp_path, started=False) as house:
        known = '{"knows_until":1,"lived_until":2,"missing":3}'
        await house.store.commit(Unit(1, reconciliations=[row("restore", None, known)]))
        await house.start()
        (intent,) = await house.request()
        await house.advance(10)
        assert house.erp.log == []
        assert house.poster.closed is not None
        assert house.poster.closed.what == "reconciling"
        until = int(house.clock.now().timestamp() * 1e6) + 60_000_000
        facts = msgspec.json.encode(LookFacts(all_until=until)).decode()
        await house.store.commit(Unit(1, reconciliations=[row("look", 1, facts)]))
        await house.meanwhile(house.poster.looked(house._context))
        await house.until_settled(30)
        assert house.erp.about(intent) == ["find", "post"]
        await house.advance(60)
        (later,) = await house.request()
        await house.until_settled(30)
        assert house.erp.about(later) == ["post"]
