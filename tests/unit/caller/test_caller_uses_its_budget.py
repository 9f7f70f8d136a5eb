"""Under backlog the gate is used to the full, and never beyond: judged by the ERP's own log."""

from pathlib import Path

import pytest

from tests.unit.caller.caller_house import CallerHouse, caller_house

pytestmark = pytest.mark.anyio


def worst(house: CallerHouse) -> int | float:
    """Calls in the fullest window of the rate, after checking that no limit was broken in any window."""
    certificate = house.certificate()
    assert [limit.name for limit in certificate.limits if limit.over] == []
    return next(limit.worst for limit in certificate.limits if limit.kind == "rate")


def use_percent(house: CallerHouse, limit: int) -> float:
    """How much of `limit` a second was used while there was a backlog: the time that each place took to come back."""
    arrivals = [entry.arrived_ns for entry in house.erp.log]
    cycles = [later - earlier for earlier, later in zip(arrivals, arrivals[limit:], strict=False)]
    return 100 * 1e9 * len(cycles) / sum(cycles)


@pytest.mark.parametrize("words", [("20/1s", "5 concurrent"), ("10/1s", "5 concurrent"), ("20/1s",)])
async def test_a_backlog_uses_98_percent_of_the_rate_and_goes_over_in_no_window(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    async with caller_house(tmp_path, words) as house:
        await house.request(200)
        await house.until_settled(60)
        limit = int(words[0].partition("/")[0])
        assert use_percent(house, limit) >= 98
        assert worst(house) == limit


@pytest.mark.parametrize("commit_seconds", [0.005, 0.02, 0.04])
async def test_a_slow_disk_does_not_stand_between_a_free_place_and_its_use(
    commit_seconds: float, tmp_path: Path
) -> None:
    async with caller_house(tmp_path) as house:
        house.slow_commits(commit_seconds)
        await house.meanwhile(house.request(200))
        await house.until_settled(60)
        assert use_percent(house, 20) >= 98
        assert worst(house) == 20


async def test_a_system_that_tells_no_duration_is_still_never_pushed_over(tmp_path: Path) -> None:
    async with caller_house(tmp_path, says_duration=False) as house:
        await house.request(120)
        await house.until_settled(60)
        assert worst(house) <= 20


async def test_look_ups_count_like_any_other_call(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("10/1s", "5 concurrent")) as house:
        await house.request(40)
        await house.advance(0.03)
        for _ in range(4):
            await house.kill()
            await house.start()
            await house.advance(2.5)
        await house.until_settled(60)
        assert len(house.erp.calls("find")) >= 5
        assert worst(house) <= 10
