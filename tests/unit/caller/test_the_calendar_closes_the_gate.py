"""Maintenance, close freeze, night window and kept units close the gate with a true reason and an end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from actors.caller.pace import Pace
from actors.caller.poster import Poster
from policies.calendar import Calendar
from tests.unit.caller.caller_house import CallerHouse, Parts, caller_house
from tests.unit.caller.memory_erp import FINE, LOST_DONE

pytestmark = pytest.mark.anyio
HOUR = 3_600
"""Seconds. The virtual clock starts on Monday 2026-01-05 at 09:00 UTC."""


class Paced(Poster):
    """A poster with a calendar and plans, as the daemon builds it."""

    calendar = Calendar()
    keep: ClassVar[dict[str, int]] = {}

    def __init__(self, store, adapter, gate, results, controls, domain, ask_limits_seconds=0.0):  # type: ignore[no-untyped-def]
        waiting = lambda: sum(store.counters.waiting("erp", lane) for lane in ("urgent", "standard", "bulk"))  # noqa: E731
        pace = Pace(gate, adapter.clock, self.calendar, self.keep, waiting)
        super().__init__(
            store, adapter, gate, results, controls, domain, ask_limits_seconds=ask_limits_seconds, pace=pace
        )


@asynccontextmanager
async def paced(
    path: Path,
    calendar: Calendar,
    limits: tuple[str, ...] = ("20/1s",),
    keep: dict[str, int] | None = None,
    **erp: object,
) -> AsyncIterator[CallerHouse]:
    kind = type("PacedHere", (Paced,), {"calendar": calendar, "keep": keep or {}})
    async with caller_house(path, limits, Parts(poster=kind), **erp) as house:
        yield house


def hours(house: CallerHouse) -> list[float]:
    """When the ERP met posts, in hours after nine."""
    return [round(entry.arrived_ns / 1e9 / HOUR, 2) for entry in house.erp.calls("post")]


async def test_in_maintenance_nothing_starts_and_everybody_is_told_until_when(tmp_path: Path) -> None:
    async with paced(tmp_path, Calendar("UTC", maintenance=["08:00-10:00"])) as house:
        await house.request(5)
        await house.advance(HOUR - 1)
        assert house.erp.log == []
        closed = house.poster.closed
        assert closed is not None
        assert (closed.what, closed.until_ns) == ("maintenance", HOUR * 10**9)
        assert closed.reason == "it is maintained (08:00-10:00) until 10:00 UTC"
        await house.advance(10)
        assert len(house.erp.documents) == 5
        assert min(entry.arrived_ns for entry in house.erp.log) >= HOUR * 10**9


async def test_nothing_starts_just_before_a_closing_either(tmp_path: Path) -> None:
    async with paced(tmp_path, Calendar("UTC", maintenance=["09:01-09:02"]), ("10/1s",)) as house:
        await house.request(1_000)
        await house.advance(180)
        inside = [e.arrived_ns for e in house.erp.log if 60 * 10**9 <= e.arrived_ns < 120 * 10**9]
        assert inside == []
        assert len(house.erp.log) == 1_000


async def test_in_a_close_freeze_look_ups_go_on_and_posts_wait(tmp_path: Path) -> None:
    plans = {"post": LOST_DONE, "find": FINE}
    async with paced(
        tmp_path, Calendar("UTC", close_freeze=["09:01 for 2h"]), plan=lambda kind, call: plans[kind]
    ) as house:
        (lost,) = await house.request()
        await house.advance(55)
        house.erp.finds = True
        await house.advance(15)
        (later,) = await house.request()
        await house.advance(HOUR)
        assert (await house.call(lost)).status == "done"
        assert "find" in house.erp.about(lost)
        assert house.erp.about(later) == []
        plans["post"] = FINE
        await house.advance(HOUR + 60)
        assert (await house.call(later)).status == "done"


async def test_bulk_waits_for_the_night_and_the_other_lanes_do_not(tmp_path: Path) -> None:
    async with paced(tmp_path, Calendar("UTC", bulk_only=["22:00-06:00"])) as house:
        await house.request(3, lane="bulk")
        await house.request(3, lane="standard")
        await house.advance(12 * HOUR)
        assert len(house.erp.documents) == 3
        assert house.poster.closed is not None
        assert house.poster.closed.what == "bulk_only"
        await house.advance(HOUR + 60)
        assert hours(house)[3:] == [13.0] * 3


async def test_lower_lanes_leave_a_part_of_the_day_to_urgent_work(tmp_path: Path) -> None:
    async with paced(tmp_path, Calendar(), ("100/day",), {"standard": 10, "bulk": 30}) as house:
        await house.request(200, lane="bulk")
        await house.advance(60)
        assert len(house.erp.log) == 70
        closed = house.poster.closed
        assert closed is not None
        assert closed.what == "kept"
        assert "30 are kept for more urgent work" in closed.reason
        await house.request(50, lane="standard")
        await house.advance(60)
        assert len(house.erp.log) == 90
        await house.request(10, lane="urgent")
        await house.advance(60)
        assert len(house.erp.log) == 100


async def test_a_plan_knows_what_earlier_lives_spent_and_what_waits(tmp_path: Path) -> None:
    async with paced(tmp_path, Calendar(), ("1000/day", "10/1s")) as house:
        for _ in range(6):
            await house.request(100)
            await house.advance(600)
        await house.kill()
        await house.start()
        assert house.poster.pace is not None
        (plan,) = house.poster.pace.outlooks()
        assert (plan.limit, plan.used) == ("1000/86400s", 600)
        await house.request(500)
        (plan,) = house.poster.pace.outlooks()
        assert plan.waiting == 500
        assert plan.dry_in_ns is not None
        assert plan.dry_in_ns < HOUR * 10**9
