"""Publishing: whole batches in one write, a bounded number in flight, one wait for each batch.

Nothing is awaited per message. A confirm moves a counter; the caller wakes when its last message is confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from struct import unpack_from

from broker.crash_points import durable
from broker.port import MESSAGE_BYTES_MAX, BrokerError, BrokerLost, MessageTooLarge, NotTaken, Outgoing, Unroutable
from broker.rabbitmq import wire
from broker.rabbitmq.link import Channel, Link, NoAnswer

_CHUNK_BYTES = 256 * 1024


class _Batch:
    __slots__ = ("done", "failure", "open", "refused")

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failure: BrokerError | None = None
        self.refused: list[int] = []
        self.open = 0

    def close(self, count: int) -> None:
        self.open -= count
        if not self.open and not self.done.done():
            self.done.set_result(None)


class Outlet:
    """The publishing channel of a connection. When it is lost, every publish in flight ends as `BrokerLost`."""

    def __init__(self, link: Link, channel: Channel, stamp: str) -> None:
        self._link = link
        self._channel = channel
        self._stamp = stamp.encode() + b"-"
        self._turn = asyncio.Lock()
        self._next = 1
        self._pending: dict[int, tuple[_Batch, int, int]] = {}
        """By delivery tag: batch, size in bytes, position in the call."""
        self._pending_bytes = 0
        self._room = asyncio.Event()
        self._methods: dict[tuple[str, str], bytes] = {}
        self._returned: tuple[str, str] | None = None
        self.lost: str | None = None
        self.on_lost: Callable[[], None] = _nobody
        link.attach(channel.number, self)
        channel.on_close(self.fail)
        link.on_lost(self.fail)

    @classmethod
    async def open(cls, link: Link, stamp: str) -> Outlet:
        """Open a channel with confirms. `stamp` makes the AMQP message ids of this channel unique."""
        return cls(link, await link.channel(confirms=True), stamp)

    @property
    def in_flight(self) -> int:
        """Publishes that the broker has not answered yet."""
        return len(self._pending)

    @durable("publish")
    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See `Broker.publish`. Cancelled, what was written may be stored all the same.

        A broker that does not answer in time may never answer (RabbitMQ loses confirms of a queue that is deleted
        under them), and what is not answered takes up the window: such a channel is given up, for another one to be
        opened. Under an alarm the broker answers later, so there it is kept.
        """
        try:
            await self._publish(messages)
        except NoAnswer as silence:
            if self._link.blocked is None:
                self.fail(f"{silence}")
            raise

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        batch = _Batch()
        order = _by_queue(messages)
        async with self._turn:
            batch.open = len(messages)
            at = 0
            try:
                while at < len(messages):
                    await self._wait_for_room()
                    at = self._send(messages, order, at, batch)
                    await self._link.drain()
            finally:
                batch.close(len(messages) - at)
        if not batch.done.done():
            async with self._link.calling(f"publishing {len(messages)} messages"):
                await batch.done
        if batch.failure is not None:
            raise batch.failure
        if batch.refused:
            first = messages[min(batch.refused)]
            raise NotTaken(sorted(batch.refused), first.routing_key)

    async def _wait_for_room(self) -> None:
        settings = self._link.settings
        while self.lost is None and (
            len(self._pending) >= settings.window or self._pending_bytes >= settings.window_bytes
        ):
            self._room.clear()
            async with self._link.calling("publishing"):
                await self._room.wait()
        if self.lost is not None:
            raise BrokerLost(f"publishing: {self.lost}")

    def _send(self, messages: Sequence[Outgoing], order: Sequence[int], at: int, batch: _Batch) -> int:
        """Write as many as there is room for, from `order[at]` on; returns where in `order` to go on."""
        number, stamp, size_max = self._channel.number, self._stamp, self._link.frame_bytes_max
        room = self._link.settings.window - len(self._pending)
        budget = min(self._link.settings.window_bytes - self._pending_bytes, _CHUNK_BYTES)
        chunk: list[bytes] = []
        written = 0
        tag = self._next
        for position in order[at : at + room]:
            message = messages[position]
            attempt = stamp + b"%d" % tag
            frames = wire.content(number, attempt, message.message_id, message.headers, message.body, size_max)
            chunk.append(self._method(message.exchange, message.routing_key))
            chunk.append(frames)
            self._pending[tag] = (batch, len(frames), position)
            written += len(frames)
            tag += 1
            if written >= budget:
                break
        self._link.write(b"".join(chunk))
        sent = tag - self._next
        self._next = tag
        self._pending_bytes += written
        return at + sent

    def _method(self, exchange: str, routing_key: str) -> bytes:
        address = (exchange, routing_key)
        method = self._methods.get(address)
        if method is None:
            if len(self._methods) > 4096:  # routing keys come from outside: bounded
                self._methods.clear()
            # a queue that is named must exist; what nobody wants from an exchange may go nowhere
            method = wire.publish_method(self._channel.number, exchange, routing_key, mandatory=not exchange)
            self._methods[address] = method
        return method

    # answers -------------------------------------------------------------------------------------------------

    def take(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Confirms, refusals and returns."""
        if kind == wire.METHOD:
            method = int.from_bytes(data[start : start + 4], "big")
            if method == wire.ACK:
                tag, multiple = unpack_from(">QB", data, start + 4)
                self._answer(tag, bool(multiple & 1), taken=True)
            elif method == wire.NACK:
                tag, bits = unpack_from(">QB", data, start + 4)
                self._answer(tag, bool(bits & 1), taken=False)
            elif method == wire.RETURN:
                _, at = wire.short_text(data, start + 6)
                exchange, at = wire.short_text(data, at)
                self._returned = exchange, wire.short_text(data, at)[0]
            else:
                return False
            return True
        if self._returned is None:
            return False
        if kind == wire.HEADER:
            attempt = wire.properties(data, start + 12, {})
            self._unroutable(attempt, *self._returned)
        return True

    def _unroutable(self, attempt: str, exchange: str, routing_key: str) -> None:
        tag = attempt.rpartition("-")[2]
        if tag.isdigit() and (entry := self._pending.get(int(tag))) is not None:
            entry[0].failure = entry[0].failure or Unroutable(exchange, routing_key)

    def _answer(self, tag: int, multiple: bool, taken: bool) -> None:
        pending = self._pending
        if multiple:
            tags = []
            for known in pending:  # in the order of sending
                if known > tag:
                    break
                tags.append(known)
        else:
            tags = [tag] if tag in pending else []
        for known in tags:
            batch, size, position = pending.pop(known)
            self._pending_bytes -= size
            if not taken:
                batch.refused.append(position)
            batch.close(1)
        if tags:
            self._room.set()

    async def close(self) -> None:
        """Close the channel: when this ends, the broker has taken everything that it will ever take of it."""
        self.fail("closed by us")
        await self._channel.close()

    def fail(self, reason: str) -> None:
        """The channel has ended: nobody will be answered any more. Idempotent."""
        if self.lost is not None:
            return
        self.lost = reason
        pending, self._pending = self._pending, {}
        self._pending_bytes = 0
        for batch, _, _ in pending.values():
            batch.failure = batch.failure or BrokerLost(f"publishing: {reason}; the outcome is unknown")
            batch.close(1)
        self._room.set()
        self.on_lost()


def _by_queue(messages: Sequence[Outgoing]) -> Sequence[int]:
    """The positions with what goes to one queue in a row, in the order given.

    The broker takes a run for one queue in one step; one message each for hundreds of queues costs it three times as
    much. What goes to exchanges stays together: its queues are not known here, and its order must be kept.
    """

    def queue(position: int) -> tuple[str, str]:
        message = messages[position]
        return (message.exchange, "" if message.exchange else message.routing_key)

    return sorted(range(len(messages)), key=queue)


def _nobody() -> None:
    """Nobody wants to know."""


def check(message: Outgoing) -> None:
    """Refuse what could not be sent, before anything is.

    Raises:
        MessageTooLarge: body, headers or an address is over its limit.
    """
    if len(message.body) > MESSAGE_BYTES_MAX:
        raise MessageTooLarge(
            f"message {message.message_id} has {len(message.body)} bytes; {MESSAGE_BYTES_MAX} is the most"
        )
    if message.headers or len(message.routing_key) > 63 or len(message.message_id) > 63:
        try:
            wire.publish_method(1, message.exchange, message.routing_key, False)
            wire.content(1, b"", message.message_id, message.headers, b"", 4096)
        except wire.Malformed as problem:
            raise MessageTooLarge(str(problem)) from None
