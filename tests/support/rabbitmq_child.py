"""The rig in a process of its own, for faults of the machine around it.

`python -m tests.support.rabbitmq_child URL PLACE HEARTBEAT_SECONDS SECONDS`
It says each tenth of a second how far it is, as a line of JSON. At the end of its input it takes no more traffic, comes
to its end, says its findings and exits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.support.rabbitmq_rig import Rig, fed, quick, rig

_EVERY_SECONDS = 0.1
ROOT = Path(__file__).parents[2]


def _say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def _tell(made: Rig) -> None:
    while True:
        problem = made.broker.problem or made.relay.problem
        _say(handled=made.handled, problem=problem and str(problem), reconnects=made.broker.reconnects)
        await made.clock.sleep(_EVERY_SECONDS)


async def main(url: str, place: str, heartbeat_seconds: int, seconds: float) -> None:
    """Go on until the input ends."""
    logging.disable(logging.CRITICAL)
    settings = msgspec.structs.replace(quick(url), heartbeat_seconds=heartbeat_seconds)
    if heartbeat_seconds > 1:  # a patient one
        settings = msgspec.structs.replace(settings, call_seconds=10.0, watch_seconds=5.0)
    async with rig(Path(place), settings) as made:
        telling = asyncio.create_task(_tell(made))
        async with fed(made):
            await asyncio.to_thread(sys.stdin.read)
        findings = await made.judge(seconds)
        telling.cancel()
        _say(findings=[f"{finding.invariant}: {finding.detail}" for finding in findings])


@dataclass
class Child:
    """A running rig, as seen from outside."""

    process: asyncio.subprocess.Process

    async def next(self) -> dict[str, Any]:
        """What it says next."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "the rig has died"
        said: dict[str, Any] = json.loads(line)
        return said

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Listen until what it says is so."""
        while not condition(said := await self.next()):
            pass
        return said

    async def more(self, count: int) -> None:
        """Listen until so many more are handled."""
        target = (await self.next())["handled"] + count
        await self.until(lambda said: said["handled"] >= target)

    async def tells(self, count: int) -> None:
        """Listen to so many lines: a tenth of a second each."""
        for _ in range(count):
            await self.next()

    async def findings(self) -> list[str]:
        """End the traffic and hear what does not hold."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        said = await self.until(lambda said: "findings" in said)
        return list(said["findings"])


@asynccontextmanager
async def child(
    enter: Sequence[str], url: str, place: Path, heartbeat_seconds: int = 1, seconds: float = 30.0
) -> AsyncIterator[Child]:
    """A rig started by the command line `enter`, which puts it somewhere; `seconds` it has to come to its end."""
    command = [*enter, sys.executable, "-m", "tests.support.rabbitmq_child", url, str(place)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, str(heartbeat_seconds), str(seconds), stdin=pipe, stdout=pipe, cwd=ROOT
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
