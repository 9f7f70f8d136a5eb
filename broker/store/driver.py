"""aiosqlite with one trip to its thread for each statement, where it takes three or four.

A trip costs two changes of thread and more than most of our statements do. aiosqlite makes one to make a cursor, one
to execute, one to fetch and one to close; SQLAlchemy asks for all of them. Here a statement is executed, fetched and
done with in one, and a rollback with nothing to roll back makes none. What is fetched is fetched whole, which is what
SQLAlchemy does with it in any case.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import aiosqlite

_CHUNK = 64
"""Rows that aiosqlite's own cursors fetch at once; ours fetch all."""


class Cursor:
    """What SQLAlchemy's adapter needs of a cursor."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Self:
        """Execute and fetch. Cancelled, it is executed all the same."""
        await self._connection.run(self._execute, sql, parameters)
        return self

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Self:
        """Execute for each row. Cancelled, it is executed all the same."""
        await self._connection.run(self._executemany, sql, rows)
        return self

    async def fetchall(self) -> list[Any]:
        """What was fetched."""
        return self._rows

    async def close(self) -> None:
        """There is nothing to close: each statement is done with when its rows are fetched."""

    # in the thread of the connection -------------------------------------------------------------------------

    def _execute(self, connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> None:
        self._keep(connection.execute(sql, parameters))

    def _executemany(self, connection: sqlite3.Connection, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._keep(connection.executemany(sql, rows))

    def _keep(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else []
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        cursor.close()


class Connection(aiosqlite.Connection):
    """A connection whose cursors are `Cursor`."""

    def cursor(self) -> Cursor:  # type: ignore[override]
        """A cursor; the database hears of it with its first statement."""
        return Cursor(self)

    async def run(self, work: Any, *arguments: Any) -> None:
        """Do something with SQLite's connection in its thread.

        Raises:
            sqlite3.Error: what SQLite says.
            ValueError: the connection is closed.
        """
        await self._execute(work, self._conn, *arguments)  # type: ignore[no-untyped-call]

    async def rollback(self) -> None:
        """Roll back what is under way, if anything is."""
        if self._conn.in_transaction:
            await super().rollback()


def connect(path: Path) -> Connection:
    """A connection, to be awaited once. Its thread does not keep the process from ending."""
    # asked from the loop whether a transaction is under way, never used by two threads at once
    connection = Connection(lambda: sqlite3.connect(path, check_same_thread=False), _CHUNK)
    connection._thread.daemon = True
    return connection
