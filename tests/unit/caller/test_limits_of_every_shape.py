"""Limits of an operation, of an object and of execution time hold at the ERP, and hold back nothing else."""

from pathlib import Path

import pytest

from tests.unit.caller.caller_house import caller_house
from tests.unit.caller.memory_erp import LOST_DONE

pytestmark = pytest.mark.anyio


async def test_an_account_over_its_limit_waits_and_the_others_go_on(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("20/1s", "5 concurrent", "post: 2/60s per object")) as house:
        await house.request(6, account="busy")
        await house.request(20)
        await house.advance(5)
        assert [call.account for call in house.erp.log].count("busy") == 2
        assert len(house.erp.log) == 22
        assert house.poster.closed is not None
        assert "of busy are spent" in house.poster.closed.reason
        await house.until_settled(200)
        assert [limit.name for limit in house.certificate().limits if limit.over] == []
        assert house.clock.boot_ns() < 130e9


async def test_a_restart_forgets_no_limit_of_an_account(tmp_path: Path) -> None:
    async with caller_house(tmp_path, ("20/1s", "post: 3/60s per object")) as house:
        await house.request(8, account="busy")
        for _ in range(4):
            await house.advance(3)
            await house.kill()
            await house.start()
        assert len(house.erp.calls("post")) == 3
        await house.until_settled(200)
        assert [limit.name for limit in house.certificate().limits if limit.over] == []


async def test_look_ups_have_a_limit_of_their_own_beside_posts(tmp_path: Path) -> None:
    words = ("20/1s", "find: 1/10s", "post: 5/1s")
    async with caller_house(tmp_path, words) as house:
        house.erp.plan = lambda kind, call: LOST_DONE
        await house.request(4)
        await house.advance(6)
        house.erp.plan = type(house.erp).plan
        await house.request(20)
        await house.until_settled(90)
        assert [limit.name for limit in house.certificate().limits if limit.over] == []
        assert len(house.erp.calls("find")) >= 4


@pytest.mark.parametrize(
    "words", ["4 execution-seconds/10s up to 2s each", "post: 4 execution-seconds/10s up to 1s each"]
)
async def test_execution_time_is_spent_to_the_limit_and_no_further(words: str, tmp_path: Path) -> None:
    async with caller_house(tmp_path, (words, "4 concurrent"), latency=(0.2, 0.6)) as house:
        await house.request(60)
        for _ in range(2):
            await house.advance(17)
            await house.kill()
            await house.start()
        await house.until_settled(400)
        (time,) = (limit for limit in house.certificate().limits if limit.kind == "execution")
        assert not time.over
        assert 2 < time.worst <= 4
