"""An approved incident lets through what it may, leaves the rest with a reason, or stops and is somebody's work."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.wave_records import WaveCommand
from policies.approval import UNNAMED
from policies.wave import Rules
from tests.support.incidents import INCIDENT, Outage, came_out, credit, outage, replace

pytestmark = pytest.mark.anyio

AT_ONCE = 20
"""So many are let through at least before any of them is over."""


def names(count: int) -> list[str]:
    return [f"c{number:03}" for number in range(count)]


async def verdicts(found: Outage) -> dict[str, str]:
    """What became of each case that was met, in words."""
    page = await found.views.cases(INCIDENT, None, 0, 500)
    return {row.key: row.why for row in page.items}


async def stopped(found: Outage) -> list[str]:
    """Failure of what is somebody's work."""
    return [row.failure for row in await found.store.reads.exceptions(INCIDENT)]


async def test_cases_that_were_sent_again_take_no_room_from_those_that_wait(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in names(3 * AT_ONCE)]) as found:
        await found.approve()
        assert (await found.look()).cases == AT_ONCE
        assert (await found.look()).cases == AT_ONCE, "their processes have not taken them up yet"
        taken = await found.take_up()
        await found.ask(*(came_out(credit(name), "compensated") for name in taken[:4]))
        await found.ask(*(came_out(credit(name), "posted") for name in taken[4:]))
        assert (await found.look()).cases == 2 * AT_ONCE
        taken += await found.take_up()
        await found.send_again("dora", *taken)
        wave = await found.look()
        assert (wave.phase, wave.cases) == ("running", 3 * AT_ONCE)
        report = await found.views.reconcile(INCIDENT, None)
        assert not report.over, "people are asked about them"


async def test_a_case_that_people_approved_after_it_was_sent_again_is_under_way_once_more(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in names(2 * AT_ONCE)]) as found:
        await found.approve()
        await found.look()
        taken = await found.take_up()
        await found.send_again("dora", *taken)
        running = [credit(name) for name in taken]
        await found.ask(*(replace(one, process=replace(one.process, phase="running")) for one in running))
        assert (await found.look()).cases == AT_ONCE
        assert (await found.views.show(INCIDENT, None)).under_way == AT_ONCE


async def test_what_the_approvers_may_not_approve_is_left_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    persons = [credit(name, requested_by="sam", policy_version=None) for name in names(AT_ONCE)]
    async with outage(tmp_path, [*persons, credit("own", requested_by=UNNAMED), credit("ours")]) as found:
        await found.approve(by=UNNAMED)
        await found.look()
        wave = await found.look()
        assert (wave.phase, wave.cases) == ("running", 1)
        told = await verdicts(found)
        assert told.pop("ours") == "within the cap"
        assert told.pop("own") == "operator asked for it, so somebody else must approve it."
        assert set(told.values()) == {"The one token cannot be told from who asked."}
        assert len(told) == AT_ONCE


async def test_a_case_that_an_approver_has_sent_again_is_left_to_others(tmp_path: Path) -> None:
    async with outage(tmp_path, [replace(credit("a"), replayers=("anna",)), credit("b")]) as found:
        await found.approve(by="anna")
        assert (await found.look()).cases == 1
        assert (await verdicts(found))["a"] == "Whoever sent it again must not approve it. Somebody else must."


async def test_a_preview_lets_through_what_somebody_else_would_approve(tmp_path: Path) -> None:
    async with outage(tmp_path, [replace(credit("a"), replayers=("anna",)), credit("b", policy_version=None)]) as found:
        seen = await found.views.preview(INCIDENT, WaveCommand())
        assert seen.lets_through is not None
        assert seen.lets_through.cases == 2


async def test_processes_that_refuse_what_was_let_through_stop_it(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in names(2 * AT_ONCE)]) as found:
        await found.approve()
        await found.look()
        await found.take_up()
        wave = await found.look()
        assert (wave.phase, wave.cases) == ("held", AT_ONCE)
        assert wave.hold is not None
        assert (wave.hold.rule, "are with people again" in wave.hold.reason) == ("refused", True)
        assert await stopped(found) == ["wave_stopped"]


async def test_what_nobody_takes_up_stops_it_when_others_wait(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in names(AT_ONCE + 1)], Rules(stall_seconds=2)) as found:
        await found.approve()
        phases = [(await found.look()).phase for _ in range(5)]
        assert phases == ["running"] * 4 + ["held"]
        hold = (await found.waves.of(INCIDENT, None)).hold
        assert hold is not None
        assert hold.rule == "stalled"
        assert await stopped(found) == ["wave_stopped"]


@pytest.mark.parametrize(("waiting", "taken_up"), [(AT_ONCE, False), (AT_ONCE + 1, True)])
async def test_what_waits_for_a_system_or_for_nothing_does_not_stop_it(
    tmp_path: Path, waiting: int, taken_up: bool
) -> None:
    async with outage(tmp_path, [credit(name) for name in names(waiting)], Rules(stall_seconds=2)) as found:
        await found.approve()
        await found.look()
        if taken_up:
            running = [credit(name) for name in await found.take_up()]
            await found.ask(*(replace(one, process=replace(one.process, phase="running")) for one in running))
        assert [(await found.look()).phase for _ in range(9)] == ["running"] * 9


async def test_only_what_came_back_of_late_is_counted(tmp_path: Path) -> None:
    async with outage(tmp_path, [credit(name) for name in names(AT_ONCE)]) as found:
        await found.approve()
        wave = await found.look()
        await found.take_up()
        reads = found.waves.reads
        assert (await reads.progress(wave.id, wave.since, 0)).returned == AT_ONCE
        assert (await reads.progress(wave.id, wave.since, AT_ONCE - 5)).returned == 5
        assert (await reads.progress(wave.id, found.now() + 1, 0)).returned == 0
