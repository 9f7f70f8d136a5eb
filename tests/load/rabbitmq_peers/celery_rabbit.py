"""Celery with confirms, late acknowledgement and quorum queues, none of which is its default.

The worker is `solo`: no second process to hand each task to. With a classic queue that one stalls for seconds at a
time; with a quorum queue, whose prefetch is per consumer, it does not.
"""

from __future__ import annotations

import threading

from celery import Celery
from celery.apps.worker import Worker

from tests.load.rabbitmq_peers.peer import (
    HIGH,
    LOW,
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

QUEUE = "celery"
THREADS = 8


def _app(url: str) -> Celery:
    app = Celery("peer", broker=url, set_as_current=True)
    app.conf.update(
        broker_transport_options={"confirm_publish": True},
        broker_pool_limit=THREADS,
        task_default_queue=QUEUE,
        task_default_queue_type="quorum",
        task_default_exchange_type="topic",
        task_acks_late=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        worker_prefetch_multiplier=WINDOW,
        worker_detect_quorum_queues=True,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def urgent(url: str, count: int) -> float:
    """See `peer.Peer`."""
    app = _app(url)
    app.conf.update(
        task_default_queue_type="classic",
        task_queue_max_priority=10,
        task_default_priority=LOW,
        worker_detect_quorum_queues=False,
        worker_prefetch_multiplier=URGENT_WINDOW,
    )
    done = threading.Event()
    probe = Probe(done.set)

    @app.task(name="handle")
    def handle(text: str) -> None:
        probe.mark(text)

    handle.apply_async((TEXT,), priority=LOW)
    fill(url, QUEUE, count)
    worker = Worker(app=app, pool="solo", concurrency=1, without_gossip=True, without_mingle=True, quiet=True)
    threading.Thread(target=worker.start, daemon=True).start()
    probe.send_blocking(lambda text: handle.apply_async((text,), priority=HIGH))
    done.wait()
    return probe.p99_ms


def publish(url: str, count: int) -> float:
    """See `peer.Peer`."""
    app = _app(url)

    @app.task(name="handle")
    def handle(text: str) -> None:
        """Never runs here."""

    own = threading.local()

    def send() -> None:
        if not hasattr(own, "producer"):
            own.producer = app.amqp.Producer(app.connection_for_write(), auto_declare=False)
        handle.apply_async((TEXT,), producer=own.producer)

    return from_threads(THREADS, count, send)


def consume(url: str, count: int, store: bool) -> float:
    """See `peer.Peer`."""
    app = _app(url)
    database = ThreadStore() if store else None
    done = threading.Event()
    meter = Meter(count, done.set)

    @app.task(name="handle")
    def handle(text: str) -> None:
        if database is not None:
            database.add(text)
        meter.mark()

    handle.apply_async((TEXT,))
    fill(url, QUEUE, count)
    worker = Worker(app=app, pool="solo", concurrency=1, without_gossip=True, without_mingle=True, quiet=True)
    threading.Thread(target=worker.start, daemon=True).start()
    done.wait()
    return meter.rate


if __name__ == "__main__":
    main("Celery", publish, consume, urgent)
