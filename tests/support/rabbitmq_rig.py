"""The part of the daemon that RabbitMQ can hurt, in one process: store, relay, engine and a real decider, under load.

What was accepted is known from the commits that were answered; what became of it is read from the store's tables and
from the broker. `judge` names every invariant that does not hold.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import func, select

from actors.controls import Controls
from actors.decider import DeciderActor
from actors.erp_requests import ErpRequestDecider
from actors.runtime.actor import Context
from actors.runtime.clock import SystemClock, microseconds
from actors.runtime.entropy import SeededEntropy, SystemEntropy
from broker.accept import Acceptor
from broker.life import Life, Report
from broker.port import BrokerError, Delivery, Subscription
from broker.rabbitmq import RabbitMQBroker, RabbitMQSettings
from broker.rabbitmq.layout import DEAD
from broker.relay import Relay
from broker.store import schema as s
from broker.store.store import Store
from broker.store.unit import Committed, Unit
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.envelope import Envelope
from policies.lanes import LANES
from policies.partitions import PartitionMap
from tests.support.checkers import Finding
from tests.support.stores import running_store

PARTITIONS = 2
ACCOUNTS = 12
WAITING_MAX = 300
_BATCH = 10
DOMAIN = ErpRequestDecider.domain


def quick(url: str) -> RabbitMQSettings:
    """Settings that notice and retry quickly."""
    return RabbitMQSettings(
        url=url, heartbeat_seconds=1, call_seconds=3, watch_seconds=0.5, retry_base_seconds=0.02, retry_cap_seconds=0.5
    )


class HeldLife(Life):
    """Carries nothing while its gate is closed, and may run into a full store."""

    gate: asyncio.Event

    async def live(self, deliveries: Sequence[Delivery], subscription: Subscription, at: int) -> Report:
        """See `Life.live`."""
        await self.gate.wait()
        return await super().live(deliveries, subscription, at)


class Rig:
    """Traffic of adjustments for `ACCOUNTS` accounts, each in a lane of its own choice, numbered per account."""

    def __init__(self, store: Store, broker: RabbitMQBroker, relay: Relay, spread: PartitionMap) -> None:
        self.store = store
        self.broker = broker
        self.relay = relay
        self.clock = SystemClock()
        self._acceptor = Acceptor(broker, REGISTRY, {"erp.adjustment.request": DOMAIN}, spread)
        self._controls = Controls(store, self.clock)
        self._moved = asyncio.Event()
        self._accepting = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None
        self.accepted: list[str] = []
        self.handled = 0
        self.queues = spread.queues(DOMAIN)
        self.feeding = False
        self.gate = asyncio.Event()
        """While it is closed (cleared) the decider holds what it was handed."""
        self.gate.set()

    # parts ---------------------------------------------------------------------------------------------------

    def start_worker(self) -> None:
        """A decider, as its supervisor would start it."""
        life = HeldLife(self.store, self.broker, self._acceptor, REGISTRY, ErpRequestDecider())
        life.gate = self.gate
        actor = DeciderActor(life, self.broker, self.queues, self._controls, DOMAIN)
        self._context = Context("decider", self.clock, SystemEntropy())
        self._worker = asyncio.create_task(actor.run(self._context))

    async def crash_worker(self) -> None:
        """End the decider wherever it is, as a kill does, and start another."""
        await self.stop_worker()
        self.start_worker()

    async def restart_worker(self) -> None:
        """Stop the decider as a deployment does, and start another."""
        self._context.stop_asked.set()
        assert self._worker is not None
        await self._worker
        self.start_worker()

    async def stop_worker(self) -> None:
        """End the decider wherever it is."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    def follow(self, unit: Unit, _committed: Committed) -> None:
        """Count what was handled."""
        if unit.handled:
            self.handled += len(unit.handled)
            self._moved.set()

    async def feed(self) -> None:
        """Accept messages, as fast as they are handled, until `feeding` is unset."""
        self.feeding = True
        while self.feeding:
            while self.feeding and len(self.accepted) - self.handled > WAITING_MAX:
                self._moved.clear()
                await self._moved.wait()
            await self.accept(_BATCH)

    def stop_feeding(self) -> None:
        """Accept no more."""
        self.feeding = False
        self._moved.set()

    async def accept(self, count: int) -> None:
        """Accept so many messages in one transaction, as a door does."""
        async with self._accepting:
            first, unit = len(self.accepted), Unit(microseconds(self.clock.now()))
            for number in range(first, first + count):
                unit.accepts.append(self._acceptor.prepare(self._acceptor.read(_request(number)), unit.at))
            await self.store.commit(unit)
            self.accepted += [f"intent-{number}" for number in range(first, first + count)]

    async def more(self, count: int, seconds: float | None = None) -> None:
        """Wait until so many more are handled; at most so long, where a planted bug may keep them from it."""
        target = self.handled + count
        try:
            async with asyncio.timeout(seconds):
                while self.handled < target:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass  # what is missing is for `judge` to name

    async def until(self, condition: Callable[[], bool]) -> None:
        """Look until it is so."""
        while not condition():
            await self.clock.sleep(0.02)

    # judging -------------------------------------------------------------------------------------------------

    async def judge(self, seconds: float = 30.0) -> list[Finding]:
        """Let what is open come to its end, at most so long, and say what does not hold."""
        try:
            async with asyncio.timeout(seconds):
                await self._until_quiet()
        except TimeoutError:
            pass  # what is missing is named below
        calls = await self.store.reads.rows(select(s.call.c.intent_id, s.call.c.order_ref).order_by(s.call.c.seq))
        keys = await self.store.reads.rows(select(s.milestone.c.key, func.count()).group_by(s.milestone.c.key))
        open_rows = sum((await self.store.reads.queue_depths()).values())
        return [
            *_lost(self.accepted, [row[0] for row in calls]),
            *(Finding("I2", f"{key} was handled {count} times") for key, count in keys if count > 1),
            *_order(calls),
            *([Finding("I1", f"{open_rows} rows are stuck in the outbox")] if open_rows else []),
            *await self._broker_findings(),
        ]

    async def _until_quiet(self) -> None:
        while True:
            depths = await self.store.reads.queue_depths()
            if not any(depths.values()) and not await self._broker_findings():
                return
            await self.clock.sleep(0.05)

    async def _broker_findings(self) -> list[Finding]:
        try:
            rows = {row.queue: row for row in await self.broker.statistics()}
            consuming = await self.broker.consuming()
            dead = await self.broker.peek(DEAD, 10)
        except BrokerError as problem:
            return [Finding("I8", f"the broker: {problem}")]
        found = [] if consuming else [Finding("I8", "a consumer is missing")]
        found += [Finding("I1", f"dead letter {delivery.message_id}") for delivery in dead]
        for queue in self.queues:
            row = rows[queue]
            if row.ready or row.unsettled or row.consumers != 1:
                found.append(
                    Finding("I8", f"{queue}: {row.ready} ready, {row.unsettled} open, {row.consumers} consumers")
                )
        return found


def _request(number: int) -> Envelope:
    account = number % ACCOUNTS
    data = {
        "intent_id": f"intent-{number}",
        "account_id": f"acc-{account}",
        "amount": {"amount": "1.00", "currency": "EUR"},
        "reason_code": "service_credit",
        "source_document": f"doc-{number}",
        "kind": "credit",
    }
    return Envelope(
        id=f"m{number}",
        source="urn:rig",
        type="erp.adjustment.request",
        tenant="t",
        lane=LANES[account % len(LANES)],  # type: ignore[arg-type]
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


def _lost(accepted: list[str], handled: list[str]) -> list[Finding]:
    missing = set(accepted) - set(handled)
    extra = set(handled) - set(accepted)
    found = [Finding("I1", f"{len(missing)} accepted messages were never handled: {sorted(missing)[:5]}")]
    unknown = [Finding("I2", f"{len(extra)} messages were handled that nobody sent: {sorted(extra)[:5]}")]
    return (found if missing else []) + (unknown if extra else [])


def _order(calls: Any) -> list[Finding]:
    lines: dict[str, list[int]] = defaultdict(list)
    for intent, order_ref in calls:
        lines[order_ref].append(int(intent.rpartition("-")[2]))
    wrong: Counter[str] = Counter()
    for line, numbers in lines.items():
        wrong[line] = sum(before > after for before, after in itertools.pairwise(numbers))
    return [Finding("I4", f"{line}: {count} inversions") for line, count in wrong.items() if count]


@asynccontextmanager
async def rig(
    place: Path, settings: RabbitMQSettings, seed: int = 0, partitions: int = PARTITIONS, worker: bool = True
) -> AsyncIterator[Rig]:
    """Everything running (the decider only with `worker`), and traffic flowing, for the length of the block."""
    async with Store(place) as closed:
        spread = await closed.take_partitions(partitions)
    async with running_store(place) as store:
        await store.prepare_order()
        entropy = SeededEntropy(seed) if seed else SystemEntropy()
        broker = RabbitMQBroker(settings, SystemEntropy())
        clock = SystemClock()
        relay = Relay(store, broker, lambda: microseconds(clock.now()), entropy.random)
        broker.before_create = relay.forget
        made = Rig(store, broker, relay, spread)
        store.watch(made.follow)
        async with broker.connected():
            await broker.declare(build([DOMAIN], spread))
            relaying = asyncio.create_task(relay.run())
            if worker:
                made.start_worker()
            try:
                yield made
            finally:
                await made.stop_worker()
                relaying.cancel()
                await asyncio.gather(relaying, return_exceptions=True)
                store.unwatch(made.follow)


@asynccontextmanager
async def fed(made: Rig) -> AsyncIterator[Rig]:
    """Traffic for the length of the block; what was begun is finished."""
    feeding = asyncio.create_task(made.feed())
    try:
        yield made
    finally:
        made.stop_feeding()
        await feeding
