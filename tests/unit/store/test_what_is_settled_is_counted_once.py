"""How many calls there are in each state is known at a start without counting those that are settled."""

import sqlite3
from pathlib import Path

import pytest

from broker.store.backlog import Backlog
from broker.store.fold import Conflict
from broker.store.migrate import migrate
from broker.store.rows import ExceptionEnd
from broker.store.store import FILE, Store
from broker.store.unit import Unit
from tests.support.rows import call, step
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


async def _work(store: Store) -> None:
    """Five calls: one done, one refused by a person, one with a person and back, two untouched."""
    await store.commit(Unit(1, calls=[call(name, ref=f"erp|{name}") for name in "abcde"]))
    a, b, c, *_ = await store.reads.calls_ready("erp", "standard", 9, 1)
    await store.commit(Unit(2, call_changes=[step(one, "in_flight") for one in (a, b, c)]))
    a, b, c = [(await store.reads.calls_by_key(name))[0] for name in "abc"]
    await store.commit(Unit(3, call_changes=[step(a, "done"), step(b, "exception"), step(c, "exception")]))
    b, c = [(await store.reads.calls_by_key(name))[0] for name in "bc"]
    await store.commit(Unit(4, call_changes=[step(b, "refused"), step(c, "waiting")]))


def _counted_out(directory: Path) -> dict[tuple[str, str, str], int]:
    with sqlite3.connect(directory / FILE) as connection:
        rows = connection.execute("SELECT system, lane, status, count(*) FROM call GROUP BY 1, 2, 3").fetchall()
    return {(system, lane, status): count for system, lane, status, count in rows}


async def test_the_counts_of_a_start_are_what_counting_would_say(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await _work(store)
        moved = {key: count for key, count in store.counters.calls.items() if count}
    async with running_store(tmp_path) as store:
        assert store.counters.calls == _counted_out(tmp_path) == moved
        assert store.counters.calls["erp", "standard", "refused"] == 1


async def test_a_settlement_that_is_rolled_back_is_not_counted(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call("a")]))
        [waiting] = await store.reads.calls_ready("erp", "standard", 9, 1)
        nobody = ExceptionEnd(7, 2)
        with pytest.raises(Conflict):
            await store.commit(Unit(2, call_changes=[step(waiting, "refused")], exception_ends=[nobody]))
        assert await store.reads.call_counts() == {("erp", "standard", "waiting"): 1} == _counted_out(tmp_path)


async def test_an_older_store_is_counted_once_when_it_is_brought_up(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await _work(store)
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("DROP TABLE call_settled")
        connection.execute("DROP INDEX call_behind_key")
        connection.execute("ALTER TABLE call DROP COLUMN unanswered_at")
        connection.execute("ALTER TABLE exception DROP COLUMN tenant")
        connection.execute("UPDATE alembic_version SET version_num = '0012'")
    connection.close()
    migrate(tmp_path / FILE)
    async with Store(tmp_path) as store:
        assert store.counters.calls == _counted_out(tmp_path)


async def test_the_keys_with_the_most_open_calls_are_found_by_those_that_wait_behind_others(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        refs = {"hot": 4, "warm": 2, "cool": 1}
        wanted = [call(f"{ref}{n}", ref=f"erp|{ref}") for ref, count in refs.items() for n in range(count)]
        await store.commit(Unit(1, calls=[*wanted, call("x0", ref="crm|x", system="crm"), call("x1", ref="crm|x")]))
        assert await Backlog(store.reads, "erp").longest_keys(9) == [("erp|hot", 4), ("erp|warm", 2)]
        first = (await store.reads.calls_by_key("hot0"))[0]
        await store.commit(Unit(2, call_changes=[step(first, "in_flight")]))
        assert await Backlog(store.reads, "erp").longest_keys(1) == [("erp|hot", 4)]
