"""F34, F35, F39, F41, F44: the connection is cut, frozen, sliced or robbed at chosen frames, under load.

After it all: nothing accepted is lost, everything is handled once and in order, consumers are back, nothing is stuck.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from ops.rabbitmq_node import shared_node
from tests.support.rabbitmq_proxy import EVENTS, Proxy
from tests.support.rabbitmq_rig import Rig, fed, quick, rig

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROUNDS = int(os.environ.get("TIDEGATE_FAULT_ROUNDS", "30"))
SEED = int(os.environ.get("TIDEGATE_FAULT_SEED", "1"))
_FREEZE_EVERY = 15
_CRASH_EVERY = 6


@asynccontextmanager
async def through_proxy(place: Path) -> AsyncIterator[tuple[Rig, Proxy]]:
    """The rig, connected through a proxy."""
    node = shared_node()
    vhost = await asyncio.to_thread(node.vhost)
    async with Proxy(node.port).running() as proxy:
        url = node.url(vhost).replace(f":{node.port}/", f":{proxy.port}/")
        async with rig(place, quick(url)) as made:
            yield made, proxy


async def cut(made: Rig, proxy: Proxy, chance: random.Random, number: int) -> None:
    """One random cut at one random frame."""
    how = "freeze" if number % _FREEZE_EVERY == _FREEZE_EVERY - 1 else chance.choice(("close", "reset"))
    trap = proxy.set(chance.choice(EVENTS), chance.random() < 0.5, how, chance.randrange(8))
    await trap.sprung.wait()
    if number % _CRASH_EVERY == 0:
        await made.crash_worker()


async def test_random_cuts_lose_nothing_repeat_nothing_and_reorder_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with anyio.fail_after(60 + 8 * ROUNDS):
        async with through_proxy(tmp_path) as (made, proxy):
            async with fed(made):
                for number in range(ROUNDS):
                    await cut(made, proxy, chance, number)
            assert await made.judge() == [], f"seed {SEED}"
            assert made.broker.reconnects >= ROUNDS // 3


@pytest.mark.parametrize("eaten", ["ack", "confirm"])
async def test_swallowed_answers_and_then_a_cut_lead_to_repetitions_that_are_recognised(
    tmp_path: Path, eaten: str
) -> None:
    with anyio.fail_after(60):
        async with through_proxy(tmp_path) as (made, proxy):
            async with fed(made):
                await made.more(100)
                proxy.eaten = {eaten}
                await proxy.has_swallowed(3)
                proxy.end_all("reset")
                proxy.eaten = set()
                await made.more(100)
            assert await made.judge() == []


@pytest.mark.parametrize("size", [1, 7])
async def test_small_segments_are_put_together(tmp_path: Path, size: int) -> None:
    with anyio.fail_after(150):
        async with through_proxy(tmp_path) as (made, proxy):
            proxy.segment_bytes = size
            async with fed(made):
                await made.more(30)
            assert await made.judge() == []
            assert made.broker.reconnects == 0


async def test_a_slow_line_is_slow_and_correct(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with through_proxy(tmp_path) as (made, proxy):
            proxy.latency = lambda: 0.02
            await made.accept(60)
            await made.more(60)
            assert await made.judge() == []


async def test_a_stalled_line_that_flows_again_before_the_heartbeat_ends_nothing(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with through_proxy(tmp_path) as (made, proxy):
            async with fed(made):
                await made.more(50)
                proxy.stall()
                await asyncio.to_thread(shared_node().ctl, "version")  # about half a second
                proxy.flow()
                await made.more(200)
            assert await made.judge() == []


async def test_connections_that_are_clogged_one_by_one_and_let_go_in_another_order_heal(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with anyio.fail_after(120):
        async with through_proxy(tmp_path) as (made, proxy):
            async with fed(made):
                for number in range(4):
                    await made.more(100)
                    clogged = chance.sample(proxy.pairs, 2)
                    for pair in clogged:
                        pair.open.clear()
                        await asyncio.to_thread(shared_node().ctl, "version")  # about half a second
                    if number % 2:  # long enough for us to give the connections up
                        before = made.broker.reconnects
                        await made.until(lambda before=before: made.broker.problem or made.broker.reconnects > before)
                    for pair in chance.sample(clogged, 2):
                        pair.open.set()
                await made.more(200)
            assert await made.judge() == [], f"seed {SEED}"


async def test_a_silent_line_is_noticed_by_the_heartbeat_and_replaced(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with through_proxy(tmp_path) as (made, proxy):
            async with fed(made):
                await made.more(50)
                proxy.end_all("freeze")
                while not made.broker.reconnects:
                    await asyncio.to_thread(shared_node().ctl, "version")
                await made.more(400)
            assert await made.judge() == []
