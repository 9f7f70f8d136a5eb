"""A store that is older than it once was is noticed when it is opened; one that is not, never."""

import shutil
import signal
import sqlite3
import sys
from pathlib import Path

import anyio
import pytest

from broker.store.ledger import LedgerReads
from broker.store.mark import SLOT_BYTES, Mark, MarkFile
from broker.store.rows import AuditRow
from broker.store.store import FILE, MARK, Store
from broker.store.unit import Unit
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]

WRITE_AND_DIE = """
import os, pathlib, signal, sys
sys.path.insert(0, sys.argv[2])
import anyio
from tests.unit.store.test_a_restored_store_is_noticed import entries
from tests.support.stores import running_store
async def main():
    async with running_store(pathlib.Path(sys.argv[1])) as store:
        await entries(store, 50)
        os.kill(os.getpid(), signal.SIGKILL)
anyio.run(main)
"""


async def entries(store: Store, count: int) -> None:
    """So many units with an audit entry each."""
    for number in range(count):
        await store.commit(Unit(1_000 + number, audits=[AuditRow(1_000 + number, "test", "did", f"it {number}", {})]))


async def grown(directory: Path, count: int) -> None:
    async with running_store(directory) as store:
        await entries(store, count)


async def reopened(directory: Path, **other: bool) -> str | None:
    async with Store(directory, at=9_000, **other) as store:  # type: ignore[arg-type]
        return store.restored


def keep(directory: Path, backup: Path) -> None:
    backup.mkdir(exist_ok=True)
    shutil.copy(directory / FILE, backup / FILE)


def back_up(directory: Path, backup: Path) -> None:
    """A copy of a store that is at work."""
    backup.mkdir()
    with sqlite3.connect(directory / FILE) as source, sqlite3.connect(backup / FILE) as target:
        source.backup(target)


def put_back(backup: Path, directory: Path) -> None:
    for path in directory.glob(FILE + "*"):
        path.unlink()
    shutil.copy(backup / FILE, directory / FILE)


async def test_a_store_that_was_stopped_or_killed_is_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "data"
    await grown(place, 3)
    assert await reopened(place) is None
    command = [sys.executable, "-c", WRITE_AND_DIE, str(place), str(ROOT)]
    assert (await anyio.run_process(command, check=False, cwd=ROOT)).returncode == -signal.SIGKILL
    assert await reopened(place) is None
    assert await reopened(place) is None


async def test_a_backup_is_noticed_once_and_stays_pending_until_each_system_was_looked_at(tmp_path: Path) -> None:
    place = tmp_path / "data"
    await grown(place, 3)
    keep(place, tmp_path / "backup")
    await grown(place, 4)
    put_back(tmp_path / "backup", place)
    assert "4 audit entries are missing" in (await reopened(place) or "")
    assert await reopened(place) is None
    async with Store(place) as store:
        pending = await LedgerReads(store.reads, "erp").pending()
    assert pending is not None
    assert (pending.restored.missing, pending.restored.knows_until, pending.restored.lived_until) == (4, 1_002, 1_003)


async def test_a_backup_of_the_same_life_is_noticed_even_if_one_entry_is_missing(tmp_path: Path) -> None:
    place = tmp_path / "data"
    async with running_store(place) as store:
        await entries(store, 5)
        back_up(place, tmp_path / "backup")
        await entries(store, 1)
    put_back(tmp_path / "backup", place)
    assert "1 audit entries are missing" in (await reopened(place) or "")


async def test_a_store_that_is_gone_is_noticed_and_so_is_one_of_somebody_else(tmp_path: Path) -> None:
    place = tmp_path / "data"
    await grown(place, 3)
    for path in place.glob(FILE + "*"):
        path.unlink()
    assert "another one than the one that was here" in (await reopened(place) or "")
    await grown(tmp_path / "other", 9)
    put_back(tmp_path / "other", place)
    assert "another one than the one that was here" in (await reopened(place) or "")


async def test_a_backup_that_was_worked_on_elsewhere_went_another_way(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    await grown(place, 3)
    elsewhere.mkdir()
    keep(place, elsewhere)
    async with running_store(elsewhere) as store:
        await store.commit(Unit(5, audits=[AuditRow(5, "test", "did", "something else", {}) for _ in range(9)]))
    await grown(place, 2)
    put_back(elsewhere, place)
    assert "went another way" in (await reopened(place) or "")


async def test_a_new_store_is_not_a_restored_one_unless_somebody_says_so(tmp_path: Path) -> None:
    assert await reopened(tmp_path / "new") is None
    assert "the settings say" in (await reopened(tmp_path / "asked", look=True) or "")


async def test_the_mark_may_be_kept_elsewhere_so_that_a_whole_directory_that_is_put_back_is_noticed(
    tmp_path: Path,
) -> None:
    place, mark = tmp_path / "data", tmp_path / "safe" / MARK
    async with Store(place, mark):
        pass
    shutil.copytree(place, tmp_path / "backup")
    async with Store(place, mark) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.writer.run)
        await entries(store, 2)
        tasks.cancel_scope.cancel()
    shutil.rmtree(place)
    shutil.copytree(tmp_path / "backup", place)
    async with Store(place, mark) as store:
        assert "2 audit entries are missing" in (store.restored or "")


def test_a_torn_mark_leaves_the_one_before_it(tmp_path: Path) -> None:
    file = MarkFile(tmp_path / MARK)
    assert file.open() is None
    for number in range(1, 4):
        file.write(Mark("e", number, "h" * 64, number))
    file.close()
    with open(tmp_path / MARK, "r+b") as raw:
        raw.seek(3 % 2 * SLOT_BYTES + 20)
        raw.write(b"torn")
    again = MarkFile(tmp_path / MARK)
    assert again.open() == Mark("e", 2, "h" * 64, 2)
    again.write(Mark("e", 9, "h" * 64, 9))
    again.close()
    assert MarkFile(tmp_path / MARK).open() == Mark("e", 9, "h" * 64, 9)
