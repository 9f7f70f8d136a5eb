"""The store: what the rest of the house sees of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from broker.store import schema as s
from broker.store.counters import Counters
from broker.store.engine import open_readers, open_writer
from broker.store.fold import Folder
from broker.store.migrate import StoreRefused, migrate
from broker.store.reads import Reads
from broker.store.statements import Statements
from broker.store.unit import Committed, Unit
from broker.store.writer import StoreUnavailable, Writer

FILE = "tidegate.db"
_LOCK = "tidegate.lock"
WAL_BYTES_MAX = 64 * 1024 * 1024


class Store:
    """One SQLite file in a data directory that only one process writes.

    Use as an async context manager; then let an actor run `writer.run`, and `commit` from anywhere.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / FILE
        self.counters = Counters()
        self._watchers: list[Callable[[Unit, Committed], None]] = []
        self._lock: int | None = None
        self._engines: list[AsyncEngine] = []
        self.writer: Writer
        self.reads: Reads
        self.epoch = ""

    async def __aenter__(self) -> Store:
        """Lock, migrate and open.

        Raises:
            StoreRefused: in use by another process, damaged, or not ours; the text says what to do.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _lock(self.directory / _LOCK)
        try:
            migrate(self.path)
            writing, reading = open_writer(self.path), open_readers(self.path)
            self._engines = [writing, reading]
            self.reads = Reads(reading)
            self.writer = Writer(writing, Folder(Statements(writing.dialect)), self._committed)
            self.epoch = await self._stamp(writing)
            self.counters.load(await self.reads.call_counts())
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for engine in self._engines:
            await engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _stamp(self, engine: AsyncEngine) -> str:
        """The store's own name, made once; a backup carries it, so a restored store can be recognised."""
        found = await self.reads.rows(select(s.meta.c.value).where(s.meta.c.name == "epoch"))
        if found:
            return str(found[0][0])
        epoch = os.urandom(8).hex()
        async with engine.begin() as connection:
            await connection.execute(insert(s.meta).values(name="epoch", value=epoch))
        return epoch

    async def commit(self, unit: Unit) -> Committed:
        """Write a unit of work durably; see `Writer.commit`."""
        return await self.writer.commit(unit)

    def watch(self, watcher: Callable[[Unit, Committed], None]) -> None:
        """Be told, on the loop and right after the commit, of every unit that became true."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[Unit, Committed], None]) -> None:
        """No longer be told."""
        self._watchers.remove(watcher)

    def _committed(self, units: Sequence[Unit], results: Sequence[Committed]) -> None:
        self.counters.move(units, results)
        for watcher in tuple(self._watchers):
            for unit, result in zip(units, results, strict=True):
                watcher(unit, result)

    async def checkpoint(self) -> int:
        """Fold the write-ahead log back when it has grown; returns its size in bytes before.

        Raises:
            sqlalchemy.exc.DBAPIError: the database refused.
        """
        wal = self.path.with_name(FILE + "-wal")
        size = wal.stat().st_size if wal.exists() else 0
        if size > WAL_BYTES_MAX:
            async with self._engines[1].connect() as connection:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return size


def _lock(path: Path) -> int:
    """Hold the directory for this process; the kernel lets go of it when the process ends, however it ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise StoreRefused(
            f"the data directory {path.parent} is in use by process {holder}. One store has one writer: stop that "
            "process (or talk to it with the command line), or give this one a directory of its own with --data."
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


__all__ = ["Store", "StoreRefused", "StoreUnavailable"]
