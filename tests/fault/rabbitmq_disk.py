"""F25: the disk of the broker is really full. It may die; once there is room again, nothing is lost and it goes on.

The node's data lie in a file system of their own in memory, so root is needed. Only `make fault-rabbitmq` runs it.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.rabbitmq_node import RabbitNode
from tests.support.rabbitmq_faults import Fault, Scene, under

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")]
_SETTINGS = "disk_free_limit.absolute = 1KB\nraft.wal_max_size_bytes = 16777216\nlog.file.level = warning\n"
"""No alarm before the disk is full; a write-ahead log that fits (it takes its whole size at once)."""
_SIZE = "160m"
_BLOCK = 64 * 1024


@pytest.fixture
def node() -> Iterator[RabbitNode]:
    """A node of its own on a small disk."""
    made = RabbitNode()
    disk = made.root / "mnesia"
    (made.root / "etc/rabbitmq.conf").write_text(_SETTINGS)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "small-disk", disk], check=True)
    try:
        yield made.start()
    finally:
        made.kill()
        subprocess.run(["umount", "--lazy", disk], check=True)
        made.close()


def fill(disk: Path) -> Path:
    """Take all that is left of the disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_BLOCK))
        except OSError:
            return ballast


async def full(scene: Scene) -> None:
    """No room for as long as it takes the engine to notice; then room, and the broker again if it has died."""
    disk = scene.node.root / "mnesia"
    ballast = await asyncio.to_thread(fill, disk)
    try:
        await scene.rig.until(lambda: scene.rig.broker.problem is not None or scene.rig.relay.problem is not None)
        assert shutil.disk_usage(disk).free < _BLOCK
    finally:
        ballast.unlink()
    if await asyncio.to_thread(_is_well, scene):
        return
    await asyncio.to_thread(scene.node.kill)
    await asyncio.to_thread(scene.node.start)


def _is_well(scene: Scene) -> bool:
    """Whether it takes messages: a node whose log could not be written goes on without it, or without a queue."""
    node = scene.node
    if not node.running or "true" not in node.ctl("eval", "is_pid(whereis(ra_log_wal))."):
        return False
    states = node.ctl("-p", scene.vhost, "list_queues", "--no-table-headers", "state").split()
    return all(state == "running" for state in states)


async def test_after_a_full_disk_every_invariant_holds(tmp_path: Path, node: RabbitNode) -> None:
    assert await under(Fault("F25", "disk really full", full), tmp_path, node) == []
