"""Storage that fails: a full disk, a reader that never leaves."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from broker.embedded import EmbeddedBroker
from broker.store import store as store_module
from broker.store.migrate import StoreRefused
from broker.store.rows import QueueRow
from broker.store.store import FILE, Store, StoreUnavailable
from broker.store.unit import Unit
from tests.support.audits import verified
from tests.support.messages import with_queues
from tests.support.rows import call, item
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024
OTHERS = "somebody else's file"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB of its own, half of it taken by somebody else's file that can be deleted."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tidegate-test", place], check=True)
    try:
        (place / OTHERS).write_bytes(b"x" * 2 * MIB)
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill_up(disk: Path) -> None:
    """Let somebody else take all that is left."""
    with (disk / OTHERS).open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            return


def make_room(disk: Path) -> None:
    (disk / OTHERS).unlink()


def unit(name: str) -> Unit:
    return Unit(1, items=[QueueRow("", "q", name, "{}", b"x" * 20_000)], calls=[call(name, name)])


async def send_until_refused(store: Store, prefix: str) -> list[str]:
    """Commit, several at a time, until the disk is full; the names of what was confirmed."""
    confirmed: list[str] = []
    for round in range(100):
        names = [f"{prefix}{round}.{n}" for n in range(3)]
        told = await asyncio.gather(*(store.commit(unit(name)) for name in names), return_exceptions=True)
        confirmed += [name for name, answer in zip(names, told, strict=True) if not isinstance(answer, Exception)]
        refused = [answer for answer in told if isinstance(answer, Exception)]
        if refused:
            assert all(isinstance(answer, StoreUnavailable) and "full" in str(answer) for answer in refused)
            return confirmed
    raise AssertionError("the disk never became full")


async def commit_when_possible(store: Store, work: Unit) -> None:
    """What a sender does: the same unit again and again."""
    with anyio.fail_after(20):
        while True:
            try:
                await store.commit(work)
                return
            except StoreUnavailable:
                continue


def stored(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in connection.execute("SELECT intent_id FROM call ORDER BY seq")]


async def test_a_full_disk_refuses_loses_nothing_and_heals(small_disk: Path) -> None:
    async with running_store(small_disk) as store:
        confirmed = await send_until_refused(store, "a")
        fill_up(small_disk)
        with pytest.raises(StoreUnavailable, match="full"):
            await store.commit(unit("refused"))
        assert "full" in (store.writer.failure or "")
        assert {row.intent_id for row in await store.reads.calls_ready("erp", "standard", 999, 1)} == set(confirmed)
        make_room(small_disk)
        await commit_when_possible(store, Unit(1, calls=[call("small", "small")]))
        assert store.writer.failure is None
    assert stored(small_disk / FILE) == [*confirmed, "small"]
    assert verified(small_disk / FILE) == [("call.requested", name) for name in [*confirmed, "small"]]


async def test_a_writer_that_cannot_even_be_opened_waits_for_room(small_disk: Path) -> None:
    """With no other connection open, the log and its index are gone and must be made anew on the full disk."""
    async with running_store(small_disk) as store:
        await store.commit(unit("before"))
        await store._engines[1].dispose()
        fill_up(small_disk)
        for _ in range(4):
            with pytest.raises(StoreUnavailable):
                await store.commit(unit("refused"))
        make_room(small_disk)
        await commit_when_possible(store, unit("after"))
    assert stored(small_disk / FILE) == ["before", "after"]


async def test_a_start_on_a_full_disk_is_refused_with_what_to_look_at(small_disk: Path) -> None:
    async with running_store(small_disk) as store:
        await store.commit(unit("before"))
    fill_up(small_disk)
    with pytest.raises(StoreRefused, match="disk has room"):
        async with Store(small_disk):
            pass
    make_room(small_disk)
    async with running_store(small_disk) as store:
        await store.commit(unit("after"))
    assert stored(small_disk / FILE) == ["before", "after"]


async def test_the_failure_is_told_until_the_disk_can_be_written_again(small_disk: Path) -> None:
    """Whoever looks at `failure` needs no sender to bring it up to date."""
    async with running_store(small_disk) as store:
        await store.commit(unit("before"))
        fill_up(small_disk)
        with pytest.raises(StoreUnavailable):
            await store.commit(unit("refused"))
        with anyio.move_on_after(1.3):  # two probes long
            while True:
                assert store.writer.failure is not None
                await anyio.lowlevel.checkpoint()
        make_room(small_disk)
        with anyio.fail_after(10):
            while store.writer.failure is not None:
                await anyio.lowlevel.checkpoint()
        await store.commit(unit("after"))
    assert stored(small_disk / FILE) == ["before", "after"]


async def test_messages_published_around_a_full_disk_are_delivered_or_were_refused(small_disk: Path) -> None:
    async with running_store(small_disk) as store:
        broker = EmbeddedBroker(store)
        async with broker.connected():
            await with_queues(broker, "q")
            confirmed = await send_until_refused(store, "a")
            make_room(small_disk)
            delivered = await drain_when_possible(broker, len(confirmed))
            assert delivered == confirmed
            [row] = await broker.statistics()
            assert (row.ready, row.unsettled) == (0, 0)


async def drain_when_possible(broker: EmbeddedBroker, count: int) -> list[str]:
    """Take everything; deleting needs room, too."""
    async with broker.subscribe(["q"], prefetch=count) as subscription:
        taken = []
        while len(taken) < count:
            taken += await subscription.receive(count)
        with anyio.fail_after(20):
            while True:
                try:
                    await subscription.acknowledge(taken)
                    return [delivery.message_id for delivery in taken]
                except StoreUnavailable:
                    continue


async def test_a_reader_that_stays_does_not_hold_up_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "WAL_BYTES_MAX", MIB)
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, items=[item("first")]))
        reader = sqlite3.connect(store.path, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM queue_item").fetchone() == (1,)
        for n in range(10):
            await asyncio.gather(*(store.commit(unit(f"{n}.{k}")) for k in range(10)))
        grown = store.path.with_name(FILE + "-wal").stat().st_size
        assert grown > MIB
        folding = asyncio.ensure_future(store.checkpoint())
        for n in range(10):
            await store.commit(Unit(1, items=[item(f"meanwhile {n}")]))
        assert await folding >= grown
        assert reader.execute("SELECT count(*) FROM queue_item").fetchone() == (1,)
        reader.close()
        assert await store.checkpoint() >= grown
        assert store.path.with_name(FILE + "-wal").stat().st_size == 0
        await store.commit(Unit(1, items=[item("last")]))
        assert (await store.reads.queue_depths())["q"] == 112


async def test_a_reader_of_the_newest_snapshot_holds_up_commits_no_longer_than_a_busy_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything can be folded back, but the log cannot be cut while somebody reads from it."""
    monkeypatch.setattr(store_module, "WAL_BYTES_MAX", MIB)
    async with running_store(tmp_path) as store:
        for n in range(10):
            await asyncio.gather(*(store.commit(unit(f"{n}.{k}")) for k in range(10)))
        reader = sqlite3.connect(store.path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM queue_item").fetchone()
        folding = asyncio.ensure_future(store.checkpoint())
        while not folding.done():
            await store.commit(Unit(1, items=[item("meanwhile")]))
        await folding
        assert store.writer.failure is None
        reader.close()
        await store.checkpoint()
        assert store.path.with_name(FILE + "-wal").stat().st_size == 0


async def test_checkpoints_on_a_full_disk_do_no_harm(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "WAL_BYTES_MAX", 1)
    async with running_store(small_disk) as store:
        confirmed = await send_until_refused(store, "a")
        fill_up(small_disk)
        with pytest.raises(StoreUnavailable, match="full"):
            await store.checkpoint()
        make_room(small_disk)
        await commit_when_possible(store, Unit(1, calls=[call("small", "small")]))
    assert stored(small_disk / FILE) == [*confirmed, "small"]
