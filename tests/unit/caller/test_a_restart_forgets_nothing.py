"""The budget that earlier lives spent is spent, in every window, whoever asks."""

from pathlib import Path

import pytest

from tests.unit.caller.caller_house import caller_house

pytestmark = pytest.mark.anyio


async def test_a_restart_does_not_bring_a_new_budget(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("10/60s",)) as house:
        await house.request(30)
        await house.advance(5)
        assert len(house.erp.log) == 10
        for _ in range(3):
            await house.kill()
            await house.start()
            await house.advance(5)
        assert len(house.erp.log) == 10
        await house.advance(60)
        assert len(house.erp.log) == 20


@pytest.mark.parametrize("seed", range(6))
async def test_no_window_is_broken_over_many_restarts(seed: int, tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("10/1s", "40/7s", "3 concurrent"), seed=seed) as house:
        await house.request(120)
        for place in range(12):
            await house.advance(0.05 + (seed * 7 + place * 13) % 23 / 10)
            await house.kill()
            await house.start()
        await house.until_settled(180)
        assert [limit.name for limit in house.certificate().limits if limit.over] == []
        assert len(house.erp.documents) == 120
