"""Opening SQLite the way that survives power loss and many readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

READERS_MAX = 3
_BUSY_MS = 5_000

_WRITER = (
    # the time-out first: setting the journal mode can itself meet a lock
    f"PRAGMA busy_timeout = {_BUSY_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -32768",
    "PRAGMA temp_store = MEMORY",
)
_READER = (
    f"PRAGMA busy_timeout = {_BUSY_MS}",
    "PRAGMA query_only = ON",
    "PRAGMA cache_size = -8192",
)


def _open(path: Path, pragmas: tuple[str, ...], begin: str, **pool: Any) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", **pool)

    @event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, IMMEDIATE for the writer
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def open_writer(path: Path) -> AsyncEngine:
    """The one connection that writes. Nothing is read or created until it is used."""
    return _open(path, _WRITER, "BEGIN IMMEDIATE", pool_size=1, max_overflow=0)


def open_readers(path: Path) -> AsyncEngine:
    """A few connections that can only read; each sees a consistent snapshot for the length of one query."""
    return _open(path, _READER, "BEGIN", pool_size=READERS_MAX, max_overflow=0)
