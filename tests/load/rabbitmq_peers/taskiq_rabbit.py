"""taskiq over taskiq-aio-pika: no result backend, no validation of parameters, acknowledgement after execution."""

from __future__ import annotations

import asyncio

import uvloop
from taskiq import AsyncTaskiqDecoratedTask
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

from tests.load.rabbitmq_peers.peer import (
    HIGH,
    LOW,
    TEXT,
    URGENT_WINDOW,
    WINDOW,
    AsyncStore,
    Meter,
    Probe,
    fill,
    in_flight,
    main,
)

QUEUE = "taskiq-peer"


def _urgent_broker(url: str) -> AioPikaBroker:
    queue = Queue(name=QUEUE, type=QueueType.CLASSIC, durable=True, max_priority=10)
    return AioPikaBroker(url, qos=URGENT_WINDOW, task_queues=[queue])


async def _one_routine(url: str) -> None:
    broker = _urgent_broker(url)

    @broker.task(task_name="handle")
    async def handle(text: str) -> None:
        """Never runs here."""

    await broker.startup()
    await handle.kicker().with_labels(priority=LOW).kiq(TEXT)
    await broker.shutdown()


async def _urgent(url: str, count: int) -> float:
    broker = _urgent_broker(url)
    done = asyncio.Event()
    probe = Probe(done.set)

    @broker.task(task_name="handle")
    async def handle(text: str) -> None:
        probe.mark(text)

    receiver = run_receiver_task(
        broker, validate_params=False, max_async_tasks=WINDOW, run_startup=True, ack_time=AcknowledgeType.WHEN_EXECUTED
    )
    worker = asyncio.create_task(receiver)
    sender = _urgent_broker(url)
    await sender.startup()

    @sender.task(task_name="handle")
    async def send(text: str) -> None:
        """Runs in the worker."""

    await probe.send(lambda text: send.kicker().with_labels(priority=HIGH).kiq(text))
    await done.wait()
    worker.cancel()
    return probe.p99_ms


def urgent(url: str, count: int) -> float:
    """See `peer.Peer`."""
    uvloop.run(_one_routine(url))
    fill(url, QUEUE, count)
    return uvloop.run(_urgent(url, count))


def _broker(url: str) -> AioPikaBroker:
    queue = Queue(name=QUEUE, type=QueueType.QUORUM, durable=True)
    return AioPikaBroker(url, qos=WINDOW, task_queues=[queue])


async def _publish(url: str, count: int) -> float:
    broker = _broker(url)

    @broker.task(task_name="handle")
    async def handle(text: str) -> None:
        """Never runs here."""

    await broker.startup()
    try:
        return await in_flight(count, lambda: handle.kiq(TEXT))
    finally:
        await broker.shutdown()


async def _consume(url: str, count: int, store: bool) -> float:
    database = await AsyncStore.open() if store else None
    done = asyncio.Event()
    meter = Meter(count, done.set)
    broker = _broker(url)

    @broker.task(task_name="handle")
    async def handle(text: str) -> None:
        if database is not None:
            await database.add(text)
        meter.mark()

    assert isinstance(handle, AsyncTaskiqDecoratedTask)
    receiver = run_receiver_task(
        broker,
        validate_params=False,
        max_async_tasks=WINDOW,
        run_startup=True,
        ack_time=AcknowledgeType.WHEN_EXECUTED,
    )
    worker = asyncio.create_task(receiver)
    await done.wait()
    worker.cancel()
    return meter.rate


def publish(url: str, count: int) -> float:
    """See `peer.Peer`."""
    return uvloop.run(_publish(url, count))


def consume(url: str, count: int, store: bool) -> float:
    """See `peer.Peer`."""
    publish(url, 1)
    fill(url, QUEUE, count)
    return uvloop.run(_consume(url, count, store))


if __name__ == "__main__":
    main("taskiq", publish, consume, urgent)
