"""The store: what the rest of the house sees of it."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from broker.crash_points import durable
from broker.store import remap
from broker.store import schema as s
from broker.store.counters import Counters
from broker.store.engine import BUSY_MS, lease, open_readers, open_writer, to_its_end
from broker.store.fold import Folder
from broker.store.mark import Mark, MarkFile
from broker.store.migrate import StoreInUse, StoreRefused, migrate
from broker.store.reads import Reads
from broker.store.restored import notice
from broker.store.statements import Statements
from broker.store.unit import Committed, Unit
from broker.store.writer import OWNER, StoreUnavailable, Writer
from policies.partitions import PartitionMap

FILE = "tidegate.db"
_LOCK = "tidegate.lock"
MARK = "tidegate.mark"
_RESERVED = 10**9
"""Queue item numbers for the life of one process."""
WAL_BYTES_MAX = 64 * 1024 * 1024
_CUT_MS = 100


class Store:
    """One SQLite file in a data directory that only one process writes.

    Use as an async context manager; then let an actor run `writer.run`, and `commit` from anywhere.
    """

    def __init__(self, directory: Path, mark: Path | None = None, at: int = 0, look: bool = False) -> None:
        """`mark`: where it is kept how far the store was (default: beside it); `at`: now, in microseconds since the
        epoch; `look`: take the store for older than what was posted, whatever the mark says.
        """
        self.directory = directory
        self._mark = MarkFile(mark or directory / MARK)
        self._at = at
        self._look = look
        self.path = directory / FILE
        self.counters = Counters()
        self._watchers: list[Callable[[Unit, Committed], None]] = []
        self._lock: int | None = None
        self._engines: list[AsyncEngine] = []
        self.writer: Writer
        self.reads: Reads
        self.epoch = ""
        """Which store this is; the same as long as it lives."""
        self.owner = 0
        """How many processes have opened it, this one included: the fencing number of this one's commits."""
        self.restored: str | None = None
        """Why it was found, when it was opened, to be older than it once was; None if it was not."""
        self._folder: Folder

    @durable("open", "store")
    async def __aenter__(self) -> Store:
        """Lock, migrate and open.

        Raises:
            StoreInUse: another process has it.
            StoreRefused: damaged, or not ours; the text says what to do.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _lock(self.directory / _LOCK)
        try:
            migrate(self.path)
            writing, reading = open_writer(self.path), open_readers(self.path)
            self._engines = [writing, reading]
            self.reads = Reads(reading)
            folder = self._folder = Folder(Statements(writing.dialect))
            self.owner = int(await self._meta(writing, OWNER, lambda known: str(int(known or 0) + 1)))
            self.writer = Writer(writing, folder, self._committed, self.owner)
            self.epoch = await self._meta(writing, "epoch", lambda known: known or os.urandom(8).hex())
            await self._notice(writing)
            folder.begin_at(s.queue_item, await self._reserve(writing))
            depths = await self.reads.queue_depths()
            queued = sum(count for queue, count in depths.items() if queue.startswith("tidegate."))
            self.counters.load(await self.reads.call_counts(), await self.reads.waiting_by_flow(), queued)
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
            await to_its_end(engine.dispose())
        self._mark.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _notice(self, engine: AsyncEngine) -> None:
        """Find out whether the store is older than it once was, and begin a mark of what it is now.

        Raises:
            StoreRefused: the store or its mark cannot be written.
        """
        try:
            mark = self._mark.open()
            self.restored = await notice(engine, self.epoch, mark, self._at, self._look)
            if self.restored is not None or mark is None:
                async with lease(engine) as connection:
                    await self._folder.load(connection)
                    await connection.rollback()
                self._write_mark(self._at)
                self._mark.flush()
        except DBAPIError as error:
            raise StoreRefused(
                f"{self.path} cannot be written ({error.orig}). Free space, then start again."
            ) from error
        except OSError as error:
            raise StoreRefused(
                f"{self._mark.path} cannot be written ({error.strerror}). It tells a store that was restored from one "
                "that was not; give it a place by data.mark_file."
            ) from error

    def _write_mark(self, at: int) -> None:
        self._mark.write(Mark(self.epoch, self._folder.audits, self._folder.head, at))

    async def flush_mark(self) -> None:
        """Make the mark survive power loss: about once a second is right.

        Cancelled, it is flushed all the same.
        """
        await to_its_end(asyncio.to_thread(self._mark.flush))

    @property
    def mark_failure(self) -> str | None:
        """Why it is not kept how far the store is; None while it is."""
        return self._mark.failure

    @durable("open", "store.prepare_order")
    async def prepare_order(self) -> None:
        """Make what finding earlier messages of a key needs to be quick. Call it before the writer runs.

        Raises:
            StoreRefused: the store cannot be written.
        """
        try:
            async with self._engines[0].begin() as connection:
                for statement in s.ORDER_INDEXES:
                    await connection.exec_driver_sql(statement)
        except DBAPIError as error:
            raise StoreRefused(
                f"{self.path} cannot be written ({error.orig}). Free space, then start again."
            ) from error

    @durable("open", "store.take_partitions")
    async def take_partitions(self, partitions: int) -> PartitionMap:
        """Adopt this number of partitions: where it is another one than before, what waits moves with its key.

        Call it before the writer runs. A kill in the middle leaves the old map and everything in its old place.

        Raises:
            StoreRefused: the store cannot be written.
        """
        try:
            async with self._engines[0].begin() as connection:
                query = select(s.meta.c.value).where(s.meta.c.name == remap.NAME)
                before = remap.known((await connection.execute(query)).scalar(), partitions)
                after = before.changed_to(partitions)
                if after is not before:
                    await remap.move(connection, after)
                await connection.execute(delete(s.meta).where(s.meta.c.name == remap.NAME))
                value = msgspec.json.encode(after).decode()
                await connection.execute(insert(s.meta).values(name=remap.NAME, value=value))
        except DBAPIError as error:
            raise StoreRefused(
                f"{self.path} cannot be written ({error.orig}). Free space, then start again."
            ) from error
        return after

    async def _reserve(self, engine: AsyncEngine) -> int:
        """A range of queue item numbers that no earlier process has given.

        A broker may still hold a copy of an item whose row was deleted long ago; its number must not be a stranger's.
        """
        after = await self._meta(engine, "queue_items_reserved", lambda known: str(int(known or 0) + _RESERVED))
        return int(after) - _RESERVED + 1

    async def _meta(self, engine: AsyncEngine, name: str, change: Callable[[str | None], str]) -> str:
        """Change a value of the store's own and give the new one.

        Raises:
            StoreRefused: the store cannot be written.
        """
        try:
            async with engine.begin() as connection:
                known = (await connection.execute(select(s.meta.c.value).where(s.meta.c.name == name))).scalar()
                value = change(known)
                if value != known:
                    await connection.execute(delete(s.meta).where(s.meta.c.name == name))
                    await connection.execute(insert(s.meta).values(name=name, value=value))
        except DBAPIError as error:
            raise StoreRefused(
                f"{self.path} cannot be written ({error.orig}). Free space on its disk, then start again."
            ) from error
        return value

    @durable("commit")
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
        self._write_mark(max(unit.at for unit in units))
        self.counters.move(units, results)
        for watcher in tuple(self._watchers):
            for unit, result in zip(units, results, strict=True):
                watcher(unit, result)

    async def checkpoint(self) -> int:
        """Fold the write-ahead log back when it has grown; returns its size in bytes before.

        A reader that stays makes it wait for another time: cutting the log off holds commits up, so it is tried
        only when all of the log is folded back, and for a moment only.

        Raises:
            StoreUnavailable: the database refused, on a full disk for example.
        """
        wal = self.path.with_name(FILE + "-wal")
        size = wal.stat().st_size if wal.exists() else 0
        if size > WAL_BYTES_MAX:
            try:
                await self._fold_back()
            except DBAPIError as error:
                raise StoreUnavailable(f"the write-ahead log cannot be folded back: {error.orig}") from error
        return size

    async def _fold_back(self) -> None:
        async with lease(self._engines[1]) as connection:
            answer = await connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
            _, frames, folded = tuple(answer.one())
            if frames == folded:
                await connection.exec_driver_sql(f"PRAGMA busy_timeout = {_CUT_MS}")
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                await connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MS}")


def _lock(path: Path) -> int:
    """Hold the directory for this process; the kernel lets go of it when the process ends, however it ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise StoreInUse(
            f"the data directory {path.parent} is in use by process {holder}. One store has one writer: stop that "
            "process (or talk to it with the command line), or give this one a directory of its own with --data."
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


__all__ = ["Store", "StoreInUse", "StoreRefused", "StoreUnavailable"]
