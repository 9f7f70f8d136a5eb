"""The one writer: gathers the units that arrived meanwhile and commits them together.

Throughput comes from here: a commit costs one flush of the disk however many units it carries. A unit is never
split, never reordered against another of the same sender, and its sender is answered after the commit only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broker.store import schema as s
from broker.store.engine import lease, to_its_end
from broker.store.fold import Conflict, Folder, IllegalStep
from broker.store.unit import Committed, Unit

GROUP_ROWS_MAX = 4_000
PENDING_ROWS_MAX = 40_000
OWNER = "owner"
"""Name under which the store keeps the number of the process that owns it."""
_WHOSE = "SELECT value FROM meta WHERE name = 'owner'"
_PROBE_SECONDS = 0.5
_PROBE_BYTES = 64 * 1024
"""Room for a small group; a page or two find room in what the failed transaction had taken already."""
_OF_THE_UNIT = (IllegalStep, IntegrityError, DataError, InterfaceError, OverflowError, UnicodeEncodeError)
"""What the database or its driver says of rows that it cannot hold; the next unit may be fine."""


class StoreUnavailable(Exception):
    """The store could not commit (disk full, I/O error, closed). Nothing of the unit may be assumed to be stored.

    Whether a failed commit reached the disk is unknown: repeat the unit with the same ids.
    """


class Fenced(Exception):
    """Another process has opened the store after us. Nothing of ours may be written any more: this process must end."""


class UnitRefused(Exception):
    """The store cannot hold this unit (a name that is taken, a number of more than 64 bits, a call that would leave its
    life as `policies/call_states.py` has it): a bug of ours.

    Nothing of the unit was written, and the same unit will be refused again.
    """


@dataclass(slots=True)
class _Submission:
    unit: Unit
    answer: asyncio.Future[Committed]


class Writer:
    """Owns the writing connection. `run` is an actor's body; `commit` may be called from any task."""

    def __init__(
        self,
        engine: AsyncEngine,
        folder: Folder,
        committed: Callable[[Sequence[Unit], Sequence[Committed]], None],
        owner: int,
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._folder = folder
        self._committed = committed
        self._pending: deque[_Submission] = deque()
        self._pending_rows = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._busy = False
        self._stopped = False
        self._done = asyncio.Event()
        self.failure: str | None = None
        self.groups = 0
        self.rows = 0

    async def commit(self, unit: Unit) -> Committed:
        """Write the unit durably.

        Waits for room when the writer is behind, and for the writer before it first runs. If the caller is
        cancelled while waiting, the unit may still be written: what is recorded twice must be recognised by its ids.

        Raises:
            StoreUnavailable: the disk refused; nothing may be assumed.
            Conflict: an expectation of the unit no longer holds; nothing of it was written.
            UnitRefused: the database cannot hold it; nothing of it was written.
        """
        while self._pending_rows > PENDING_ROWS_MAX:
            self._room.clear()
            await self._room.wait()
        if self._stopped:
            raise StoreUnavailable("the store cannot write: its writer was stopped")
        submission = _Submission(unit, asyncio.get_running_loop().create_future())
        self._pending.append(submission)
        self._pending_rows += unit.size()
        self._wake.set()
        return await submission.answer

    async def idle(self) -> None:
        """Return when nothing is pending and nothing is being written."""
        while self._pending or self._busy:
            await self._done.wait()

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Commit until cancelled. A cancellation waits for the group in hand; who is left is told `StoreUnavailable`.

        While the store cannot write, `failure` says why, senders are refused with it, and a probe looks twice a
        second whether it can again.

        Raises:
            Fenced: the store has another owner; it will not have us again.
        """
        self._stopped = False
        try:
            while True:
                try:
                    async with lease(self._engine) as connection:
                        await to_its_end(self._prove(connection))
                        while self.failure is None:
                            beat()
                            await self._write_next(connection)
                except (SQLAlchemyError, OSError) as error:
                    self.failure = _plain(error)
                # an error leaves the connection in doubt: it is not used again
                await to_its_end(self._engine.dispose())
                self._refuse_pending(f"{self.failure}")
                beat()
                await asyncio.sleep(_PROBE_SECONDS)
        finally:
            self._stopped = True
            self._refuse_pending("its writer was stopped")

    async def _write_next(self, connection: AsyncConnection) -> None:
        """One group; nothing, if nothing came for a second. Whatever happens to it, its senders hear of it."""
        group = await self._gather()
        self._busy = True
        try:
            await to_its_end(self._write(connection, group))
        except BaseException as error:
            self._refuse(group, _plain(error))
            raise
        finally:
            self._busy = False
            self._done.set()
            self._done = asyncio.Event()

    async def _prove(self, connection: AsyncConnection) -> None:
        """Read the last numbers, and after a failure write something: a full disk can still be read."""
        await self._folder.load(connection)
        await self._check_owner(connection)
        await connection.rollback()
        if self.failure is not None:
            async with connection.begin():
                await connection.execute(delete(s.meta).where(s.meta.c.name == "probe"))
                await connection.execute(insert(s.meta).values(name="probe", value="x" * _PROBE_BYTES))
            self.failure = None

    async def _gather(self) -> list[_Submission]:
        """What is pending, up to a group's size; nothing if nothing came for a second (somebody waits for a beat)."""
        if not self._pending:
            self._wake.clear()
            try:
                async with asyncio.timeout(1):
                    await self._wake.wait()
            except TimeoutError:
                pass
        group: list[_Submission] = []
        rows = 0
        while self._pending and rows < GROUP_ROWS_MAX:
            submission = self._pending.popleft()
            rows += submission.unit.size()
            group.append(submission)
        self._pending_rows -= rows
        self._room.set()
        self.rows += rows
        return group

    async def _write(self, connection: AsyncConnection, group: list[_Submission]) -> None:
        if not group:
            await self._check_owner(connection)
            await connection.rollback()
            return
        try:
            results = await self._transaction(connection, [submission.unit for submission in group])
        except (Conflict, *_OF_THE_UNIT) as error:
            await self._isolate(connection, group, error)
            return
        except (SQLAlchemyError, OSError) as error:
            self.failure = _plain(error)
            self._refuse(group, self.failure)
            return
        self.groups += 1
        self._committed([submission.unit for submission in group], results)
        for submission, result in zip(group, results, strict=True):
            if not submission.answer.done():
                submission.answer.set_result(result)

    async def _isolate(self, connection: AsyncConnection, group: list[_Submission], error: Exception) -> None:
        """One unit cannot be written: find out which, and let the others through."""
        if len(group) == 1:
            _answer(group[0], error if isinstance(error, Conflict) else UnitRefused(_plain(error)))
            return
        for submission in group:
            if self.failure is None:
                await self._write(connection, [submission])
            else:
                self._refuse([submission], self.failure)

    async def _transaction(self, connection: AsyncConnection, units: list[Unit]) -> list[Committed]:
        head, numbers = self._folder.head, self._folder.numbers()
        try:
            async with connection.begin():
                await self._check_owner(connection)
                return await self._folder.fold(connection, units)
        except BaseException:
            self._folder.head = head
            self._folder.restore(numbers)
            raise

    async def _check_owner(self, connection: AsyncConnection) -> None:
        """A lock can be lost (a network file system, a directory mounted twice); the number in the store cannot."""
        owner = int((await connection.exec_driver_sql(_WHOSE)).scalar() or 0)
        if owner != self._owner:
            raise Fenced(
                f"the store has had owner {owner} since we opened it as owner {self._owner}: another took over"
            )

    def _refuse_pending(self, reason: str) -> None:
        self._refuse(self._pending, reason)
        self._pending.clear()
        self._pending_rows = 0
        self._room.set()
        self._done.set()
        self._done = asyncio.Event()

    def _refuse(self, group: Iterable[_Submission], reason: str) -> None:
        for submission in group:
            _answer(submission, StoreUnavailable(f"the store cannot write: {reason}"))


def _answer(submission: _Submission, error: Exception) -> None:
    if not submission.answer.done():
        submission.answer.set_exception(error)


def _plain(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {cause}"
