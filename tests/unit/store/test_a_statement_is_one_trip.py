"""A statement costs one change to the database's thread and back, whatever it brings."""

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.store import driver
from broker.store.engine import lease, open_readers, open_writer

pytestmark = pytest.mark.anyio


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done in a connection's thread."""
    made: list[str] = []
    execute = driver.Connection._execute

    async def counted(self, work, *arguments, **named):
        made.append(work.__name__)
        return await execute(self, work, *arguments, **named)

    monkeypatch.setattr(driver.Connection, "_execute", counted)
    return made


async def _two_of_which_one_is_there(connection: AsyncConnection) -> None:
    async with connection.begin():
        await connection.exec_driver_sql("INSERT INTO t VALUES (9)")
        await connection.exec_driver_sql("INSERT INTO t VALUES (1)")


async def test_a_transaction_takes_as_many_trips_as_it_has_statements(tmp_path: Path, trips: list[str]) -> None:
    engine = open_writer(tmp_path / "t.db")
    async with lease(engine) as connection:
        async with connection.begin():
            await connection.exec_driver_sql("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        trips.clear()
        async with connection.begin():
            written = await connection.exec_driver_sql("INSERT INTO t VALUES (?)", [(1,), (2,), (3,)])
            found = await connection.exec_driver_sql("SELECT a FROM t WHERE a > ? ORDER BY a", (1,))
            assert (written.rowcount, found.scalars().all()) == (3, [2, 3])
        assert trips == ["_execute", "_executemany", "_execute", "commit"]
        with pytest.raises(IntegrityError):
            await _two_of_which_one_is_there(connection)
        assert trips[-1] == "rollback"
        async with connection.begin():
            assert (await connection.exec_driver_sql("SELECT count(*) FROM t")).scalar() == 3
    await engine.dispose()


async def test_a_reading_takes_one_trip_and_leaves_no_snapshot_behind(tmp_path: Path, trips: list[str]) -> None:
    writing, reading = open_writer(tmp_path / "t.db"), open_readers(tmp_path / "t.db")
    async with lease(writing) as writer, lease(reading) as reader:
        async with writer.begin():
            await writer.exec_driver_sql("CREATE TABLE t (a)")
        for rows in range(3):
            trips.clear()
            assert (await reader.exec_driver_sql("SELECT count(*) FROM t")).scalar() == rows
            assert trips == ["_execute"]
            async with writer.begin():
                await writer.exec_driver_sql("INSERT INTO t VALUES (0)")
        with pytest.raises(OperationalError, match="readonly"):
            await reader.exec_driver_sql("DELETE FROM t")
    for engine in (writing, reading):
        await engine.dispose()
