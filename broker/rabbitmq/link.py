"""The only module that touches aio-pika: connections, channels and the calls on them, with their errors translated.

The library tells a lost connection by `CancelledError`, which task groups take for obedience and end without a word.
So every await of a library call is inside `translated`, and nothing but `BrokerError` and our own cancellation
comes out.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aio_pika
import aiormq
from aiormq.abc import AbstractChannel
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionClosed,
    ProbableAuthenticationError,
)
from yarl import URL

from broker.port import BrokerError, BrokerLost
from broker.rabbitmq import wire
from broker.rabbitmq.errors import BrokerRefused as BrokerRefused
from broker.rabbitmq.errors import Different as Different
from broker.rabbitmq.errors import Locked as Locked
from broker.rabbitmq.errors import Missing as Missing
from broker.rabbitmq.errors import NoAnswer as NoAnswer
from broker.rabbitmq.settings import RabbitMQSettings
from broker.rabbitmq.tap import Sink, TappedReader

T = TypeVar("T")

_CLOSE_SECONDS = 3.0
_UNSENT_BYTES = 64 * 1024
_FORBIDDEN_CODES = (403, 530)


@asynccontextmanager
async def translated(what: str, settings: RabbitMQSettings) -> AsyncIterator[None]:
    """Bound and translate library calls; `what` starts the sentence of the error.

    Raises:
        BrokerLost: connection or channel ended; NoAnswer: no answer in time. The outcome is unknown.
        BrokerRefused: not allowed.
        Missing, Different: the thing named in the call.
    """
    try:
        async with asyncio.timeout(settings.call_seconds):
            yield
    except TimeoutError:
        raise NoAnswer(
            f"{what}: no answer from {settings.place} within {settings.call_seconds:g} s; the outcome is unknown"
        ) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BrokerLost(f"{what}: the connection to {settings.place} ended; the outcome is unknown") from None
    except (AMQPError, ChannelInvalidStateError, OSError, RuntimeError) as error:
        raise _plain(what, error, settings) from None


def _plain(what: str, error: Exception, settings: RabbitMQSettings) -> BrokerError:
    said = str(error.args[-1]) if error.args else type(error).__name__
    match error:
        case AuthenticationError() | ProbableAuthenticationError():
            return BrokerRefused(
                f"{what}: {settings.place} refuses the user {settings.user!r}: wrong name or password. "
                "Correct the broker's url; the user is made with `rabbitmqctl add_user`."
            )
        case ChannelAccessRefused():
            return BrokerRefused(
                f"{what}: {said}. Give the user its rights with "
                f'`rabbitmqctl set_permissions -p VHOST {settings.user} "^tidegate" ".*" ".*"`.'
            )
        case ChannelNotFoundEntity():
            return Missing(f"{what}: {said}")
        case ChannelLockedResource():
            return Locked(f"{what}: {said}")
        case ChannelPreconditionFailed():
            return Different(f"{what}: {said}")
        case ConnectionClosed() if error.args and error.args[0] in _FORBIDDEN_CODES:
            return _forbidden(what, said, settings)
        case _ if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            return BrokerRefused(f"{what}: the certificate of {settings.place} is not accepted: {error.__cause__}")
        case _:
            return BrokerLost(f"{what}: {settings.place} is not there or went away: {said}")


def _forbidden(what: str, said: str, settings: RabbitMQSettings) -> BrokerRefused:
    return BrokerRefused(
        f"{what}: {settings.place} says: {said}. Make the virtual host with `rabbitmqctl add_vhost`, "
        f"and give the user {settings.user!r} rights in it with `rabbitmqctl set_permissions`."
    )


class _TappedTransport(TransportFactory):
    """Opens the socket as the library would, and keeps both ends of it for us."""

    def __init__(self, tls: bool, sink: Sink) -> None:
        self._inner = TLSTransportFactory() if tls else TCPTransportFactory()
        self._sink = sink
        self.reader: TappedReader
        self.writer: asyncio.StreamWriter

    async def create(self, url: URL, **kwargs: Any) -> Any:
        reader, self.writer = await self._inner.create(url, limit=1024 * 1024, **kwargs)
        self.reader = TappedReader(reader)
        self.reader.sinks[0] = self._sink
        return self.reader, self.writer


class Channel:
    """One AMQP channel. A call that was begun goes on to its end also when its caller is cancelled: a cancellation that
    reaches the library costs the channel, and sometimes everybody's connection (504, "expected 'channel.open'")."""

    def __init__(self, link: Link, inner: AbstractChannel) -> None:
        self._link = link
        self._inner = inner
        self.number = int(inner.number)
        inner.closing.add_done_callback(lambda _: link.drop(self.number))

    @property
    def closed(self) -> bool:
        """Whether it can no longer be used."""
        return bool(self._inner.is_closed)

    def on_close(self, call: Callable[[str], None]) -> None:
        """Be told once, with the reason, when the channel has ended."""

        def closed(closing: asyncio.Future[Any]) -> None:
            error = None if closing.cancelled() else closing.exception()
            call(str(error.args[-1]) if error is not None and error.args else "the channel was closed")

        self._inner.closing.add_done_callback(closed)

    async def exchange(self, name: str, kind: str, arguments: dict[str, Any]) -> None:
        """Declare a durable exchange."""
        call = self._inner.exchange_declare(name, exchange_type=kind, durable=True, arguments=arguments)
        await self._link.ask(f"declaring exchange {name}", call)

    async def queue(self, name: str, arguments: dict[str, Any]) -> bool:
        """Declare a durable queue; whether it may have been made by this, for it is empty and nobody consumes it."""
        call = self._inner.queue_declare(name, durable=True, arguments=arguments)
        made = await self._link.ask(f"declaring queue {name}", call)
        return not (made.message_count or made.consumer_count)

    async def exclusive_queue(self, name: str) -> None:
        """Declare a queue that only this connection may use and that ends with it. Raises Locked."""
        await self._link.ask(f"declaring queue {name}", self._inner.queue_declare(name, exclusive=True))

    async def look(self, name: str) -> tuple[int, int]:
        """Messages ready in the queue, and its consumers. Raises Missing."""
        found = await self._link.ask(f"asking about queue {name}", self._inner.queue_declare(name, passive=True))
        return found.message_count or 0, found.consumer_count or 0

    async def bind(self, queue: str, exchange: str, pattern: str) -> None:
        """Lead what matches the pattern from the exchange to the queue."""
        await self._link.ask(f"binding {queue} to {exchange}", self._inner.queue_bind(queue, exchange, pattern))

    async def delete_queue(self, name: str) -> None:
        """Delete the queue with what is in it."""
        await self._link.ask(f"deleting queue {name}", self._inner.queue_delete(name))

    async def delete_exchange(self, name: str) -> None:
        """Delete the exchange with its bindings."""
        await self._link.ask(f"deleting exchange {name}", self._inner.exchange_delete(name))

    async def look_at_exchange(self, name: str) -> None:
        """Ask whether the exchange is there. Raises Missing."""
        await self._link.ask(f"asking about exchange {name}", self._inner.exchange_declare(name, passive=True))

    async def consume(self, queue: str, tag: str, prefetch: int | None = None) -> None:
        """Start a consumer; its deliveries go to the channel's sink."""
        await self._link.ask(f"consuming from {queue}", self._consume(queue, tag, prefetch))

    async def _consume(self, queue: str, tag: str, prefetch: int | None) -> None:
        if prefetch is not None:
            await self._inner.basic_qos(prefetch_count=prefetch)
        await self._inner.basic_consume(queue, _never_called, consumer_tag=tag)

    async def cancel(self, tag: str) -> None:
        """End a consumer; what it has been given stays with it."""
        await self._link.ask("ending a consumer", self._inner.basic_cancel(tag))

    async def close(self) -> None:
        """Close; everything unsettled on it returns to its queue. A dead connection needs no closing."""
        if self.closed or self._link.lost:
            return
        try:
            await self._link.ask("closing a channel", self._inner.close())
        except BrokerError:
            pass  # closing is over either way: the broker drops the channel with the connection


async def _never_called(_message: Any) -> None:
    raise AssertionError("a delivery was not taken by its sink")


class Link:
    """One connection to the broker, with the tap under it. When it is lost it stays lost; open another."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self.settings = settings
        self.lost: str | None = None
        self.blocked: str | None = None
        self._told: tuple[int, str] = (0, "")
        """Code and text with which the broker closed; the library keeps them for itself while it connects."""
        self._on_lost: list[Callable[[str], None]] = []
        self._channels: dict[int, Channel] = {}
        self._talks: set[asyncio.Task[Any]] = set()
        """Calls to the broker that are under way."""
        self._connection: aio_pika.Connection
        self._transport: _TappedTransport
        self._inner: aiormq.abc.AbstractConnection

    @classmethod
    async def open(cls, settings: RabbitMQSettings, name: str) -> Link:
        """Connect and log in. `name` is shown in the broker's lists.

        Raises:
            BrokerLost: nobody there. BrokerRefused: not let in.
        """
        link = cls(settings)
        url = URL(settings.url).update_query(heartbeat=settings.heartbeat_seconds, name=name)
        link._transport = _TappedTransport(url.scheme == "amqps", link)
        link._connection = aio_pika.Connection(url)
        link._connection.kwargs["transport_factory"] = link._transport
        what = f"connecting to RabbitMQ as {name}"
        try:
            async with translated(what, settings):
                await link._connection.connect()
        except BrokerLost:
            if link._told[0] in _FORBIDDEN_CODES:
                raise _forbidden(what, link._told[1], settings) from None
            raise
        assert link._connection.transport is not None
        link._inner = link._connection.transport.connection
        link._inner.closing.add_done_callback(link._ended)
        return link

    def take(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Note when the broker blocks publishers or closes, and leave the frame to the library."""
        if kind == wire.METHOD:
            method = int.from_bytes(data[start : start + 4], "big")
            if method == wire.BLOCKED:
                self.blocked = wire.short_text(data, start + 4)[0] or "no reason given"
            elif method == wire.UNBLOCKED:
                self.blocked = None
            elif method == wire.CLOSE:
                self._told = int.from_bytes(data[start + 4 : start + 6], "big"), wire.short_text(data, start + 6)[0]
        return False

    def _ended(self, closing: asyncio.Future[Any]) -> None:
        error = None if closing.cancelled() else closing.exception()
        said = str(error.args[-1]) if isinstance(error, AMQPError) and error.args else "the connection ended"
        self.fail(said)

    def fail(self, reason: str) -> None:
        """Count the link as lost from now on. Idempotent: the library reports one loss several times."""
        if self.lost is None:
            self.lost = reason
            for call in self._on_lost:
                call(reason)

    def on_lost(self, call: Callable[[str], None]) -> None:
        """Be told once, with the reason, when the link is lost."""
        self._on_lost.append(call)

    @asynccontextmanager
    async def calling(self, what: str) -> AsyncIterator[None]:
        """`translated`, on this link."""
        if self.lost is not None:
            raise BrokerLost(f"{what}: the connection to {self.settings.place} is lost: {self.lost}")
        async with translated(what, self.settings):
            yield

    async def ask(self, what: str, call: Awaitable[T]) -> T:
        """`call`, translated, and carried to its end whoever stops waiting for it."""
        return await asyncio.shield(self._begin(what, call))

    def _begin(self, what: str, call: Awaitable[T]) -> asyncio.Task[T]:
        talk = asyncio.create_task(self._carry(what, call), name=f"rabbitmq: {what}")
        self._talks.add(talk)
        talk.add_done_callback(self._over)
        return talk

    def _over(self, talk: asyncio.Task[Any]) -> None:
        self._talks.discard(talk)
        talk.cancelled() or talk.exception()  # heard, also when its asker was cancelled

    async def _carry(self, what: str, call: Awaitable[T]) -> T:
        try:
            async with self.calling(what):
                return await call
        finally:
            if isinstance(call, Coroutine):
                call.close()  # one that was never begun

    @property
    def frame_bytes_max(self) -> int:
        """Largest frame that both sides agreed on."""
        return int(self._inner.connection_tune.frame_max)

    @property
    def heartbeat_seconds(self) -> int:
        """The heartbeat that both sides agreed on."""
        return int(self._inner.connection_tune.heartbeat)

    @property
    def server(self) -> tuple[str, str]:
        """Product and version that the broker claims."""
        told = self._inner.server_properties
        return str(told.get("product", "unknown")), str(told.get("version", "0"))

    @property
    def channels(self) -> int:
        """Channels open now."""
        return len(self._channels)

    async def channel(self, confirms: bool = False) -> Channel:
        """Open a channel. Held here, because the library holds channels weakly."""
        opening = self._begin("opening a channel", self._open(confirms))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._abandon)
            raise

    async def _open(self, confirms: bool) -> Channel:
        channel = Channel(self, await self._inner.channel(publisher_confirms=confirms))
        self._channels[channel.number] = channel
        return channel

    def _abandon(self, opening: asyncio.Task[Channel]) -> None:
        """Close a channel that nobody waits for any more."""
        if not opening.cancelled() and opening.exception() is None and self.lost is None:
            self._begin("closing a channel", opening.result().close())

    @asynccontextmanager
    async def brief_channel(self) -> AsyncIterator[Channel]:
        """A channel for a few calls: one that fails or is cancelled takes only this channel with it."""
        channel = await self.channel()
        try:
            yield channel
        finally:
            await channel.close()

    def drop(self, number: int) -> None:
        """Forget a channel that has ended."""
        self._channels.pop(number, None)

    def attach(self, number: int, sink: Sink) -> None:
        """Hand the channel's message frames to the sink."""
        self._transport.reader.sinks[number] = sink

    def write(self, frames: bytes) -> None:
        """Put whole frames on the wire, after everything written before. A lost link swallows them."""
        if self.lost is not None:
            return
        try:
            self._transport.writer.write(frames)
        except RuntimeError:  # uvloop says so of a socket that is closed already, before the library does
            self.fail("the socket is closed")

    async def drain(self) -> None:
        """Wait when much is written and not sent. Raises BrokerLost."""
        if self.lost is not None or self._transport.writer.transport.get_write_buffer_size() < _UNSENT_BYTES:
            return
        async with self.calling("sending"):
            await self._transport.writer.drain()

    async def close(self) -> None:
        """Close the connection, or cut it when the broker does not answer."""
        self.fail("closed by us")
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._connection.close()
        except TimeoutError:
            self._transport.writer.transport.abort()
        except asyncio.CancelledError:
            self._transport.writer.transport.abort()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        except Exception:
            self._transport.writer.transport.abort()  # what is closed already cannot be closed better
