"""kill -9 at some instant: what was confirmed is there, what was acknowledged is not."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.contract.engines import EngineCase
from tests.support.messages import drain, figures, ids, numbered, with_queues

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


def lines_until_killed(engine: EngineCase, place: Path, verb: str, count: int) -> list[str]:
    """Start the victim, kill it after so many lines; every whole line that it said."""
    command = [sys.executable, "-m", "tests.contract.victim", engine.name, str(place), verb]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        said = [victim.stdout.readline() for _ in range(count)]
        victim.kill()
        said += victim.stdout.readlines()
    return [line.strip() for line in said if line.endswith("\n")]


@pytest.mark.parametrize("count", [1, 150])
async def test_everything_confirmed_is_there_after_a_kill(engine: EngineCase, tmp_path: Path, count: int) -> None:
    if not engine.features.survives_kill:
        pytest.skip("this engine keeps nothing")
    confirmed = lines_until_killed(engine, tmp_path, "publish", count)
    assert len(confirmed) >= count
    with anyio.fail_after(30):
        async with engine.opened(tmp_path) as world:
            await with_queues(world.broker, "q")
            found = ids(await drain(world.broker, "q", (await figures(world.broker, "q")).ready))
    assert found[: len(confirmed)] == confirmed
    if engine.features.enlists:
        assert len(found) % 2 == 0, "a batch was stored in part"


async def test_nothing_acknowledged_comes_back_after_a_kill(engine: EngineCase, tmp_path: Path) -> None:
    if not engine.features.survives_kill:
        pytest.skip("this engine keeps nothing")
    async with engine.opened(tmp_path) as world:
        await with_queues(world.broker, "q")
        await world.broker.publish(numbered("q", 400))
    acknowledged = set(lines_until_killed(engine, tmp_path, "consume", 100))
    with anyio.fail_after(30):
        async with engine.opened(tmp_path) as world:
            await with_queues(world.broker, "q")
            left = ids(await drain(world.broker, "q", (await figures(world.broker, "q")).ready))
    everything = {f"m{n}" for n in range(400)}
    if engine.features.settles_durably:
        assert acknowledged.isdisjoint(left)
    assert acknowledged | set(left) <= everything
    assert len(everything - acknowledged - set(left)) <= 8, "only the last, unsaid acknowledgements may be missing"
