"""Dramatiq with confirms, publishing from eight threads (one waits for one confirm at a time); retries kept."""

from __future__ import annotations

import threading
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import Retries

from tests.load.rabbitmq_peers.peer import QUORUM, TEXT, WINDOW, Meter, ThreadStore, fill, from_threads, main

QUEUE = "dramatiq"
THREADS = 8


class QuorumBroker(RabbitmqBroker):
    """It has no option for quorum queues; this is where others put it."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {**super()._build_queue_arguments(queue_name), **QUORUM}


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
    main("Dramatiq", publish, consume)
