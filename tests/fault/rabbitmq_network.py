"""F39, F40, F42, F45: the network between us and the broker is cut, halved, slow or leads elsewhere.

The rig runs in a network (or with a name table) of its own. Minutes long, so only `make fault-rabbitmq` runs it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from ops.rabbitmq_node import shared_node
from tests.support import network
from tests.support.network import Wire
from tests.support.rabbitmq_child import Child, child
from tests.support.rabbitmq_proxy import Proxy

NO_NETWORK = network.missing()
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(NO_NETWORK is not None, reason=NO_NETWORK or ""),
]
CUTS = [(1, 15), (1, 150), (10, 450)]
"""Heartbeat in seconds, cut in tenths of one: shorter than what the heartbeat notices, longer, and the usual one."""
_WITHOUT_NAMES = (
    'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'  # in its own namespace
)


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    """What does not heal fails instead of hanging."""
    shared_node()
    with anyio.fail_after(120):
        yield


@asynccontextmanager
async def beyond_a_wire(
    place: Path, heartbeat_seconds: int = 1, seconds: float = 30
) -> AsyncIterator[tuple[Child, Wire]]:
    """A rig in a network of its own, whose only link leads to the broker."""
    node = shared_node()
    vhost = await asyncio.to_thread(node.vhost)
    with Wire().laid() as wire:
        async with Proxy(node.port).running(wire.here) as proxy:
            url = f"amqp://guest:guest@{wire.here}:{proxy.port}/{vhost}"
            async with child(wire.enter, url, place, heartbeat_seconds, seconds) as made:
                await made.more(100)
                yield made, wire


@pytest.mark.parametrize(("heartbeat_seconds", "tenths"), CUTS)
async def test_a_link_that_is_cut_without_a_word_is_noticed_and_nothing_is_lost(
    tmp_path: Path, heartbeat_seconds: int, tenths: int
) -> None:
    async with beyond_a_wire(tmp_path, heartbeat_seconds) as (made, wire):
        wire.down()
        if tenths > 30 * (heartbeat_seconds + 1):
            await made.until(lambda said: said["problem"] is not None)
        await made.tells(tenths)
        wire.up()
        await made.more(300)
        assert await made.findings() == []


@pytest.mark.parametrize("way", [Wire.nothing_out, Wire.nothing_in])
async def test_a_link_that_carries_one_way_only_is_noticed_and_nothing_is_lost(
    tmp_path: Path, way: Callable[[Wire], None]
) -> None:
    async with beyond_a_wire(tmp_path) as (made, wire):
        way(wire)
        await made.until(lambda said: said["problem"] is not None)
        await made.tells(20)
        wire.up()
        await made.more(300)
        assert await made.findings() == []


async def test_a_slow_line_of_256_kbit_is_slow_and_correct(tmp_path: Path) -> None:
    async with beyond_a_wire(tmp_path, heartbeat_seconds=10, seconds=90) as (made, wire):
        wire.narrow("256kbit")
        await made.more(100)
        assert await made.findings() == []


async def test_a_lossy_line_that_passes_nothing_a_third_of_the_time_is_slow_and_correct(tmp_path: Path) -> None:
    async with beyond_a_wire(tmp_path, heartbeat_seconds=5, seconds=60) as (made, wire):
        for _ in range(15):
            wire.nothing_out()
            wire.nothing_in()
            await made.tells(2)
            wire.up()
            await made.tells(4)
        await made.more(100)
        assert await made.findings() == []


async def test_a_slow_line_of_100_to_900_milliseconds_is_slow_and_correct(tmp_path: Path) -> None:
    node = shared_node()
    vhost = await asyncio.to_thread(node.vhost)
    chance = random.Random(1)
    async with Proxy(node.port).running() as proxy:
        url = node.url(vhost).replace(f":{node.port}/", f":{proxy.port}/")
        async with child([], url, tmp_path, heartbeat_seconds=5, seconds=60) as made:
            await made.more(50)
            proxy.latency = lambda: chance.uniform(0.1, 0.9)
            await made.more(300)
            assert await made.findings() == []


async def test_a_name_that_is_not_resolved_and_then_names_another_place_is_followed(tmp_path: Path) -> None:
    node = shared_node()
    vhost = await asyncio.to_thread(node.vhost)
    hosts, servers = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text("127.0.0.1 broker.test\n")
    servers.write_text("nameserver 127.0.0.1\n")
    enter = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _WITHOUT_NAMES,
        "sh",
        f"{hosts}",
        f"{servers}",
    ]
    async with Proxy(node.port).running() as before, Proxy(node.port).running("127.0.0.2", before.port):
        url = f"amqp://guest:guest@broker.test:{before.port}/{vhost}"
        async with child(enter, url, tmp_path / "rig") as made:
            await made.more(100)
            hosts.write_text("")
            before.end_all("reset")
            await made.until(lambda said: said["problem"] is not None and "resol" in said["problem"].lower())
            hosts.write_text("127.0.0.2 broker.test\n")
            await made.more(300)
            before.end_all("reset")  # nobody is there any more
            await made.more(100)
            assert await made.findings() == []
