"""A process to be killed: publishes, or receives and acknowledges, and says each id once it is sure of it.

`python -m tests.contract.victim ENGINE PLACE publish|consume`
"""

import asyncio
import itertools
import sys
from pathlib import Path

from tests.contract.engines import CASES, World
from tests.support.messages import ids, outgoing, with_queues


def _say(*sure: str) -> None:
    sys.stdout.write("".join(f"{id}\n" for id in sure))
    sys.stdout.flush()


async def _publish(world: World) -> None:
    for number in itertools.count():
        messages = outgoing("q", f"{number}a", f"{number}b")
        await world.broker.publish(messages)
        _say(*(message.message_id for message in messages))


async def _consume(world: World) -> None:
    async with world.broker.subscribe(["q"], prefetch=8) as subscription:
        while True:
            batch = await subscription.receive(3)
            await subscription.acknowledge(batch)
            _say(*ids(batch))


async def main(engine: str, place: str, verb: str) -> None:
    """Go on until killed."""
    case = next(case for case in CASES if case.name == engine)
    async with case.opened(Path(place)) as world:
        await with_queues(world.broker, "q")
        await (_publish if verb == "publish" else _consume)(world)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
