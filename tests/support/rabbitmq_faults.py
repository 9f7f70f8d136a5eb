"""The broker's part of the fault catalogue: each fault as something to do to a rig under load.

A fault ends when the cause is gone; then the rig must heal, and `Rig.judge` says what does not hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from broker.port import BrokerError
from broker.rabbitmq.layout import DEAD
from broker.topology import OUT
from ops.rabbitmq_node import RabbitNode
from tests.support.checkers import Finding
from tests.support.rabbitmq_rig import Rig, fed, quick, rig

USER, PASSWORD = "rig", "first"
_SECONDS = 90
_BEFORE, _AFTER = 60, 150


@dataclass
class Scene:
    """A rig under load, its node and its virtual host."""

    rig: Rig
    node: RabbitNode
    vhost: str

    async def ctl(self, *arguments: str) -> str:
        """`rabbitmqctl ...`, off the loop."""
        return await asyncio.to_thread(self.node.ctl, *arguments)

    async def eval(self, *terms: str) -> str:
        """Have the node evaluate Erlang."""
        return await self.ctl("eval", ", ".join(terms) + ".")

    async def problem(self) -> None:
        """Wait until the engine says that something is wrong."""
        await self.rig.until(lambda: self.rig.broker.problem is not None)


Injection = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """A row of the catalogue."""

    number: str
    title: str
    inject: Injection
    known: str = ""
    """What is known not to hold yet under this fault."""


async def killed(scene: Scene) -> None:
    await asyncio.to_thread(scene.node.settle)
    await asyncio.to_thread(scene.node.kill)
    await asyncio.to_thread(scene.node.start)


async def stopped_and_started(scene: Scene) -> None:
    await scene.ctl("stop_app")
    await scene.ctl("start_app")


async def connections_closed(scene: Scene) -> None:
    for _ in range(10):
        await asyncio.to_thread(scene.node.drop_connections)


async def too_long_unacknowledged(scene: Scene) -> None:
    await scene.eval(
        "application:set_env(rabbit, consumer_timeout, 1000)", "application:set_env(rabbit, channel_tick_interval, 300)"
    )
    try:
        # channels take the interval when they are opened
        await asyncio.to_thread(scene.node.drop_connections)
        await scene.rig.more(_BEFORE)
        scene.rig.gate.clear()
        await scene.rig.until(lambda: any(i.lost for s in scene.rig.broker._subscriptions for i in s.inlets.values()))
    finally:
        await scene.eval(
            "application:set_env(rabbit, consumer_timeout, 1800000)",
            "application:set_env(rabbit, channel_tick_interval, 60000)",
        )
        scene.rig.gate.set()


@asynccontextmanager
async def alarmed(node: RabbitNode) -> AsyncIterator[None]:
    """The memory alarm is on for the length of the block."""
    await asyncio.to_thread(node.memory_alarm, True)
    try:
        yield
    finally:
        await asyncio.to_thread(node.memory_alarm, False)


async def memory_alarm(scene: Scene) -> None:
    async with alarmed(scene.node):
        await scene.rig.until(lambda: scene.rig.relay.problem is not None)


async def disk_alarm(scene: Scene) -> None:
    await asyncio.to_thread(scene.node.disk_alarm, True)
    try:
        await scene.rig.until(lambda: scene.rig.relay.problem is not None)
    finally:
        await asyncio.to_thread(scene.node.disk_alarm, False)


async def queues_deleted(scene: Scene) -> None:
    for queue in scene.rig.queues[:3]:
        await scene.ctl("-p", scene.vhost, "delete_queue", queue)


async def exchanges_deleted(scene: Scene) -> None:
    for name in (DEAD, OUT):
        resource = f'rabbit_misc:r(<<"{scene.vhost}">>, exchange, <<"{name}">>)'
        await scene.eval(f'rabbit_exchange:delete({resource}, false, <<"test">>)')
    await scene.rig.more(_BEFORE)
    while "\n" + DEAD + "\n" not in await scene.ctl("-p", scene.vhost, "list_exchanges", "name"):
        pass


async def queue_full(scene: Scene) -> None:
    rule = '{"max-length": 5}'
    await scene.ctl("set_policy", "-p", scene.vhost, "full", "^tidegate.erp", rule, "--apply-to", "queues")
    try:
        scene.rig.gate.clear()
        for _ in range(8):  # more than is sent ahead to the consumers, which does not count as length
            await scene.rig.accept(1000)
        await scene.rig.until(lambda: "nack" in str(scene.rig.relay.problem))
        scene.rig.gate.set()
        await scene.rig.more(8000)
    finally:
        await scene.ctl("clear_policy", "-p", scene.vhost, "full")


async def restarted_25_times(scene: Scene) -> None:
    scene.rig.gate.clear()
    for _ in range(25):
        await scene.rig.until(lambda: bool(scene.rig.broker._subscriptions))
        # what is handed out is finished first: a stop waits for it
        scene.rig.gate.set()
        await scene.rig.restart_worker()
        scene.rig.gate.clear()
    scene.rig.gate.set()


async def dead_letter_target_missing(scene: Scene) -> None:
    wait = "dead_letter_worker_publisher_confirm_timeout"
    await scene.eval(f"application:set_env(rabbit, {wait}, 1000)")
    try:
        await scene.ctl("-p", scene.vhost, "delete_queue", DEAD)
        await scene.rig.broker.probe()
        while "\n" + DEAD + "\n" not in "\n" + await scene.ctl("-p", scene.vhost, "list_queues", "name"):
            pass
    finally:
        await scene.eval(f"application:set_env(rabbit, {wait}, 180000)")


async def password_changed(scene: Scene) -> None:
    await scene.ctl("change_password", USER, "second")
    await asyncio.to_thread(scene.node.drop_connections)
    await scene.rig.until(lambda: not getattr(scene.rig.broker.problem, "retry", True))
    await scene.ctl("change_password", USER, PASSWORD)


async def rights_removed(scene: Scene) -> None:
    await scene.ctl("set_permissions", "-p", scene.vhost, USER, "", "", "")
    await asyncio.to_thread(scene.node.drop_connections)
    await scene.rig.until(lambda: not getattr(scene.rig.broker.problem, "retry", True))
    await scene.ctl("set_permissions", "-p", scene.vhost, USER, ".*", ".*", ".*")


async def vhost_deleted(scene: Scene) -> None:
    await scene.ctl("delete_vhost", scene.vhost)
    await scene.problem()
    await asyncio.to_thread(scene.node.make_vhost, scene.vhost)
    await scene.ctl("set_permissions", "-p", scene.vhost, USER, ".*", ".*", ".*")


async def back_empty(scene: Scene) -> None:
    await asyncio.to_thread(scene.node.kill)
    scene.node.wipe()
    await asyncio.to_thread(scene.node.start)
    await asyncio.to_thread(scene.node.make_vhost, scene.vhost)
    await asyncio.to_thread(allow, scene.node, scene.vhost)


async def many_waiting(scene: Scene) -> None:
    await scene.rig.stop_worker()
    scene.rig.stop_feeding()
    for _ in range(20):
        await scene.rig.accept(1000)
    await scene.rig.until(lambda: scene.rig.relay.published >= len(scene.rig.accepted))
    before = scene.rig.handled
    scene.rig.start_worker()
    async with asyncio.timeout(10):
        await scene.rig.more(1)
    assert scene.rig.handled - before < 20_000


async def decider_killed(scene: Scene) -> None:
    for round in range(20):
        await scene.rig.more(1 + 7 * round % 40)
        await scene.rig.crash_worker()


FAULTS = (
    Fault("F19", "broker SIGKILL", killed),
    Fault("F20", "broker stopped and started", stopped_and_started),
    Fault("F21", "all connections closed, ten times", connections_closed),
    Fault("F22", "channel closed by the acknowledgement time-out", too_long_unacknowledged),
    Fault("F23", "memory alarm", memory_alarm),
    Fault("F24", "disk alarm", disk_alarm),
    Fault("F26", "queues deleted under their consumers", queues_deleted),
    Fault("F26", "exchanges deleted", exchanges_deleted),
    Fault("F29", "queue at its maximum length", queue_full),
    Fault("F30", "25 graceful restarts", restarted_25_times),
    Fault("F31", "dead-letter target missing, then there again", dead_letter_target_missing),
    Fault("F32", "password changed", password_changed),
    Fault("F32", "rights removed", rights_removed),
    Fault("F32", "virtual host deleted", vhost_deleted),
    Fault("F33", "broker back empty", back_empty),
    Fault("F37", "20,000 waiting at the start", many_waiting),
    Fault("A1", "decider killed, twenty times", decider_killed),
)


def allow(node: RabbitNode, vhost: str) -> None:
    """Have the rig's own user, with all rights in the virtual host."""
    try:
        node.ctl("add_user", USER, PASSWORD)
    except RuntimeError:
        node.ctl("change_password", USER, PASSWORD)
    node.ctl("set_permissions", "-p", vhost, USER, ".*", ".*", ".*")


async def under(fault: Fault, place: Path, node: RabbitNode) -> list[Finding]:
    """Traffic, the fault, traffic; then what does not hold."""
    vhost = await asyncio.to_thread(node.vhost)
    await asyncio.to_thread(allow, node, vhost)
    with anyio.move_on_after(_SECONDS):
        async with rig(place, quick(node.url(vhost, USER, PASSWORD))) as made:
            try:
                async with asyncio.timeout(_SECONDS - 35), fed(made):
                    await made.more(_BEFORE)
                    await fault.inject(Scene(made, node, vhost))
                    if made.feeding:
                        await made.more(_AFTER)
            except (TimeoutError, BrokerError) as stuck:
                return [*await made.judge(), Finding("I8", f"{fault.title}: {stuck!r} {made.relay.problem}")]
            return await made.judge()
    return [Finding("I8", f"{fault.title}: no end within {_SECONDS} s")]
