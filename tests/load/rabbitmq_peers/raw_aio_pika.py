"""aio-pika itself: publishes in a window, a callback consumer with prefetch, an acknowledgement each."""

from __future__ import annotations

import asyncio
import time

import aio_pika
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from tests.load.rabbitmq_peers.peer import (
    BODY,
    HIGH,
    LOW,
    PRIORITY,
    QUORUM,
    URGENT_WINDOW,
    WINDOW,
    AsyncStore,
    Meter,
    Probe,
    fill,
    in_flight,
    main,
)

QUEUE = "raw-aio-pika"


def _message(body: bytes = BODY, priority: int | None = None) -> aio_pika.Message:
    return aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, priority=priority)


async def _publish(url: str, count: int) -> float:
    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(QUEUE, durable=True, arguments=dict(QUORUM))
        exchange = channel.default_exchange
        return await in_flight(count, lambda: exchange.publish(_message(), QUEUE))


async def _consume(url: str, count: int, store: bool) -> float:
    database = await AsyncStore.open() if store else None
    done = asyncio.Event()
    meter = Meter(count, done.set)

    async def handle(message: AbstractIncomingMessage) -> None:
        if database is not None:
            await database.add(message.body)
        await message.ack()
        meter.mark()

    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=WINDOW)
        queue = await channel.get_queue(QUEUE)
        await queue.consume(handle)
        await done.wait()
    return meter.rate


async def _both(url: str, count: int) -> float:
    done = asyncio.Event()
    meter = Meter(count, done.set)

    async def handle(message: AbstractIncomingMessage) -> None:
        await message.ack()
        meter.mark()

    async with await aio_pika.connect_robust(url) as publishing, await aio_pika.connect_robust(url) as consuming:
        channel = await consuming.channel()
        await channel.set_qos(prefetch_count=WINDOW)
        queue = await channel.declare_queue(QUEUE, durable=True, arguments=dict(QUORUM))
        await queue.consume(handle)
        exchange = (await publishing.channel()).default_exchange
        begin_s = time.perf_counter()
        await in_flight(count, lambda: exchange.publish(_message(), QUEUE))
        await done.wait()
    return count / (meter.last_s - begin_s)


async def _urgent(url: str, count: int) -> float:
    done = asyncio.Event()
    probe = Probe(done.set)

    async def handle(message: AbstractIncomingMessage) -> None:
        probe.mark(message.body.decode())
        await message.ack()

    async with await aio_pika.connect_robust(url) as publishing, await aio_pika.connect_robust(url) as consuming:
        exchange = (await publishing.channel()).default_exchange
        channel = await consuming.channel()
        await channel.set_qos(prefetch_count=URGENT_WINDOW)
        queue = await channel.get_queue(QUEUE)
        await queue.consume(handle)
        await probe.send(lambda text: exchange.publish(_message(text.encode(), HIGH), QUEUE))
        await done.wait()
    return probe.p99_ms


async def _one_routine(url: str) -> None:
    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(QUEUE, durable=True, arguments=dict(PRIORITY))
        await channel.default_exchange.publish(_message(BODY, LOW), QUEUE)


def urgent(url: str, count: int) -> float:
    """See `peer.Peer`."""
    uvloop.run(_one_routine(url))
    fill(url, QUEUE, count)
    return uvloop.run(_urgent(url, count))


def publish(url: str, count: int) -> float:
    """See `peer.Peer`."""
    return uvloop.run(_publish(url, count))


def consume(url: str, count: int, store: bool) -> float:
    """See `peer.Peer`."""
    publish(url, 1)
    fill(url, QUEUE, count)
    return uvloop.run(_consume(url, count, store))


def both(url: str, count: int) -> float:
    """See `peer.Both`."""
    return uvloop.run(_both(url, count))


if __name__ == "__main__":
    main("aio-pika", publish, consume, urgent, both)
