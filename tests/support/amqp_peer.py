"""A broker in a page, for manners that no broker at hand has: it speaks AMQP 0-9-1 and does what a test tells it.

It keeps queues in memory, refuses what RabbitMQ 4.3 refuses (`violations` says what was asked for that it would not
take), and can lie: answer late, in another order, twice, for nothing, or with an error of its choice.
Source of the refusals: RabbitMQ release notes and "Deprecated Features", read from its documentation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pamqp import body, commands, frame, header
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue

from tests.support.rabbitmq_proxy import Frames

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""What RabbitMQ 4 takes as a message by default."""
FRAME_BYTES_MAX = 131_072


@dataclass
class Message:
    """A stored message."""

    properties: Basic.Properties
    body: bytes
    exchange: str
    routing_key: str
    delivered: int = 0


@dataclass
class Consumer:
    """Somebody who is sent a queue's messages."""

    conversation: Conversation
    channel: int
    tag: str
    queue: str
    room: int


@dataclass
class Conversation:
    """One connection; `unsettled` by channel and delivery tag."""

    writer: asyncio.StreamWriter
    prefetch: dict[int, int] = field(default_factory=dict)
    tags: dict[int, int] = field(default_factory=dict)
    confirms: dict[int, int] = field(default_factory=dict)
    unsettled: dict[tuple[int, int], tuple[str, Message, Consumer]] = field(default_factory=dict)
    half: dict[int, tuple[Basic.Publish, header.ContentHeader | None, bytes]] = field(default_factory=dict)

    def say(self, channel: int, *frames: Any) -> None:
        """Send."""
        if not self.writer.is_closing():
            self.writer.write(b"".join(frame.marshal(one, channel) for one in frames))


class Peer:
    """The broker. `on_publish` (conversation, channel, tag) may answer a publish in its own way, and then says True."""

    def __init__(self, version: str = "4.3.0", frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.version = version
        self.frame_bytes_max = frame_bytes_max
        self.port = 0
        self.queues: dict[str, deque[Message]] = {}
        self.arguments: dict[str, dict[str, Any]] = {}
        self.exchanges: dict[str, str] = {}
        self.consumers: list[Consumer] = []
        self.conversations: list[Conversation] = []
        self.violations: list[str] = []
        self.published: list[Message] = []
        self.on_publish: Callable[[Conversation, int, int], bool] = lambda *_: False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Peer]:
        """Listen for the length of the block."""
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for conversation in self.conversations:
                conversation.writer.transport.abort()

    # lies ----------------------------------------------------------------------------------------------------

    def cancel_consumers(self, queue: str) -> None:
        """Take the queue's consumers away by Basic.Cancel and put back what they had, as 4.3 does after a time-out."""
        for consumer in [one for one in self.consumers if one.queue == queue]:
            self.consumers.remove(consumer)
            consumer.conversation.say(consumer.channel, Basic.Cancel(consumer.tag, nowait=True))
            self._return(consumer.conversation, consumer.channel)

    def close_channels(self, queue: str, code: int, text: str) -> None:
        """Close the channels of the queue's consumers, as 3.x does after a time-out."""
        for consumer in [one for one in self.consumers if one.queue == queue]:
            self.consumers.remove(consumer)
            consumer.conversation.say(consumer.channel, Channel.Close(code, text, 0, 0))
            self._return(consumer.conversation, consumer.channel)

    def close_connections(self, code: int, text: str) -> None:
        """Close every connection with an error."""
        for conversation in tuple(self.conversations):
            conversation.say(0, Connection.Close(code, text, 0, 0))

    # conversation --------------------------------------------------------------------------------------------

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(writer)
        self.conversations.append(conversation)
        frames = Frames()
        try:
            while data := await reader.read(65_536):
                for raw in frames.feed(data):
                    if raw[:4] == b"AMQP":
                        properties = {"product": "RabbitMQ", "version": self.version, "capabilities": _CAPABILITIES}
                        conversation.say(0, Connection.Start(server_properties=properties))
                    else:
                        _, channel, one = frame.unmarshal(raw)
                        self._hear(conversation, channel, one)
                await writer.drain()
        except OSError:
            pass  # the other side is gone
        finally:
            self.conversations.remove(conversation)
            self.consumers = [one for one in self.consumers if one.conversation is not conversation]
            for channel in {channel for channel, _ in conversation.unsettled}:
                self._return(conversation, channel)
            writer.close()

    def _hear(self, conversation: Conversation, channel: int, one: Any) -> None:
        match one:
            case header.ContentHeader() | body.ContentBody():
                self._content(conversation, channel, one)
            case Basic.Publish():
                conversation.half[channel] = one, None, b""
            case Basic.Ack() | Basic.Nack():
                self._settle(conversation, channel, one)
            case Queue.Declare():
                self._declare(conversation, channel, one)
            case Basic.Qos():
                if one.global_:
                    self._refuse(conversation, channel, 540, "global QoS is gone")
                else:
                    conversation.prefetch[channel] = one.prefetch_count
                    conversation.say(channel, Basic.QosOk())
            case Basic.Consume():
                if one.queue not in self.queues:
                    self._refuse(conversation, channel, 404, f"no queue '{one.queue}'")
                    return
                room = conversation.prefetch.get(channel, 0) or 10**6
                self.consumers.append(Consumer(conversation, channel, one.consumer_tag, one.queue, room))
                conversation.say(channel, Basic.ConsumeOk(one.consumer_tag))
                self._hand_out()
            case Basic.Cancel():
                self.consumers = [c for c in self.consumers if c.tag != one.consumer_tag]
                conversation.say(channel, Basic.CancelOk(one.consumer_tag))
            case Exchange.Declare():
                if one.passive and one.exchange not in self.exchanges:
                    self._refuse(conversation, channel, 404, f"no exchange '{one.exchange}'")
                    return
                self.exchanges.setdefault(one.exchange, one.exchange_type)
                conversation.say(channel, Exchange.DeclareOk())
            case Channel.Close():
                self._return(conversation, channel)
                self.consumers = [c for c in self.consumers if (c.conversation, c.channel) != (conversation, channel)]
                conversation.say(channel, Channel.CloseOk())
            case _:
                self._plain(conversation, channel, one)

    def _plain(self, conversation: Conversation, channel: int, one: Any) -> None:
        """What has one right answer."""
        match one:
            case Connection.StartOk():
                conversation.say(0, Connection.Tune(2047, self.frame_bytes_max, 60))
            case Connection.Open():
                conversation.say(0, Connection.OpenOk())
            case Connection.Close():
                conversation.say(0, Connection.CloseOk())
            case Channel.Open():
                conversation.tags[channel] = 0
                conversation.say(channel, Channel.OpenOk())
            case Confirm.Select():
                conversation.confirms[channel] = 0
                conversation.say(channel, Confirm.SelectOk())
            case Queue.Bind():
                conversation.say(channel, Queue.BindOk())
            case Queue.Delete():
                gone = self.queues.pop(one.queue, ())
                conversation.say(channel, Queue.DeleteOk(len(gone)))
            case _:
                pass  # answers to what we said, and heartbeats

    def _refuse(self, conversation: Conversation, channel: int, code: int, why: str) -> None:
        if code != 404:
            self.violations.append(why)
        conversation.say(channel, Channel.Close(code, why, 0, 0))

    def _declare(self, conversation: Conversation, channel: int, one: Queue.Declare) -> None:
        if one.passive and one.queue not in self.queues:
            self._refuse(conversation, channel, 404, f"no queue '{one.queue}'")
            return
        if not one.passive:
            if not one.durable and not one.exclusive:
                self._refuse(conversation, channel, 541, f"transient queue '{one.queue}'")
                return
            self.queues.setdefault(one.queue, deque())
            self.arguments.setdefault(one.queue, dict(one.arguments or {}))
        consumers = sum(consumer.queue == one.queue for consumer in self.consumers)
        conversation.say(channel, Queue.DeclareOk(one.queue, len(self.queues[one.queue]), consumers))

    # messages ------------------------------------------------------------------------------------------------

    def _content(self, conversation: Conversation, channel: int, one: Any) -> None:
        publish, head, parts = conversation.half[channel]
        if isinstance(one, header.ContentHeader):
            head = one
            if one.body_size > MESSAGE_BYTES_MAX:
                self._refuse(conversation, channel, 406, f"message of {one.body_size} bytes")
                return
        else:
            parts += one.value
        conversation.half[channel] = publish, head, parts
        if head is not None and len(parts) >= head.body_size:
            del conversation.half[channel]
            self._store(
                conversation, channel, publish, Message(head.properties, parts, publish.exchange, publish.routing_key)
            )

    def _store(self, conversation: Conversation, channel: int, publish: Basic.Publish, message: Message) -> None:
        conversation.confirms[channel] += 1
        tag = conversation.confirms[channel]
        self.published.append(message)
        if not publish.exchange and publish.routing_key not in self.queues:
            if publish.mandatory:
                returned = Basic.Return(312, "NO_ROUTE", publish.exchange, publish.routing_key)
                conversation.say(channel, returned, *_content(message))
        elif not self.on_publish(conversation, channel, tag):
            self.queues.get(publish.routing_key, deque()).append(message)
            conversation.say(channel, Basic.Ack(tag))
            self._hand_out()
            return
        else:
            return
        conversation.say(channel, Basic.Ack(tag))

    def _hand_out(self) -> None:
        for consumer in self.consumers:
            queue = self.queues.get(consumer.queue)
            while queue and consumer.room > 0:
                message = queue.popleft()
                consumer.room -= 1
                channel, conversation = consumer.channel, consumer.conversation
                conversation.tags[channel] += 1
                tag = conversation.tags[channel]
                conversation.unsettled[channel, tag] = consumer.queue, message, consumer
                again = message.delivered > 0
                message.delivered += 1
                deliver = Basic.Deliver(consumer.tag, tag, again, message.exchange, message.routing_key)
                conversation.say(channel, deliver, *_content(message))

    def _settle(self, conversation: Conversation, channel: int, one: Basic.Ack | Basic.Nack) -> None:
        tags = [key for key in conversation.unsettled if key[0] == channel and _covers(one, key[1])]
        if not tags:
            self._refuse(conversation, channel, 406, f"unknown delivery tag {one.delivery_tag}")
        for key in tags:
            queue, message, consumer = conversation.unsettled.pop(key)
            consumer.room += 1
            if isinstance(one, Basic.Nack) and one.requeue and queue in self.queues:
                self.queues[queue].appendleft(message)
        self._hand_out()

    def _return(self, conversation: Conversation, channel: int) -> None:
        for key in sorted((key for key in conversation.unsettled if key[0] == channel), reverse=True):
            queue, message, _ = conversation.unsettled.pop(key)
            if queue in self.queues:
                self.queues[queue].appendleft(message)


_CAPABILITIES = {
    "publisher_confirms": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}


def _covers(one: Basic.Ack | Basic.Nack, tag: int) -> bool:
    return tag == one.delivery_tag or (bool(one.multiple) and tag <= (one.delivery_tag or 0))


def _content(message: Message) -> list[Any]:
    head = header.ContentHeader(0, len(message.body), message.properties)
    return [head, body.ContentBody(message.body)] if message.body else [head]


__all__ = ["Conversation", "Message", "Peer", "commands"]
