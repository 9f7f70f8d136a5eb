"""FastStream without its validation layer and its log of two lines a message, which cost it a third of its speed."""

from __future__ import annotations

import asyncio
import time

import uvloop
from faststream import AckPolicy
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from tests.load.rabbitmq_peers.peer import (
    BODY,
    HIGH,
    LOW,
    PRIORITY,
    URGENT_WINDOW,
    WINDOW,
    AsyncStore,
    Meter,
    Probe,
    fill,
    in_flight,
    main,
)

QUEUE = RabbitQueue("faststream", queue_type=QueueType.QUORUM, durable=True)


URGENT_QUEUE = RabbitQueue("faststream", queue_type=QueueType.CLASSIC, durable=True, arguments=dict(PRIORITY))


def _broker(url: str, window: int = WINDOW) -> RabbitBroker:
    channel = Channel(prefetch_count=window)
    return RabbitBroker(url, logger=None, apply_types=False, default_channel=channel)


async def _publish(url: str, count: int) -> float:
    async with _broker(url) as broker:
        await broker.declare_queue(QUEUE)
        # not persistent unless it is said
        return await in_flight(count, lambda: broker.publish(BODY, QUEUE, persist=True))


async def _consume(url: str, count: int, store: bool) -> float:
    database = await AsyncStore.open() if store else None
    done = asyncio.Event()
    meter = Meter(count, done.set)
    broker = _broker(url)

    @broker.subscriber(QUEUE, ack_policy=AckPolicy.REJECT_ON_ERROR)
    async def handle(body: bytes) -> None:
        if database is not None:
            await database.add(body)
        meter.mark()

    async with broker:
        await broker.start()
        await done.wait()
    return meter.rate


async def _both(url: str, count: int) -> float:
    done = asyncio.Event()
    meter = Meter(count, done.set)
    broker = _broker(url)

    @broker.subscriber(QUEUE, ack_policy=AckPolicy.REJECT_ON_ERROR)
    async def handle(body: bytes) -> None:
        meter.mark()

    async with broker:
        await broker.start()
        begin_s = time.perf_counter()
        await in_flight(count, lambda: broker.publish(BODY, QUEUE, persist=True))
        await done.wait()
    return count / (meter.last_s - begin_s)


async def _urgent(url: str, count: int) -> float:
    done = asyncio.Event()
    probe = Probe(done.set)
    broker = _broker(url, URGENT_WINDOW)

    @broker.subscriber(URGENT_QUEUE, ack_policy=AckPolicy.REJECT_ON_ERROR)
    async def handle(body: bytes) -> None:
        probe.mark(body.decode())

    async with broker:
        await broker.start()
        await probe.send(lambda text: broker.publish(text.encode(), URGENT_QUEUE, persist=True, priority=HIGH))
        await done.wait()
    return probe.p99_ms


async def _one_routine(url: str) -> None:
    async with _broker(url) as broker:
        await broker.declare_queue(URGENT_QUEUE)
        await broker.publish(BODY, URGENT_QUEUE, persist=True, priority=LOW)


def urgent(url: str, count: int) -> float:
    """See `peer.Peer`."""
    uvloop.run(_one_routine(url))
    fill(url, URGENT_QUEUE.name, count)
    return uvloop.run(_urgent(url, count))


def publish(url: str, count: int) -> float:
    """See `peer.Peer`."""
    return uvloop.run(_publish(url, count))


def consume(url: str, count: int, store: bool) -> float:
    """See `peer.Peer`."""
    publish(url, 1)
    fill(url, QUEUE.name, count)
    return uvloop.run(_consume(url, count, store))


def both(url: str, count: int) -> float:
    """See `peer.Both`."""
    return uvloop.run(_both(url, count))


if __name__ == "__main__":
    main("FastStream", publish, consume, urgent, both)
