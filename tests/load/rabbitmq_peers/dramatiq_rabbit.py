"""Dramatiq with confirms, publishing from eight threads (one waits for one confirm at a time); retries kept."""

from __future__ import annotations

import threading
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import Retries

from tests.load.rabbitmq_peers.peer import (
    HIGH,
    LOW,
    QUORUM,
    TEXT,
    URGENT_WINDOW,
    WINDOW,
    Meter,
    Probe,
    ThreadStore,
    fill,
    from_threads,
    main,
)

QUEUE = "dramatiq"
THREADS = 8


class QuorumBroker(RabbitmqBroker):
    """It has no option for quorum queues; this is where others put it."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {**super()._build_queue_arguments(queue_name), **QUORUM}


def urgent(url: str, count: int) -> float:
    """See `peer.Peer`."""
    broker = RabbitmqBroker(url=url, confirm_delivery=True, middleware=[Retries()], max_priority=10)
    dramatiq.set_broker(broker)
    done = threading.Event()
    probe = Probe(done.set)

    @dramatiq.actor(queue_name=QUEUE)
    def handle(text: str) -> None:
        probe.mark(text)

    handle.send_with_options(args=(TEXT,), broker_priority=LOW)
    fill(url, QUEUE, count)
    worker = dramatiq.Worker(broker, worker_threads=THREADS)
    worker.queue_prefetch = URGENT_WINDOW
    worker.start()
    probe.send_blocking(lambda text: handle.send_with_options(args=(text,), broker_priority=HIGH))
    done.wait()
    return probe.p99_ms


def _broker(url: str) -> QuorumBroker:
    broker = QuorumBroker(url=url, confirm_delivery=True, middleware=[Retries()])
    dramatiq.set_broker(broker)
    return broker


def publish(url: str, count: int) -> float:
    """See `peer.Peer`."""
    _broker(url)

    @dramatiq.actor(queue_name=QUEUE)
    def handle(text: str) -> None:
        """Never runs here."""

    handle.send(TEXT)  # declares the queue
    return from_threads(THREADS, count, lambda: handle.send(TEXT))


def _publish_one(url: str) -> None:
    _broker(url)

    @dramatiq.actor(queue_name=QUEUE)
    def handle(text: str) -> None:
        """Never runs here."""

    handle.send(TEXT)


def consume(url: str, count: int, store: bool) -> float:
    """See `peer.Peer`."""
    _publish_one(url)
    fill(url, QUEUE, count)
    database = ThreadStore() if store else None
    done = threading.Event()
    meter = Meter(count, done.set)
    broker = _broker(url)

    @dramatiq.actor(queue_name=QUEUE)
    def handle(text: str) -> None:
        if database is not None:
            database.add(text)
        meter.mark()

    worker = dramatiq.Worker(broker, worker_threads=THREADS)
    worker.queue_prefetch = WINDOW
    worker.start()
    done.wait()
    return meter.rate


if __name__ == "__main__":
    main("Dramatiq", publish, consume, urgent)
