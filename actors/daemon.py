"""The daemon: one process, its signals, its tree, and an honest report at the end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import msgspec
from loguru import logger

from actors.build import Builder
from actors.credentials import keyring
from actors.doors.http.server import bind
from actors.faults import with_faults
from actors.house import House
from actors.runtime.actor import Context
from actors.runtime.clock import Clock, SystemClock, microseconds
from actors.runtime.entropy import Entropy, SystemEntropy
from actors.runtime.events import ChildCrashed, ChildRestarting, SupervisionEvent
from actors.runtime.loopwatch import LoopWatch
from actors.runtime.notify import Manager, keep_telling
from actors.runtime.supervisor import GaveUp, Supervisor
from actors.services import log_event
from actors.settings import Settings
from actors.tree import tree
from broker.crash_points import TOLD
from broker.store.anchors import AnchorFile
from broker.store.store import Store, StoreInUse, StoreRefused

RECENT_MAX = 50
STUCK_SECONDS = 2.0
STANDBY_SECONDS = 0.2


class StopReport(msgspec.Struct, frozen=True):
    """What a stop left behind. Everything in it is durable and goes on at the next start."""

    reason: str
    calls_abandoned: list[str]
    """Intent ids of calls cut off in flight: they will be looked up at the ERP before anything is sent again."""
    calls_waiting: int
    messages_queued: int


async def serve(
    settings: Settings,
    reload: Callable[[], Settings],
    listening: Callable[[str], None] = lambda url: None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    manager: Manager | None = None,
) -> int:
    """Run until a signal or until the root gives up; the exit code.

    SIGTERM and SIGINT drain within `daemon.drain_seconds`; a second one stops at once; SIGHUP reads the settings
    again. `reload` gives the settings anew or raises; `listening` is told the URL once the door is open, and
    `manager` how we are.

    Raises:
        StoreRefused: the data directory cannot be used.
        PortInUse: the HTTP address cannot be bound.
        SettingsRefused: the token of a named operator cannot be used.
    """
    clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
    if TOLD:
        logger.warning("a crash for tests is switched on: {}", TOLD)
    early = None if settings.daemon.standby else bind(settings.http.host, settings.http.port)
    async with _opened(settings, clock) as store:
        check_anchors(settings.anchors)
        sock = early or bind(settings.http.host, settings.http.port)
        spread = await store.take_partitions(settings.broker.partitions)
        builder = Builder(settings, store, clock, entropy, keyring(settings), spread)
        house = builder.house
        if not house.broker.features.server_side_order:
            await store.prepare_order()
        await house.controls.load()
        await house.onlooker.recall()
        root = Supervisor(tree(with_faults(builder.makers(sock))), clock, entropy, _reporter(house))
        house.root = root
        context = Context("/", clock, entropy)
        url = "http://{}:{}".format(*sock.getsockname()[:2])
        with LoopWatch(asyncio.get_running_loop()):
            anew = partial(_reload, builder, reload)
            code = await _run(root, context, settings, house, anew, lambda: listening(url), manager or Manager(None))
        await _report(house, "stopped on request" if code == 0 else "gave up")
        sock.close()
    return code


def check_anchors(path: Path) -> None:
    """Raise StoreRefused when the anchor file cannot be written."""
    try:
        AnchorFile(path).check()
    except OSError as error:
        raise StoreRefused(
            f"the anchor file {path} cannot be written ({error.strerror}). Make its folder, or set audit.anchor_file."
        ) from None


@asynccontextmanager
async def _opened(settings: Settings, clock: Clock) -> AsyncIterator[Store]:
    """The store; on standby, when the process that has it has ended.

    Raises:
        StoreInUse: another process has it, and we are not to stand by.
    """
    async with AsyncExitStack() as stack:
        waiting = False
        while True:
            try:
                at = microseconds(clock.now())
                store = Store(settings.directory, settings.mark, at, settings.data.look_first)
                await stack.enter_async_context(store)
                break
            except StoreInUse as problem:
                if not settings.daemon.standby:
                    raise
                if not waiting:
                    logger.info("standing by: {}", problem)
                waiting = True
                await clock.sleep(STANDBY_SECONDS)
        yield store


async def stuck(seconds: float = STUCK_SECONDS) -> list[str]:
    """Cancel whatever still runs beside the caller; names of what does not even end by that.

    A task that ignores its cancellation would keep the loop, and so the process, from ever ending.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if not others:
        return []
    _, deaf = await asyncio.wait(others, timeout=seconds)
    return sorted(task.get_name() for task in deaf)


def _reporter(house: House) -> Callable[[SupervisionEvent], None]:
    def report(event: SupervisionEvent) -> None:
        log_event(event)
        house.restarts += isinstance(event, ChildRestarting)
        if not isinstance(event, ChildCrashed):
            house.recent = [*house.recent, msgspec.to_builtins(event)][-RECENT_MAX:]

    return report


async def _run(
    root: Supervisor,
    context: Context,
    settings: Settings,
    house: House,
    reload: Callable[[], None],
    up: Callable[[], None],
    manager: Manager,
) -> int:
    """The root, and beside it whoever listens for signals."""
    code = 0
    async with anyio.create_task_group() as group:

        async def live() -> None:
            nonlocal code
            try:
                await root.run(context)
            except* GaveUp as error:
                code = 1
                logger.critical("tidegate gives up: {}", "; ".join(str(one) for one in error.exceptions))
            manager.stop("stopped" if code == 0 else "gave up, the log says why")
            group.cancel_scope.cancel()

        async def tell() -> None:
            await context.is_ready.wait()
            manager.ready()
            up()

        group.start_soon(live)
        group.start_soon(tell)
        group.start_soon(_signals, root.haste, context, settings, house, reload, manager)
        group.start_soon(keep_telling, manager, house.clock, lambda: _states(root), lambda: _status(root, house))
    return code


def _states(root: Supervisor) -> list[str]:
    return [child.state for child in root.census()]


def _status(root: Supervisor, house: House) -> str:
    """One line for the service manager."""
    away = [child.spec.name for child in root.census() if child.state != "up"]
    counts = {wanted: 0 for wanted in ("waiting", "in_flight", "unknown")}
    for (_, _, status), count in house.store.counters.calls.items():
        if status in counts:
            counts[status] += count
    calls = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items())
    return f"not up: {', '.join(away)}; calls: {calls}" if away else f"ready; calls: {calls}"


async def _signals(
    haste: asyncio.Event,
    context: Context,
    settings: Settings,
    house: House,
    reload: Callable[[], None],
    manager: Manager,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP:
                with manager.reloading():
                    reload()
            elif context.stopping:
                logger.warning("second signal: stopping at once; calls in flight will be looked up at the next start")
                haste.set()
            else:
                logger.info("draining for at most {} s", settings.daemon.drain_seconds)
                manager.stop(f"draining for at most {settings.daemon.drain_seconds:g} s")
                house.controls.cease("the daemon is stopping")
                context.stop_asked.set()
                asyncio.get_running_loop().call_later(settings.daemon.drain_seconds, haste.set)


def _reload(builder: Builder, reload: Callable[[], Settings]) -> None:
    """Take over what can change while running; keep the old settings when the new ones are refused."""
    try:
        fresh = reload()
    except Exception as error:
        logger.error("settings not reloaded, the old ones stay in force: {}", error)
        return
    builder.take_limits(fresh.erp.limits)
    builder.take_calendar(fresh)
    logger.info("settings reloaded: ERP limits are {}", ", ".join(fresh.erp.limits))


async def _report(house: House, reason: str) -> None:
    flights = [intent for poster in house.posters.values() for intent in poster.flights()]
    report = StopReport(
        reason=reason,
        calls_abandoned=flights,
        calls_waiting=sum(n for (_, _, status), n in house.store.counters.calls.items() if status == "waiting"),
        messages_queued=sum((await house.store.reads.queue_depths()).values()),
    )
    logger.info("{}", msgspec.json.encode(report).decode())
