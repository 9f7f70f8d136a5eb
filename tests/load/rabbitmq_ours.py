"""Our RabbitMQ engine doing what the peers do; each measurement in a process of its own.

`python -m tests.load.rabbitmq_ours WHAT URL COUNT [QUEUES]` prints one JSON line. WHAT: publish, consume, store, both,
beside, urgent.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from actors.runtime.entropy import SystemEntropy
from broker.port import Delivery, Outgoing, Queue, Topology
from broker.rabbitmq.broker import RabbitMQBroker
from broker.rabbitmq.settings import RabbitMQSettings
from broker.relay import BATCH_ROWS
from broker.store.rows import Accept, MessageRow
from broker.store.store import Store
from broker.store.unit import Unit

BODY = b"x" * 1024
BATCH = 512
_URGENT_PROBES = 200


@asynccontextmanager
async def _broker(url: str, queues: int) -> AsyncIterator[tuple[RabbitMQBroker, list[str]]]:
    broker = RabbitMQBroker(RabbitMQSettings(url=url), SystemEntropy())
    names = [f"bench.{number}" for number in range(queues)]
    async with broker.connected():
        await broker.declare(Topology((), tuple(Queue(name) for name in names)))
        yield broker, names


def _messages(names: Sequence[str], start: int, count: int) -> list[Outgoing]:
    return [Outgoing(f"m{n}", BODY, names[n % len(names)]) for n in range(start, start + count)]


async def _fill(broker: RabbitMQBroker, names: Sequence[str], count: int) -> float:
    begun = time.perf_counter()
    for start in range(0, count, BATCH_ROWS):  # as the relay does
        await broker.publish(_messages(names, start, min(BATCH_ROWS, count - start)))
    return count / (time.perf_counter() - begun)


async def publish(url: str, count: int, queues: int) -> dict[str, float]:
    """Confirmed publishes a second."""
    async with _broker(url, queues) as (broker, names):
        return {"rate": await _fill(broker, names, count)}


async def consume(url: str, count: int, queues: int) -> dict[str, float]:
    """Take, do nothing, acknowledge. The queue is full before the consumer starts."""
    async with _broker(url, queues) as (broker, names):
        await _fill(broker, names, count)
        return {"rate": await _drain(broker, names, count, None)}


async def store(url: str, count: int, queues: int) -> dict[str, float]:
    """Take, commit to the inbox durably, acknowledge."""
    async with _broker(url, queues) as (broker, names):
        await _fill(broker, names, count)
        with tempfile.TemporaryDirectory() as directory:
            async with Store(Path(directory)) as inbox:
                writing = asyncio.ensure_future(inbox.writer.run())
                rate = await _drain(broker, names, count, inbox)
                writing.cancel()
                await asyncio.wait({writing})
        return {"rate": rate}


async def both(url: str, count: int, queues: int) -> dict[str, float]:
    """Publish and consume at once in one process."""
    async with _broker(url, queues) as (broker, names):
        begun = time.perf_counter()
        await asyncio.gather(_fill(broker, names, count), _drain(broker, names, count, None))
        return {"rate": count / (time.perf_counter() - begun)}


async def beside(url: str, count: int, queues: int) -> dict[str, float]:
    """`both`, on a queue that is not empty before and as long after; the resident memory of this process with it."""
    rate = (await both(url, count, queues))["rate"]
    return {"rate": rate, "rss_mb": _resident_bytes() / 1e6}


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def _drain(broker: RabbitMQBroker, names: Sequence[str], count: int, inbox: Store | None) -> float:
    left, begun = count, time.perf_counter()  # from here on the broker sends ahead
    async with broker.subscribe(names, prefetch=BATCH) as subscription:
        while left > 0:
            deliveries = await subscription.receive(BATCH)
            if inbox is not None:
                await inbox.commit(Unit(at=1, accepts=[_inbox_row(delivery) for delivery in deliveries]))
            await subscription.acknowledge(deliveries)
            left -= len(deliveries)
        return (count - left) / (time.perf_counter() - begun)


def _inbox_row(delivery: Delivery) -> Accept:
    id = delivery.message_id
    row = MessageRow(id, None, "", "bench", id, "bench", "default", id, id, delivery.queue, "standard", id, None, 1)
    return Accept(row, ())


async def urgent(url: str, count: int, queues: int) -> dict[str, float]:
    """From publish to handler of an urgent message, p99 in milliseconds: alone, and behind `count` bulk ones."""
    async with _broker(url, 2) as (broker, (high, low)):
        alone = await _probe(broker, [high, low], high)
        await _fill(broker, [low], count)
        return {"alone_ms": alone, "behind_ms": await _probe(broker, [high, low], high)}


async def _probe(broker: RabbitMQBroker, names: Sequence[str], high: str) -> float:
    times: list[float] = []
    sent: dict[str, float] = {}

    async def send() -> None:
        for number in range(_URGENT_PROBES):
            sent[f"u{number}"] = time.perf_counter()
            await broker.publish([Outgoing(f"u{number}", BODY, high)])
            await asyncio.sleep(0.005)

    async with broker.subscribe(names, prefetch=64) as subscription:
        sending = asyncio.ensure_future(send())
        while len(times) < _URGENT_PROBES:
            deliveries = await subscription.receive(32)
            now = time.perf_counter()
            times += [now - sent[delivery.message_id] for delivery in deliveries if delivery.queue == high]
            await subscription.acknowledge(deliveries)
        await sending
    return sorted(times)[int(_URGENT_PROBES * 0.99)] * 1e3


WHAT = {"publish": publish, "consume": consume, "store": store, "both": both, "beside": beside, "urgent": urgent}


def main(what: str, url: str, count: str, queues: str = "1") -> None:
    """Measure and print."""
    sys.stdout.write(json.dumps(uvloop.run(WHAT[what](url, int(count), int(queues)))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
