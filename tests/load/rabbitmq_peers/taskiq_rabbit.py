"""taskiq over taskiq-aio-pika: no result backend, no validation of parameters, acknowledgement after execution."""

from __future__ import annotations

import asyncio

import uvloop
from taskiq import AsyncTaskiqDecoratedTask
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

from tests.load.rabbitmq_peers.peer import TEXT, WINDOW, AsyncStore, Meter, fill, in_flight, main

QUEUE = "taskiq-peer"


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
    main("taskiq", publish, consume)
