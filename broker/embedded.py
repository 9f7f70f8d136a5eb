"""The embedded engine: durable queues in the store's own file, so publishing is part of the store's transaction.

A queue is the items of its name in number order. What has been handed out is remembered in memory only: after a
crash everything unsettled is simply there again, which is what redelivery means.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import func, select

from broker.crash_points import durable
from broker.port import (
    MESSAGE_BYTES_MAX,
    Delivery,
    Features,
    MessageTooLarge,
    Outgoing,
    Queue,
    QueueStatistics,
    Subscription,
    Topology,
    Unroutable,
)
from broker.store import schema as s
from broker.store.reads import QueueRecord
from broker.store.rows import QueueRow
from broker.store.store import Store
from broker.store.unit import Committed, Unit
from policies.shares import Shares

_READ_AHEAD = 512
_item = s.queue_item.c
_headers = msgspec.json.Decoder(dict[str, str])


@dataclass(slots=True)
class _QueueState:
    """A queue as this process sees it."""

    name: str
    depth: int = 0
    arrivals: int = 0
    read_to: int = 0
    ahead: list[tuple[int, bool, QueueRecord]] = field(default_factory=list)
    """Read from the store and not handed out: a heap by number, so what is given back keeps its place."""
    out: dict[int, QueueRecord] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    """Among `ahead` but gone from the store: its settlement was committed after it had been given back."""
    exhausted: bool = False
    paused: bool = False
    single_active: bool = False
    consumers: list[_EmbeddedSubscription] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def serves(self, subscription: _EmbeddedSubscription) -> bool:
        """Whether this consumer may be given something now."""
        return not self.paused and (not self.single_active or self.consumers[0] is subscription)

    def begin(self, depth: int) -> None:
        """Forget what was known of an earlier connection."""
        self.depth, self.read_to, self.exhausted = depth, 0, False
        self.ahead.clear()
        self.out.clear()
        self.settled.clear()

    def next(self) -> tuple[int, bool, QueueRecord] | None:
        """Take the first message that is still there."""
        while self.ahead:
            seq, again, record = heapq.heappop(self.ahead)
            if seq not in self.settled:
                return seq, again, record
            self.settled.discard(seq)
        return None


class EmbeddedBroker:
    """The broker port over the store's SQLite file. One process; as durable as its disk."""

    features = Features(
        name="embedded",
        enlists=True,
        survives_kill=True,
        many_processes=False,
        server_side_order=True,
        settles_durably=True,
    )

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queues: dict[str, _QueueState] = {}
        self._exchanges: set[str] = set()
        self._bindings: list[tuple[str, str, str]] = []
        self._arrived = asyncio.Event()
        self._home: dict[int, _QueueState] = {}
        """Where each message is that was read and is not settled."""
        self._counting: list[tuple[Unit, Committed]] | None = None
        """What was committed while the store is being counted."""
        self._counted_to = 0
        """The last item that the count has; a commit can be seen in the store before we are told of it."""

    dead: Sequence[str] = ()
    unrouted: Sequence[str] = ()
    ousted = None
    """The queues are in the store, and that has one owner."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Follow the store's commits while the block lasts."""
        self._store.watch(self._follow)
        try:
            await self._count()
            yield
        finally:
            self._store.unwatch(self._follow)

    async def _count(self) -> None:
        """Learn the depths from the store; what was committed meanwhile and is not among them is added."""
        self._home.clear()
        meanwhile: list[tuple[Unit, Committed]] = []
        self._counting = meanwhile
        rows = await self._store.reads.rows(
            select(_item.queue, func.count(), func.max(_item.seq)).group_by(_item.queue)
        )
        self._counting = None
        self._counted_to = max((last for _, _, last in rows), default=0)
        depths = {name: count for name, count, _ in rows}
        for name in {*depths, *self._queues}:
            self._state(name).begin(depths.get(name, 0))
        for unit, committed in meanwhile:
            self._follow(unit, committed)

    def _state(self, name: str) -> _QueueState:
        return self._queues.setdefault(name, _QueueState(name))

    async def declare(self, topology: Topology) -> None:
        """Remember exchanges, queues and bindings; queues need no table of their own."""
        self._exchanges.update(topology.exchanges)
        for queue in topology.queues:
            self._state(queue.name).single_active = queue.single_active
            self._bind(queue)

    async def probe(self) -> None:
        """Nothing to prove: failures are kept in the store."""

    def _bind(self, queue: Queue) -> None:
        for exchange, pattern in queue.bindings:
            if (binding := (exchange, pattern, queue.name)) not in self._bindings:
                self._bindings.append(binding)

    def outbox(self, messages: Sequence[Outgoing]) -> tuple[QueueRow, ...]:
        """Rows that put the messages into their queues when their transaction commits."""
        rows = []
        for message in messages:
            if len(message.body) > MESSAGE_BYTES_MAX:
                raise MessageTooLarge(
                    f"message {message.message_id} has {len(message.body)} bytes; {MESSAGE_BYTES_MAX} is the most"
                )
            headers = msgspec.json.encode(message.headers).decode() if message.headers else "{}"
            rows += [QueueRow("", q, message.message_id, headers, message.body) for q in self._route(message)]
        return tuple(rows)

    def _route(self, message: Outgoing) -> list[str]:
        if not message.exchange:
            if message.routing_key not in self._queues:
                raise Unroutable("", message.routing_key)
            return [message.routing_key]
        if message.exchange not in self._exchanges:
            raise Unroutable(message.exchange, message.routing_key)
        words = message.routing_key.split(".")
        matching = (
            q for e, pattern, q in self._bindings if e == message.exchange and matches(pattern.split("."), words)
        )
        return list(dict.fromkeys(matching))

    @durable("publish")
    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Store the messages in a transaction of their own."""
        await self._store.commit(Unit(at=0, items=list(self.outbox(messages))))

    @asynccontextmanager
    async def subscribe(self, queues: Sequence[str], prefetch: int) -> AsyncIterator[Subscription]:
        """Consume from the queues; unsettled deliveries go back at the end of the block."""
        states = [self._queues[name] for name in queues]
        subscription = _EmbeddedSubscription(self, states, prefetch)
        for state in states:
            state.consumers.append(subscription)
        try:
            yield subscription
        finally:
            subscription.close()

    async def pause(self, queue: str) -> None:
        """Hand out nothing more from the queue."""
        self._queues[queue].paused = True

    async def resume(self, queue: str) -> None:
        """Hand out again."""
        self._queues[queue].paused = False
        self.wake()

    async def statistics(self) -> list[QueueStatistics]:
        """Counts of every declared queue."""
        return [
            QueueStatistics(q.name, max(q.depth - len(q.out), 0), len(q.out), len(q.consumers), q.paused)
            for q in sorted(self._queues.values(), key=lambda state: state.name)
        ]

    async def peek(self, queue: str, limit: int) -> list[Delivery]:
        """The next items, straight from the store."""
        out = self._queues[queue].out
        records = await self._store.reads.queue_items(queue, 0, limit + len(out))
        return [_delivery(record, False) for record in records if record.seq not in out][:limit]

    def wake(self) -> None:
        """Let every waiting receiver look again."""
        self._arrived.set()
        self._arrived = asyncio.Event()

    def arrival(self) -> asyncio.Event:
        """Set as soon as something may have become ready; ask for it before looking."""
        return self._arrived

    def _follow(self, unit: Unit, committed: Committed) -> None:
        if self._counting is not None:
            self._counting.append((unit, committed))
            return
        fresh = self._fresh(unit, committed) if committed.items_to > self._counted_to else Counter[str]()
        for name, count in fresh.items():
            state = self._state(name)
            state.depth += count
            state.arrivals += count
            state.exhausted = False
        for tag in unit.settled:
            self._forget(tag)
        if fresh or unit.settled:
            self.wake()

    def _fresh(self, unit: Unit, committed: Committed) -> Counter[str]:
        """How many items came into each queue."""
        fresh = Counter(item.queue for item in unit.items)
        for accept, answer in zip(unit.accepts, committed.accepted, strict=True):
            if not answer.duplicate:
                fresh.update(item.queue for item in accept.items)
        return fresh

    def _forget(self, tag: int) -> None:
        """It is settled in the store; a receiver that still holds it holds nothing."""
        if (state := self._home.pop(tag, None)) is not None:
            state.depth -= 1
            if state.out.pop(tag, None) is None:
                state.settled.add(tag)

    async def fill(self, state: _QueueState, wanted: int) -> None:
        """Read ahead until `wanted` items are at hand or the queue is empty."""
        async with state.lock:
            while len(state.ahead) < wanted and not state.exhausted:
                arrivals = state.arrivals
                records = await self._store.reads.queue_items(state.name, state.read_to, _READ_AHEAD)
                state.exhausted = len(records) < _READ_AHEAD and state.arrivals == arrivals
                for record in records:
                    self._home[record.seq] = state
                    heapq.heappush(state.ahead, (record.seq, False, record))
                    state.read_to = record.seq

    async def settle(self, tags: list[int]) -> None:
        """Delete items in a transaction of their own."""
        await self._store.commit(Unit(at=0, settled=tags))


class _EmbeddedSubscription:
    def __init__(self, broker: EmbeddedBroker, states: list[_QueueState], prefetch: int) -> None:
        self._broker = broker
        self._states = states
        self._prefetch = prefetch
        self._mine: dict[int, _QueueState] = {}
        """What was handed out here and is not settled, by its number, with its queue."""
        self._shares = Shares()

    async def receive(self, limit: int) -> list[Delivery]:
        """Take from the most urgent queue first; see `Shares` for what the others get."""
        while True:
            arrival = self._broker.arrival()
            room = min(limit, self._prefetch - len(self._unsettled()))
            if room > 0 and (found := await self._take(room)):
                return found
            await arrival.wait()

    async def _take(self, room: int) -> list[Delivery]:
        for state in self._states:
            if state.serves(self):
                await self._broker.fill(state, room)
        live = [state for state in self._states if state.ahead and state.serves(self)]
        shares = self._shares.divide([(state.name, len(state.ahead)) for state in live], room) if live else []
        taken: list[Delivery] = []
        for state, share in zip(live, shares, strict=True):
            taken += self._hand_out(state, share)
        return taken

    def _hand_out(self, state: _QueueState, count: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        while len(deliveries) < count and (item := state.next()) is not None:
            seq, again, record = item
            state.out[seq] = record
            self._mine[seq] = state
            deliveries.append(_delivery(record, again))
        return deliveries

    def _unsettled(self) -> dict[int, _QueueState]:
        self._mine = {tag: state for tag, state in self._mine.items() if tag in state.out}
        return self._mine

    def enlist(self, deliveries: Sequence[Delivery], unit: Unit) -> None:
        """Delete the items in the unit's transaction."""
        unit.settled += self._held(deliveries)

    @durable("ack")
    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Delete what was not enlisted and committed already."""
        if loose := self._held(deliveries):
            await self._broker.settle(loose)

    def _held(self, deliveries: Sequence[Delivery]) -> list[int]:
        unsettled = self._unsettled()
        return [delivery.tag for delivery in deliveries if delivery.tag in unsettled]

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put the items back in their places."""
        self._return([delivery.tag for delivery in deliveries])
        self._broker.wake()

    def _return(self, tags: Sequence[int]) -> None:
        for tag in tags:
            state = self._mine.pop(tag, None)
            if state is not None and (record := state.out.pop(tag, None)) is not None:
                heapq.heappush(state.ahead, (tag, True, record))

    def close(self) -> None:
        """Give everything unsettled back."""
        self._return(list(self._mine))
        for state in self._states:
            state.consumers.remove(self)
        self._broker.wake()


def matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """AMQP topic matching: `*` is one word, `#` any number of words."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(matches(pattern[1:], words[n:]) for n in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and matches(pattern[1:], words[1:])


def _delivery(record: QueueRecord, again: bool) -> Delivery:
    headers = _headers.decode(record.headers) if record.headers != "{}" else {}
    return Delivery(record.queue, record.seq, record.message_id, record.body, headers, again)
