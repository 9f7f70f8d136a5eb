"""What all peers share: the message, the store of their handlers, a full queue, and the one line that they print.

`python -m tests.load.rabbitmq_peers.NAME WHAT URL COUNT` measures one thing in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aio_pika
import aiosqlite
import uvloop

BODY = b"x" * 1024
TEXT = BODY.decode()
WINDOW = 256
"""Publishes in flight, and deliveries fetched ahead: the best of the sizes measured for aio-pika."""
QUORUM = {"x-queue-type": "quorum"}
LOW, HIGH = 1, 9
PRIORITY = {"x-max-priority": 10}
"""Their own way to put urgent work first: a priority queue, which is a classic one (3.x has no other)."""
URGENT_WINDOW = 32
"""Deliveries fetched ahead when urgency counts: what has been fetched is not overtaken any more."""
PROBES = 200
_APART_S = 0.005
_DDL = "CREATE TABLE message (id INTEGER PRIMARY KEY, body BLOB)"
_INSERT = "INSERT INTO message (body) VALUES (?)"
_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")


class Peer(Protocol):
    """A module of this package. Rates are messages a second."""

    def publish(self, url: str, count: int) -> float:
        """Publish `count` messages, each confirmed; connecting and declaring are not counted."""
        ...

    def consume(self, url: str, count: int, store: bool) -> float:
        """Handle `count` messages and acknowledge each; with `store`, after a commit to SQLite of its own."""
        ...

    def urgent(self, url: str, count: int) -> float:
        """From publish to handler of an urgent message behind `count` routine ones, p99 in milliseconds."""
        ...


Both = Callable[[str, int], float]
"""Publish and consume at once in one process: messages a second, from the first publish to the last handled."""


@dataclass(slots=True)
class Meter:
    """Counts handled messages: from the first to the last, so that a worker's start does not count."""

    count: int
    done: Callable[[], None]
    handled: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def mark(self) -> None:
        """One more was handled. Any thread may say so."""
        with self._lock:
            self.handled += 1
            if self.handled == 1:
                self.first_s = time.perf_counter()
            if self.handled == self.count:
                self.last_s = time.perf_counter()
                self.done()

    @property
    def rate(self) -> float:
        """Messages a second."""
        return (self.count - 1) / (self.last_s - self.first_s)


def _file() -> Path:
    return Path(tempfile.mkdtemp(prefix="tidegate-peer-")) / "peer.db"


class Probe:
    """Times urgent messages from publish to handler, in between all the others."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._times_s: list[float] = []
        self._running = threading.Event()

    @staticmethod
    def text() -> str:
        """An urgent message of 1 KB that carries the time of its making."""
        return f"{time.perf_counter()!r}|".ljust(len(TEXT), "y")

    def mark(self, text: str) -> None:
        """A message was handled; the routine ones are not timed."""
        if text.startswith("x"):
            return
        self._times_s.append(time.perf_counter() - float(text.partition("|")[0]))
        self._running.set()
        if len(self._times_s) > PROBES:
            self._done()

    @property
    def p99_ms(self) -> float:
        """The 99th percentile, in milliseconds, without the first, which only shows that the worker runs."""
        return sorted(self._times_s[1:])[int(PROBES * 0.99)] * 1e3

    async def send(self, publish: Callable[[str], Coroutine[Any, Any, Any]]) -> None:
        """Publish one, and once it was handled the others, one every 5 ms."""
        await publish(self.text())
        await asyncio.to_thread(self._running.wait)
        for _ in range(PROBES):
            await publish(self.text())
            await asyncio.sleep(_APART_S)

    def send_blocking(self, publish: Callable[[str], Any]) -> None:
        """The same from a thread."""
        publish(self.text())
        self._running.wait()
        for _ in range(PROBES):
            publish(self.text())
            time.sleep(_APART_S)


class AsyncStore:
    """A commit for each message, through aiosqlite. The lock keeps one message's commit from being another's too."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls) -> AsyncStore:
        """A new database."""
        connection = await aiosqlite.connect(_file())
        for statement in (*_PRAGMAS, _DDL):
            await connection.execute(statement)
        await connection.commit()
        return cls(connection)

    async def add(self, body: bytes | str) -> None:
        """Insert and commit."""
        async with self._lock:
            await self._connection.execute(_INSERT, (body,))
            await self._connection.commit()

    async def close(self) -> None:
        """End its thread."""
        await self._connection.close()


class ThreadStore:
    """The same for handlers that are no coroutines: sqlite3 itself, which is faster than aiosqlite."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(_file(), check_same_thread=False)
        self._lock = threading.Lock()
        for statement in (*_PRAGMAS, _DDL):
            self._connection.execute(statement)
        self._connection.commit()

    def add(self, body: bytes | str) -> None:
        """Insert and commit."""
        with self._lock:
            self._connection.execute(_INSERT, (body,))
            self._connection.commit()


async def in_flight(count: int, publish: Callable[[], Coroutine[Any, Any, Any]]) -> float:
    """Publish `count` messages with `WINDOW` of them in flight; the rate until the last was confirmed."""
    left = iter(range(count))

    async def publisher() -> None:
        for _ in left:
            await publish()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(WINDOW):
            group.create_task(publisher())
    return count / (time.perf_counter() - begin)


def from_threads(threads: int, count: int, publish: Callable[[], Any]) -> float:
    """Publish `count` messages from so many threads, each waiting for its confirms; the rate."""
    left = iter(range(count))
    lock = threading.Lock()
    barrier = threading.Barrier(threads + 1)

    def publisher() -> None:
        publish()  # connects
        barrier.wait()
        while True:
            with lock:
                if next(left, None) is None:
                    return
            publish()

    crew = [threading.Thread(target=publisher) for _ in range(threads)]
    for thread in crew:
        thread.start()
    barrier.wait()
    begin = time.perf_counter()
    for thread in crew:
        thread.join()
    return count / (time.perf_counter() - begin)


def fill(url: str, queue: str, count: int) -> None:
    """Multiply the one message that a peer has published: `count` of them, as it wrote it, but faster than it would."""

    async def multiply() -> None:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            sample = await (await channel.get_queue(queue)).get(timeout=10)
            message = aio_pika.Message(
                sample.body,
                headers=sample.headers,
                content_type=sample.content_type,
                content_encoding=sample.content_encoding,
                correlation_id=sample.correlation_id,
                reply_to=sample.reply_to,
                message_id=sample.message_id,
                type=sample.type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                priority=sample.priority,
            )
            await in_flight(count, lambda: channel.default_exchange.publish(message, queue))
            await sample.reject(requeue=False)

    uvloop.run(multiply())


def main(
    name: str,
    publish: Callable[[str, int], float],
    consume: Callable[[str, int, bool], float],
    urgent: Callable[[str, int], float],
    both: Both | None = None,
) -> None:
    """Measure what the command line says, print one JSON line, and end at once: some workers have no other end."""
    options = argparse.ArgumentParser(prog=name)
    options.add_argument("what", choices=["publish", "consume", "store", "urgent", *(["both"] if both else [])])
    options.add_argument("url")
    options.add_argument("count", type=int)
    given = options.parse_args()
    if given.what == "publish":
        rate = publish(given.url, given.count)
    elif given.what == "both" and both is not None:
        rate = both(given.url, given.count)
    elif given.what == "urgent":
        rate = urgent(given.url, given.count)
    else:
        rate = consume(given.url, given.count, given.what == "store")
    told = {"peer": name, "what": given.what, "count": given.count, "rate": round(rate, 1)}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    os._exit(0)
