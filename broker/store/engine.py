"""Opening SQLite the way that survives power loss and many readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from broker.store.driver import connect

READERS_MAX = 3
BUSY_MS = 5_000
_INTERRUPT_SECONDS = 0.05
"""An interrupt that comes before the query has begun has no effect, so it is repeated."""

_WRITER = (
    # the time-out first: setting the journal mode can itself meet a lock
    f"PRAGMA busy_timeout = {BUSY_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -32768",
    "PRAGMA temp_store = MEMORY",
)
_READER = (
    f"PRAGMA busy_timeout = {BUSY_MS}",
    "PRAGMA query_only = ON",
    "PRAGMA cache_size = -8192",
)


def _open(path: Path, pragmas: tuple[str, ...], begin: str, **pool: Any) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", async_creator=lambda: connect(path), **pool)

    @event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, IMMEDIATE for the writer
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    if begin:

        @event.listens_for(engine.sync_engine, "begin")
        def _(connection: Any) -> None:
            connection.exec_driver_sql(begin)

    return engine


def open_writer(path: Path) -> AsyncEngine:
    """The one connection that writes. Nothing is read or created until it is used."""
    return _open(path, _WRITER, "BEGIN IMMEDIATE", pool_size=1, max_overflow=0)


def open_readers(path: Path) -> AsyncEngine:
    """A few connections that can only read; each sees a consistent snapshot for the length of one query."""
    return _open(path, _READER, "", pool_size=READERS_MAX, max_overflow=0)


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do it whole; a cancellation that comes meanwhile takes effect afterwards.

    SQLite runs a cancelled statement all the same, so half a transaction would stay open on its connection; and a
    connection whose opening or closing was cut off leaves a task and a thread that nobody ends.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


@asynccontextmanager
async def lease(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection of the engine's pool for the length of the block; taken and given back whole."""
    connection = engine.connect()
    try:
        await to_its_end(_start(connection))
        yield connection
    finally:
        if connection.sync_connection is not None:
            await to_its_end(connection.close())


async def _start(connection: AsyncConnection) -> None:
    await connection.start()


async def interrupt(work: asyncio.Future[Any], connection: AsyncConnection) -> None:
    """A cancelled query would go on in its thread, and hold its connection and snapshot: have SQLite end it."""
    driver = connection.sync_connection and connection.sync_connection.connection.driver_connection
    while not work.done():
        if isinstance(driver, aiosqlite.Connection):
            await driver.interrupt()
        await asyncio.wait({work}, timeout=_INTERRUPT_SECONDS)
    work.exception()  # it was interrupted; nobody asks
