"""Opening a data directory: whole, or refused with what to do; never half, never empty on top of something."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from broker.store import migrate as migrate_module
from broker.store.migrate import StoreRefused, migrate
from broker.store.schema import metadata
from broker.store.store import FILE, Store
from broker.store.unit import Unit
from tests.support.rows import item
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]

HOLD = """
import asyncio, pathlib, sys
from broker.store.store import Store
async def main():
    async with Store(pathlib.Path(sys.argv[1])):
        print("open", flush=True)
        sys.stdin.read()
asyncio.run(main())
"""

MIGRATE_AND_DIE = """
import os, pathlib, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from broker.store.migrate import migrate
left = int(sys.argv[2])
def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(Engine, "before_cursor_execute", count)
event.listen(Engine, "commit", count)
migrate(pathlib.Path(sys.argv[1]))
print("finished")
"""


async def filled(directory: Path) -> Path:
    """A store with something in it, closed."""
    async with running_store(directory) as store:
        await store.commit(Unit(1, items=[item(f"m{n}") for n in range(500)]))
    return directory / FILE


def content(directory: Path) -> bytes:
    """Of the file itself; a look at it may leave an empty log beside it."""
    return (directory / FILE).read_bytes() if (directory / FILE).is_file() else b""


async def refusal(directory: Path) -> str:
    """Why the store does not open; nothing is left locked or changed."""
    before = content(directory)
    with pytest.raises(StoreRefused) as refused:
        async with Store(directory):
            pass
    assert content(directory) == before
    return str(refused.value)


def tables(file: Path) -> set[str]:
    with sqlite3.connect(file) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


async def test_a_second_process_is_refused_and_told_who_holds_the_store(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True) as holder:  # noqa: ASYNC220
        assert holder.stdout.readline() == "open\n"
        told = await refusal(tmp_path)
        assert f"process {holder.pid}" in told
        assert "--data" in told
        holder.kill()
    async with Store(tmp_path) as store:
        assert store.epoch


async def test_the_same_process_cannot_open_it_twice_but_can_again_after_closing(tmp_path: Path) -> None:
    async with Store(tmp_path) as store:
        assert f"process {os.getpid()}" in await refusal(tmp_path)
        epoch = store.epoch
    async with Store(tmp_path) as store:
        assert store.epoch == epoch


async def test_each_new_store_has_an_epoch_of_its_own(tmp_path: Path) -> None:
    async with Store(tmp_path / "one") as one, Store(tmp_path / "two") as two:
        assert one.epoch != two.epoch


async def test_an_empty_file_is_not_taken_for_a_new_store(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    told = await refusal(tmp_path)
    assert "empty" in told
    assert "backup" in told


async def test_something_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"dear diary " * 1000)
    assert "cannot be read as a database" in await refusal(tmp_path)


async def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE photos (id)")
    connection.close()
    assert "something else" in await refusal(tmp_path)


async def test_a_store_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    file = await filled(tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    told = await refusal(tmp_path)
    assert "newer release" in told
    assert "9999" in told


@pytest.mark.parametrize("page", [1, 5, 20, -1])
async def test_a_damaged_page_is_noticed_before_anything_is_written(tmp_path: Path, page: int) -> None:
    file = await filled(tmp_path)
    content = bytearray(file.read_bytes())
    at = (page if page > 0 else len(content) // 4096 - 1) * 4096
    content[at : at + 4096] = os.urandom(4096)
    file.write_bytes(content)
    told = await refusal(tmp_path)
    assert "damaged" in told or "cannot be read" in told
    assert "backup" in told


async def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    file = await filled(tmp_path)
    os.truncate(file, file.stat().st_size - 3 * 4096)
    assert "backup" in await refusal(tmp_path)


async def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert "cannot be read as a database" in await refusal(tmp_path)


async def test_the_log_is_read_back_after_a_crash_also_without_its_index(tmp_path: Path) -> None:
    async with running_store(tmp_path / "live") as store:
        await store.commit(Unit(1, items=[item("m")]))
        (tmp_path / "image").mkdir()
        for name in (FILE, FILE + "-wal"):
            shutil.copy(tmp_path / "live" / name, tmp_path / "image" / name)
    async with running_store(tmp_path / "image") as store:
        assert await store.reads.queue_depths() == {"q": 1}


def killed_after(directory: Path, statements: int) -> bool:
    """Migrate in a process that dies at this statement or commit; whether it did."""
    command = [sys.executable, "-c", MIGRATE_AND_DIE, str(directory / FILE), str(statements)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL or done.stdout == "finished\n", done.stderr
    return done.returncode == -signal.SIGKILL


async def test_a_migration_killed_anywhere_is_finished_by_the_next_start(tmp_path: Path) -> None:
    deaths = 0
    for statements in (1, 3, 12, 25, 33, 34, 35):
        place = tmp_path / str(statements)
        place.mkdir()
        deaths += killed_after(place, statements)
        async with Store(place) as store:
            assert await store.reads.queue_depths() == {}
        assert tables(place / FILE) >= set(metadata.tables)
        assert not list(place.glob("*.new*"))
    assert deaths >= 4


async def test_a_step_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await filled(tmp_path / "data")
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate_module._SCRIPTS, scripts)
    step = scripts / "versions" / "9999_next.py"
    last = migrate_module.HEAD
    header = f'from alembic import op\nimport sqlalchemy as sa\nrevision, down_revision = "9999", "{last}"\n'
    body = 'def upgrade():\n    op.create_table("added", sa.Column("id", sa.Integer))\n'
    monkeypatch.setattr(migrate_module, "_SCRIPTS", scripts)
    monkeypatch.setattr(migrate_module, "HEAD", "9999")
    step.write_text(header + body + '    raise RuntimeError("power cut")\n')
    with pytest.raises(RuntimeError, match="power cut"):
        migrate(file)
    assert "added" not in tables(file)
    step.write_text(header + body)
    migrate(file)
    assert "added" in tables(file)
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM queue_item").fetchone() == (500,)


async def test_the_migrations_build_the_schema_that_the_code_writes(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    migrate(tmp_path / FILE)
    engine = create_engine(f"sqlite:///{tmp_path / FILE}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
