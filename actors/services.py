"""Small actors that keep the house: the store's writer, the broker's link, timers, the watchdog, housekeeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from loguru import logger

from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from actors.runtime.supervisor import Supervisor
from broker.accept import Acceptor
from broker.port import Broker, BrokerError, OwnedElsewhere, Topology
from broker.relay import Relay
from broker.store.rows import TimerRow
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Unit
from contracts.envelope import decode_envelope
from contracts.errors import ContractError
from policies.restarts import Backoff

TIMERS_MAX = 500
_NOBODY_US = 3_600_000_000


class StoreWriter:
    """Runs the store's one writer; the last to stop, so that everybody's last words are written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, context: Context) -> None:
        """Write until stopped, then until nothing is pending."""
        writing = asyncio.ensure_future(self._store.writer.run(context.beat))
        stop = asyncio.ensure_future(context.stop_asked.wait())
        try:
            context.ready()
            await asyncio.wait({writing, stop}, return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                await self._store.writer.idle()
        finally:
            stop.cancel()
            writing.cancel()
            await asyncio.wait({writing})
        if not writing.cancelled() and (error := writing.exception()) is not None:
            raise error


class BrokerLink:
    """Holds the connection to the broker and declares the topology before anybody publishes."""

    def __init__(self, broker: Broker, topology: Topology) -> None:
        self._broker = broker
        self._topology = topology
        self._backoff = Backoff(cap_ns=5_000_000_000)

    async def run(self, context: Context) -> None:
        """Connect, declare, stay. A broker that is away at the start is tried again; the rest of the house works on.

        Where a daemon with another store works already, this one is not ready, so nothing below it starts.

        Raises:
            BrokerError: it refuses us, or differs from what we need; only a person can change that.
            OwnedElsewhere: another daemon has taken our place; whoever posts has to stop.
        """
        attempt = 0
        while not context.stopping:
            try:
                async with self._broker.connected():
                    await self._broker.declare(self._topology)
                    await self._broker.probe()
                    context.ready()
                    await self._stay(context)
            except BrokerError as problem:
                if not problem.retry or self._broker.ousted is not None:
                    raise
                if not isinstance(problem, OwnedElsewhere):
                    context.ready()
                attempt += 1
                logger.warning("no broker: {}", problem)
                delay_ns = self._backoff.delay_ns(attempt, context.entropy.random())
                await context.pause(context.stop_asked, delay_ns / 1e9)

    async def _stay(self, context: Context) -> None:
        while not context.stopping:
            context.beat()
            if (ousted := self._broker.ousted) is not None:
                raise ousted
            await context.clock.wait(context.stop_asked, 1.0)


class RelayActor:
    """Runs the outbox's relay to a broker elsewhere."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def run(self, context: Context) -> None:
        """Publish until stopped.

        Raises:
            StoreUnavailable: the store cannot be written; the supervisor tries again.
        """
        context.ready()
        relaying = asyncio.ensure_future(self._relay.run(context.beat))
        stopping = asyncio.ensure_future(context.until_stopped())
        try:
            await asyncio.wait({relaying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            relaying.cancel()
            await asyncio.wait({relaying})
        if not relaying.cancelled() and (error := relaying.exception()) is not None:
            raise error


class Timers:
    """Puts messages into their queues when their moment has come."""

    def __init__(self, store: Store, acceptor: Acceptor) -> None:
        self._store = store
        self._acceptor = acceptor

    async def run(self, context: Context) -> None:
        """Look every second. A timer and its message change in one transaction, so none fires twice."""
        context.ready()
        while not await context.pause(context.stop_asked, 1.0):
            now = microseconds(context.clock.now())
            due = await self._store.reads.timers_due(now, TIMERS_MAX)
            if not due:
                continue
            unit = Unit(now, timers_done=[name for name, *_ in due])
            for row in due:
                self._ring(unit, TimerRow(*row), now)
            try:
                await self._store.commit(unit)
            except StoreUnavailable as problem:
                context.notice(f"timers wait: {problem}")

    def _ring(self, unit: Unit, timer: TimerRow, now: int) -> None:
        """Enqueue its message; one that nobody takes at present (its domain is switched off) is asked about later."""
        try:
            unit.accepts.append(self._acceptor.prepare(self._acceptor.read(decode_envelope(timer.body)), now))
        except ContractError as problem:
            logger.warning("timer {} waits: {}", timer.id, problem)
            unit.timers.append(msgspec.structs.replace(timer, due_at=now + _NOBODY_US))


class Watchdog:
    """Replaces actors that give no sign of life."""

    def __init__(self, root: Callable[[], Supervisor | None]) -> None:
        self._root = root

    async def run(self, context: Context) -> None:
        """Look every second."""
        context.ready()
        while not await context.pause(context.stop_asked, 1.0):
            if (root := self._root()) is not None:
                root.replace_hung(context.clock.boot_ns())


class Housekeeping:
    """Keeps the write-ahead log short."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, context: Context) -> None:
        """Look every half minute."""
        context.ready()
        while not await context.pause(context.stop_asked, 30.0):
            try:
                await self._store.checkpoint()
            except StoreUnavailable as problem:
                context.notice(f"the write-ahead log stays long: {problem}")


def log_event(event: msgspec.Struct) -> None:
    """Supervision events, one line each; crashes with their traceback (which never shows local variables)."""
    facts = msgspec.structs.asdict(event)
    detail = facts.pop("detail", "")
    name = type(event).__name__
    level = {"ChildCrashed": "ERROR", "Escalated": "CRITICAL", "ChildHung": "ERROR", "ChildRestarting": "WARNING"}
    text = " ".join(f"{key}={value!r}" for key, value in facts.items())
    logger.log(level.get(name, "DEBUG"), "{} {}", name, text)
    if detail:
        logger.debug("{}", detail)
