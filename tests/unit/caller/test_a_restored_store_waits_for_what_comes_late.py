"""After a restore the look at a system waits until nothing that was sent before can appear there any more."""

import asyncio
from pathlib import Path

import pytest

from actors.reconcil_look import Look
from actors.reconcil_run import Asker
from actors.reconcil_words import Progress
from actors.runtime.clock import microseconds
from broker.store.ledger import LedgerReads
from broker.store.ledger_rows import ReconciliationRow
from broker.store.unit import Unit
from tests.unit.caller.caller_house import CallerHouse, caller_house
from tests.unit.caller.memory_erp import FINE, Plan

pytestmark = pytest.mark.anyio
LATE = Plan(answered=False, busy_seconds=12.0)


async def restored(house: CallerHouse, lived_until: int) -> None:
    """It is noticed now that the store is older than what was last stored, at that time."""
    now = microseconds(house.clock.now())
    facts = f'{{"knows_until":1,"lived_until":{lived_until},"missing":3}}'
    row = ReconciliationRow(kind="restore", system="", why="older", started_at=now, ended_at=now, facts=facts)
    await house.store.commit(Unit(now, reconciliations=[row]))


async def looked(house: CallerHouse) -> None:
    """What the reconciler does with a system that nothing may be posted to."""
    pending = await LedgerReads(house.store.reads, "erp").pending()
    assert pending is not None
    asker = Asker(lambda: house.poster, house._context, Progress(1, "look", "erp", "tidegate", 0))
    await Look(house.store, house.poster, asker, house._context, all_hours=1.0).run(pending)


@pytest.mark.parametrize(("waited_seconds", "windows"), [
    (0.0, {"lost_seconds": 2.0, "late_seconds": 20.0}),
    (0.0, {"lost_seconds": 20.0}),
    (4.0, {"lost_seconds": 2.0, "late_seconds": 9.0}),
    (60.0, {"lost_seconds": 2.0, "late_seconds": 9.0}),
])  # fmt: skip
async def test_what_was_sent_before_it_and_comes_late_is_found_by_the_redelivered_message(
    tmp_path: Path, waited_seconds: float, windows: dict[str, float]
) -> None:
    """`waited_seconds`: from the last that was stored to the new life; a call may be under way for so long."""
    async with caller_house(tmp_path, deduplicates=False, started=False, **windows) as house:
        (intent,) = await house.request()
        house.erp.plan = lambda kind, call: LATE
        sent = asyncio.create_task(house.erp.post(await house.call(intent)))
        await house.advance(0.1)
        house.erp.plan = lambda kind, call: FINE
        lived_until = microseconds(house.clock.now())
        await house.advance(waited_seconds)
        await restored(house, lived_until)
        await house.start()
        looking = asyncio.create_task(looked(house))
        await house.until_settled(60)
        await looking
        await sent
        assert house.erp.about(intent) == ["post", "find"], "neither asked for nor sent while it could still come"
        assert (await house.call(intent)).status == "done"
        assert len(house.erp.ledger) == 1
