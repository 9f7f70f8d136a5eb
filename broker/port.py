"""The broker port: what every engine (embedded, RabbitMQ) can do, and nothing that only one of them can.

An engine is handed a `Topology` once, then moves `Outgoing` messages into durable queues and hands them out as
`Delivery` objects that the receiver settles explicitly. Nothing is acknowledged by leaving a block: an
acknowledgement is a call, made after the receiver's own commit. (aio-pika's `message.process()` drops the message
when its block is cancelled.)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from broker.store.rows import QueueRow
from broker.store.unit import Unit

MESSAGE_BYTES_MAX = 256 * 1024
"""Largest body that may be published; RabbitMQ 4 closes the channel at 16 MiB, we refuse far earlier."""


class BrokerError(Exception):
    """Base of what a broker can answer. `retry` says whether the same call may succeed later unchanged."""

    retry = True


class BrokerLost(BrokerError):
    """The connection ended under the call. The outcome of the call is unknown: repeat it with the same ids."""


class Unroutable(BrokerError):
    """A message had no queue to go to. Nothing of it was stored; declare the topology, then repeat."""

    def __init__(self, exchange: str, routing_key: str) -> None:
        super().__init__(f"no queue is bound to exchange {exchange!r} for routing key {routing_key!r}")
        self.exchange, self.routing_key = exchange, routing_key


class NotTaken(BrokerError):
    """Queues refused some of the messages (a queue is full, or has lost its majority): of those nothing was stored,
    repeat them later. All others of the call are stored. `refused` holds their positions in the call, ascending."""

    def __init__(self, refused: Sequence[int], queue: str) -> None:
        super().__init__(
            f"the broker refused {len(refused)} messages (nack), the first for {queue!r}; repeat them later"
        )
        self.refused = tuple(refused)


class OwnedElsewhere(BrokerError):
    """A daemon with another store works on this broker. Two budgets for one ERP would overrun it, so only one may."""


class TopologyConflict(BrokerError):
    """The broker already holds something of this name with other arguments; starting would lose messages."""

    retry = False


class MessageTooLarge(BrokerError):
    """The body exceeds `MESSAGE_BYTES_MAX`; it was not sent."""

    retry = False


class Queue(msgspec.Struct, frozen=True):
    """A durable queue, and the routing keys of each exchange (topic patterns) that lead to it."""

    name: str
    bindings: tuple[tuple[str, str], ...] = ()
    single_active: bool = False


class Topology(msgspec.Struct, frozen=True):
    """Exchanges (all of kind topic, durable) and queues. Declaring it twice changes nothing."""

    exchanges: tuple[str, ...]
    queues: tuple[Queue, ...]


class Outgoing(msgspec.Struct, frozen=True):
    """A message to publish: to a queue directly (`exchange` empty, `routing_key` = queue name) or to an exchange.

    `message_id` is the business id by which receivers recognise duplicates; an engine may number the attempts.
    """

    message_id: str
    body: bytes
    routing_key: str
    exchange: str = ""
    headers: dict[str, str] = {}


class Delivery(msgspec.Struct, frozen=True):
    """A message handed out and not settled yet. `tag` is the engine's and only means something to it."""

    queue: str
    tag: int
    message_id: str
    body: bytes
    headers: dict[str, str]
    redelivered: bool = False
    generation: int = 0


class QueueStatistics(msgspec.Struct, frozen=True):
    """Messages ready to be handed out, handed out and unsettled, and how many consumers the broker sees."""

    queue: str
    ready: int
    unsettled: int
    consumers: int
    paused: bool = False


class Features(msgspec.Struct, frozen=True):
    """What an engine can do beyond the common part; the contract suite reads it to know what to expect."""

    name: str
    enlists: bool
    """Publishing and settling can be part of a store transaction."""
    survives_kill: bool
    many_processes: bool
    server_side_order: bool
    """Returned messages keep their place in the queue."""
    settles_durably: bool
    """What was acknowledged never comes again, also when we are killed the moment after. (AMQP does not confirm an
    acknowledgement: one that was on its way is lost with us, and the inbox recognises what comes again.)"""


class Subscription(Protocol):
    """A consumer of several queues, in the order in which they are listed (most urgent first)."""

    async def receive(self, limit: int) -> list[Delivery]:
        """Wait until something is ready and return 1 to `limit` deliveries; cancelling loses nothing."""
        ...

    def enlist(self, deliveries: Sequence[Delivery], unit: Unit) -> None:
        """Make the settlement part of the unit's transaction where the engine can; acknowledge after the commit."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle as finished. Deliveries of an older connection are ignored: the broker gave them to somebody."""
        ...

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Return to the queue, to be delivered again."""
        ...


class Broker(Protocol):
    """A durable message broker."""

    features: Features
    dead: Sequence[str]
    """Queues in which the engine keeps what it gave up on; none where nothing is given up."""
    unrouted: Sequence[str]
    """Queues in which the engine keeps what came to an exchange and found no queue."""

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Hold the connection for the length of the block.

        Raises:
            BrokerError: it cannot be reached, refuses us, or differs from what we need (`retry` says which).
        """
        ...

    @property
    def ousted(self) -> OwnedElsewhere | None:
        """Set when a daemon with another store has taken our place: stop working, and connect again to wait for it."""
        ...

    async def declare(self, topology: Topology) -> None:
        """Create what is missing and verify what is there.

        Raises:
            TopologyConflict: something exists with other arguments.
        """
        ...

    async def probe(self) -> None:
        """Prove, with a message of our own, that what fails ends where failures are kept.

        Raises:
            BrokerError: it does not; starting would mean losing some.
        """
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Store all messages durably in every queue they are routed to; return when that is confirmed.

        Raises:
            Unroutable: a message has no queue (to an exchange with no matching queue only if it is mandatory).
            NotTaken: a queue is full; only what it names is to be repeated.
            MessageTooLarge: nothing was sent.
            BrokerLost: the outcome is unknown; repeat with the same message ids, receivers recognise duplicates.
        """
        ...

    def outbox(self, messages: Sequence[Outgoing]) -> tuple[QueueRow, ...]:
        """Rows that publish these messages when (and only when) the transaction that stores them commits.

        Raises:
            Unroutable: a queue that was not declared. An exchange that leads nowhere stores nothing.
            MessageTooLarge: a body is over `MESSAGE_BYTES_MAX`.
        """
        ...

    def subscribe(self, queues: Sequence[str], prefetch: int) -> AbstractAsyncContextManager[Subscription]:
        """Consume from the queues while the block lasts; at its end everything unsettled is given back."""
        ...

    async def pause(self, queue: str) -> None:
        """Hand out nothing more from the queue; what is handed out stays with its receiver."""
        ...

    async def resume(self, queue: str) -> None:
        """Hand out again."""
        ...

    async def statistics(self) -> list[QueueStatistics]:
        """One row a declared queue, from the broker's own count."""
        ...

    async def peek(self, queue: str, limit: int) -> list[Delivery]:
        """The next messages of the queue, without taking them."""
        ...
