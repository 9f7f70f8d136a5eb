"""The RabbitMQ engine behind the broker port."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec

from broker.crash_points import durable
from broker.port import (
    BrokerError,
    BrokerLost,
    Delivery,
    Features,
    Outgoing,
    OwnedElsewhere,
    QueueStatistics,
    Subscription,
    Topology,
    Unroutable,
)
from broker.rabbitmq import lease
from broker.rabbitmq.inlet import Inlet
from broker.rabbitmq.layout import DEAD, UNROUTABLE, BeforeCreate, declare
from broker.rabbitmq.link import Missing
from broker.rabbitmq.outlet import check
from broker.rabbitmq.probe import probe_dead_letters
from broker.rabbitmq.session import Session
from broker.rabbitmq.settings import Entropy, RabbitMQSettings
from broker.rabbitmq.subscription import RabbitMQSubscription
from broker.store.rows import QueueRow
from policies.restarts import Backoff

_PEEK_SECONDS = 1.0
_NS = 1_000_000_000


@asynccontextmanager
async def _nothing_to_forget(_queues: Sequence[str]) -> AsyncIterator[None]:
    """Nobody remembers what was published."""
    yield


class RabbitMQBroker:
    """The broker port over RabbitMQ 3.10 or later.

    While `connected` lasts, a lost connection is rebuilt with back-off and jitter, and the topology with it. Calls
    in between wait `call_seconds` for it and then raise `BrokerLost`. A subscription does not outlive its
    connection: its receiver subscribes again.
    """

    features = Features(
        name="rabbitmq",
        enlists=False,
        survives_kill=True,
        many_processes=True,
        server_side_order=False,
        settles_durably=False,
    )
    dead: Sequence[str] = (DEAD,)
    unrouted: Sequence[str] = (UNROUTABLE,)

    def __init__(
        self,
        settings: RabbitMQSettings,
        entropy: Entropy,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        owner: lease.Owner | None = None,
    ) -> None:
        """`owner` is who takes the broker for itself, alone; without one, anybody may work beside us."""
        self._settings = settings
        self._owner = owner
        self._owns = False
        self._entropy = entropy
        self._sleep = sleep
        self._backoff = Backoff(int(settings.retry_base_seconds * _NS), int(settings.retry_cap_seconds * _NS))
        self._session: Session | None = None
        self._ready = asyncio.Event()
        self._declaring = asyncio.Lock()
        self._topology = Topology((), ())
        self._exchanges: set[str] = set()
        self._queues: dict[str, None] = {}
        self._expected: set[str] = set()
        self._subscriptions: list[RabbitMQSubscription] = []
        self._paused: set[str] = set()
        self._generation = 0
        self.problem: BrokerError | None = None
        """Why there is no connection now, in a sentence; None when there is one."""
        self.reconnects = 0
        self.before_create: BeforeCreate = _nothing_to_forget
        """Entered with the names of queues that are missing; they are created in its block."""

    # connection ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connect, and keep connected until the block ends.

        Raises:
            BrokerLost: not there. BrokerRefused: user, password, virtual host or rights; `retry` is False.
            OwnedElsewhere: a daemon with another store works on it.
        """
        self.problem = None
        session, self._owns = await lease.opened(self._settings, self._entropy.new_id(), self._owner)
        self._use(session)
        keeper = asyncio.create_task(self._keep(session), name="rabbitmq-keeper")
        try:
            yield
        finally:
            self._ready.clear()
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            if self._session is not None:
                await self._session.close()
                self._session = None

    @property
    def ousted(self) -> OwnedElsewhere | None:
        """Set when another daemon has taken our place while we were not connected."""
        return self.problem if isinstance(self.problem, OwnedElsewhere) else None

    def _use(self, session: Session) -> None:
        self._session = session
        self.problem = None
        self._ready.set()

    async def _keep(self, session: Session) -> None:
        """Watch the session; when it is over, make another, for ever."""
        try:
            while True:
                await self._watch(session)
                self._ready.clear()
                self._session = None
                self.problem = BrokerLost(f"the connection to {self._settings.place} is lost: {session.lost}")
                await session.close()
                session = await self._reconnect()
                self.reconnects += 1
        except Exception as error:  # our bug: say so to every caller instead of going quiet
            self._ready.clear()
            self.problem = BrokerError(f"the RabbitMQ engine failed: {type(error).__name__}: {error}")
            raise

    async def _reconnect(self) -> Session:
        attempt = 0
        while True:
            attempt += 1
            delay = self._backoff.delay_ns(attempt, self._entropy.random()) / _NS
            if self.problem is not None and not self.problem.retry:
                delay = self._settings.refused_seconds * (0.5 + self._entropy.random() / 2)
            await self._sleep(delay)
            try:
                session, self._owns = await lease.opened(self._settings, self._entropy.new_id(), self._owner)
            except BrokerError as error:
                self.problem = error
                continue
            try:
                await self._declare_on(session)
            except BrokerError as error:
                self.problem = error
                await session.close()
                continue
            self._use(session)
            return session

    async def _watch(self, session: Session) -> None:
        """Return when the session is over; heal smaller losses."""
        while session.lost is None:
            session.outlet.on_lost = session.stir.set
            if session.outlet.lost is None:
                try:
                    async with asyncio.timeout(self._settings.watch_seconds):
                        await session.stir.wait()
                except TimeoutError:
                    pass
            session.stir.clear()
            if session.lost is not None:
                return
            try:
                if session.outlet.lost is not None:
                    await self._declare_on(session)
                    await session.renew_outlet(self._entropy.new_id())
                if self._owner is not None and not self._owns:
                    self._owns = await lease.take(session, self._owner)
                await self._verify(session)
            except BrokerError as error:
                self.problem = error
                if session.lost is None and error.retry:
                    session.into.fail(f"{error}")
                elif session.lost is None:
                    await self._sleep(self._settings.watch_seconds)
            else:
                self.problem = None

    async def _current(self) -> Session:
        """The session, once there is one. Raises the problem that there is none after `call_seconds`."""
        if self._session is not None and self._session.lost is None:
            return self._session
        try:
            async with asyncio.timeout(self._settings.call_seconds):
                while self._session is None or self._session.lost is not None:
                    self._ready.clear()
                    await self._ready.wait()
        except TimeoutError:
            problem = self.problem or BrokerLost(f"{self._settings.place} was not connected in time")
            raise type(problem)(*problem.args) from None
        return self._session

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no publishes now (memory or disk alarm), or None. Consuming goes on."""
        return self._session.out.blocked if self._session is not None else None

    @property
    def in_flight(self) -> int:
        """Publishes without an answer."""
        return self._session.outlet.in_flight if self._session is not None else 0

    @property
    def channels(self) -> int:
        """Channels open now, on both connections."""
        return self._session.out.channels + self._session.into.channels if self._session is not None else 0

    # topology ------------------------------------------------------------------------------------------------

    def expect(self, topology: Topology) -> None:
        """What will be declared, so that the outbox takes messages for it while the broker is not there yet."""
        self._expected = {*topology.exchanges, *(queue.name for queue in topology.queues)}

    @durable("declare")
    async def declare(self, topology: Topology) -> None:
        """Create what is missing and verify what is there; after every reconnect it is done again."""
        queues = {queue.name: queue for queue in (*self._topology.queues, *topology.queues)}
        wanted = Topology((*dict.fromkeys((*self._topology.exchanges, *topology.exchanges)),), tuple(queues.values()))
        session = await self._current()
        await self._declare_on(session, wanted)
        self._topology = wanted
        self._exchanges, self._queues = set(wanted.exchanges), dict.fromkeys(queues)

    async def _declare_on(self, session: Session, topology: Topology | None = None) -> None:
        topology = topology or self._topology
        if topology.queues or topology.exchanges:
            async with self._declaring:
                await declare(session.into, topology, self._settings, self.before_create)

    async def probe(self) -> None:
        """Prove that dead letters arrive. Raises DeadLettersLost, BrokerError."""
        await probe_dead_letters(await self._current(), self._settings, self._entropy.new_id())

    # publishing ----------------------------------------------------------------------------------------------

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in windows and return when all are confirmed."""
        for message in messages:
            check(message)
            if message.exchange and message.exchange not in self._exchanges:
                raise Unroutable(message.exchange, message.routing_key)
        session = await self._current()
        try:
            await session.outlet.publish(messages)
        except Unroutable as missing:
            if missing.routing_key in self._queues:
                session.stir.set()  # somebody deleted it: have it made again now
            raise

    def outbox(self, messages: Sequence[Outgoing]) -> tuple[QueueRow, ...]:
        """Rows for the relay to publish after their transaction."""
        rows = []
        for message in messages:
            check(message)
            place = message.exchange or message.routing_key
            if place not in (self._exchanges if message.exchange else self._queues) and place not in self._expected:
                raise Unroutable(message.exchange, message.routing_key)
            headers = msgspec.json.encode(message.headers).decode() if message.headers else "{}"
            rows.append(QueueRow(message.exchange, message.routing_key, message.message_id, headers, message.body))
        return tuple(rows)

    # consuming -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def subscribe(self, queues: Sequence[str], prefetch: int) -> AsyncIterator[Subscription]:
        """Consume. At most `prefetch` are handed out in all; the broker sends some more ahead for each queue."""
        session = await self._current()
        subscription = RabbitMQSubscription(session.into, queues, prefetch)
        try:
            await subscription.begin(lambda queue: self._consume(session, subscription, queue))
            self._subscriptions.append(subscription)
            yield subscription
        finally:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
            await subscription.close()

    async def _consume(self, session: Session, subscription: RabbitMQSubscription, queue: str) -> None:
        """What was opened when this fails or is cancelled is the subscription's to close."""
        for again in (False, True):
            channel = await session.into.channel()
            self._generation += 1
            subscription.add(Inlet(session.into, channel, queue, self._generation, subscription.wake))
            if queue in self._paused:
                return
            try:
                return await subscription.start(queue)
            except Missing:
                if again or queue not in self._queues:
                    raise
                await self._declare_on(session)  # somebody deleted it

    async def pause(self, queue: str) -> None:
        """Consume no more from it in this process; what was sent ahead goes back."""
        self._paused.add(queue)
        for inlet in self._inlets(queue):
            await inlet.halt()

    async def resume(self, queue: str) -> None:
        """Consume again."""
        self._paused.discard(queue)
        for subscription in self._subscriptions:
            inlet = subscription.inlets.get(queue)
            if inlet is not None and not inlet.consuming:
                await subscription.start(queue)

    def _inlets(self, queue: str) -> list[Inlet]:
        return [s.inlets[queue] for s in self._subscriptions if queue in s.inlets]

    async def consuming(self) -> bool:
        """Whether the broker lists a consumer for everyone of ours that should be there. Raises BrokerError."""
        session = await self._current()
        await self._verify(session)
        return bool(self._subscriptions) and all(
            inlet.lost is None and (inlet.consuming or inlet.queue in self._paused)
            for subscription in self._subscriptions
            for inlet in subscription.inlets.values()
        )

    async def _verify(self, session: Session) -> None:
        """Ask the broker who consumes; our consumers that it does not list are lost. What is missing is created."""
        ours = Counter(
            inlet.queue for s in tuple(self._subscriptions) for inlet in s.inlets.values() if inlet.consuming
        )
        try:
            async with session.into.brief_channel() as channel:
                for queue in self._queues:
                    _, consumers = await channel.look(queue)
                    if consumers < ours[queue]:
                        for inlet in self._inlets(queue):
                            inlet.fail(f"the broker lists {consumers} consumers of {queue}, we have {ours[queue]}")
                for name in (DEAD, UNROUTABLE) if self._queues else ():
                    await channel.look(name)
                for exchange in (DEAD, UNROUTABLE, *self._exchanges) if self._queues else ():
                    await channel.look_at_exchange(exchange)
        except Missing:
            await self._declare_on(session)

    # looking -------------------------------------------------------------------------------------------------

    async def statistics(self) -> list[QueueStatistics]:
        """The broker's counts; what it has sent ahead and nobody was handed counts as ready."""
        session = await self._current()
        found = []
        async with session.into.brief_channel() as channel:
            for queue in sorted(self._queues):
                ready, consumers = await channel.look(queue)
                inlets = self._inlets(queue)
                ready += sum(len(inlet.ready) for inlet in inlets)
                unsettled = sum(inlet.handed_out for inlet in inlets)
                found.append(QueueStatistics(queue, ready, unsettled, consumers, queue in self._paused))
        return found

    async def peek(self, queue: str, limit: int) -> list[Delivery]:
        """What was sent ahead to us, then the head of the queue, which goes back at once.

        A queue with a single active consumer elsewhere shows nothing more.
        """
        found = [delivery for inlet in self._inlets(queue) for delivery in inlet.ready][:limit]
        session = await self._current()
        async with session.into.brief_channel() as channel:
            ready, _ = await channel.look(queue)
        wanted = min(limit - len(found), ready)
        if wanted <= 0:
            return found
        arrived = asyncio.Event()
        self._generation += 1
        inlet = Inlet(session.into, await session.into.channel(), queue, self._generation, arrived.set)
        try:
            await inlet.start(wanted)
            async with asyncio.timeout(_PEEK_SECONDS):
                while len(inlet.ready) < wanted and inlet.lost is None:
                    arrived.clear()
                    await arrived.wait()
        except TimeoutError:
            pass  # an active consumer elsewhere has it
        finally:
            found += inlet.ready
            await inlet.close()
        return found
