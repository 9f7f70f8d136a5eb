"""What the chain has come to is told to a file outside the database, also by and after processes that die."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import msgspec
import pytest

from broker.store.anchoring import Anchoring
from broker.store.anchors import Anchor, AnchorFile, AnchorsDamaged
from broker.store.audit_verify import verify
from broker.store.rows import AuditRow
from broker.store.store import Store
from broker.store.unit import Unit
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


async def happens(store: Store, *subjects: str) -> None:
    await store.commit(Unit(1, audits=[AuditRow(1, "test", "happened", subject, {}) for subject in subjects]))


def lines(path: Path) -> list[Anchor]:
    return [msgspec.json.decode(line, type=Anchor) for line in path.read_bytes().splitlines()]


async def life(directory: Path, file: Path, *events: str) -> None:
    """A daemon's: it opens the store, something happens, and anchors are written at these events."""
    async with running_store(directory) as store:
        anchoring = Anchoring(store, AnchorFile(file))
        for number, event in enumerate(events):
            await anchoring.mark(event, number)
            if event != "stop":
                await happens(store, event)


async def test_an_anchor_is_announced_by_the_chain_and_names_its_head(tmp_path: Path) -> None:
    file = tmp_path / "anchors.jsonl"
    await life(tmp_path / "data", file, "start", "regular", "stop")
    assert [(a.anchor, a.seq, a.event) for a in lines(file)] == [(1, 1, "start"), (2, 3, "regular"), (3, 5, "stop")]
    verdict = verify(tmp_path / "data" / "tidegate.db", file)
    assert (verdict.findings, verdict.anchors, verdict.head_seq) == ([], 3, 5)


async def test_nothing_is_written_while_nothing_happens(tmp_path: Path) -> None:
    file = tmp_path / "anchors.jsonl"
    async with running_store(tmp_path / "data") as store:
        anchoring = Anchoring(store, AnchorFile(file))
        await anchoring.mark("start", 1)
        assert [await anchoring.mark("regular", n) for n in range(3)] == [None, None, None]
        await happens(store, "something")
        assert await anchoring.mark("regular", 5) is not None
    assert len(lines(file)) == 2


async def test_what_a_dead_process_announced_and_did_not_write_is_written_late_and_said(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "anchors.jsonl"
    await life(data, file, "start", "stop")
    whole = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(whole[0] + whole[1][:40])  # killed in the middle of writing the second line
    assert not verify(data / "tidegate.db", file).clean
    await life(data, file, "start", "stop")
    verdict = verify(data / "tidegate.db", file)
    assert verdict.findings == []
    assert "anchor 2 was announced and not written" in verdict.remarks[0]
    assert [anchor.anchor for anchor in lines(file)] == [1, 2, 3, 4]


async def test_a_file_that_cannot_be_written_is_owed_and_paid_when_it_can(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "away" / "anchors.jsonl"
    async with running_store(data) as store:
        anchoring = Anchoring(store, AnchorFile(file))
        for _ in range(3):
            with pytest.raises(OSError, match=r"anchors\.jsonl"):
                await anchoring.mark("start", 1)
        file.parent.mkdir()
        await happens(store, "something")
        await anchoring.mark("regular", 2)
    assert [anchor.anchor for anchor in lines(file)] == [1, 2]
    assert verify(data / "tidegate.db", file).findings == []


async def test_a_new_file_is_begun_anew_and_the_old_one_is_remarked(tmp_path: Path) -> None:
    data, old, new = tmp_path / "data", tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    await life(data, old, "start", "stop")
    await life(data, new, "start", "stop")
    verdict = verify(data / "tidegate.db", new)
    assert verdict.findings == []
    assert "begins with anchor 3" in verdict.remarks[-1]
    assert "anchor 3" in verify(data / "tidegate.db", old).findings[0].problem


async def test_an_older_copy_of_the_store_does_not_fit_the_anchors_that_came_after_it(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "anchors.jsonl"
    await life(data, file, "start", "stop")
    backup = (data / "tidegate.db").read_bytes()
    await life(data, file, "start", "regular", "stop")
    for leftover in data.glob("tidegate.db*"):
        leftover.unlink()
    (data / "tidegate.db").write_bytes(backup)
    restored = verify(data / "tidegate.db", file)
    assert restored.findings[0].problem == "the end of the chain was cut off"
    await life(data, file, "start", "regular", "regular", "regular", "stop")
    assert "rewritten" in verify(data / "tidegate.db", file).findings[0].problem


async def test_an_entry_between_a_stop_and_the_next_start_was_written_by_no_daemon(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "anchors.jsonl"
    await life(data, file, "start", "stop")
    async with running_store(data) as store:
        await happens(store, "forged")
    await life(data, file, "start", "stop")
    finding = verify(data / "tidegate.db", file).findings[0]
    assert (finding.seq, "no daemon ran" in finding.problem) == (4, True)


async def test_a_missing_file_is_found_and_so_are_strange_lines(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "anchors.jsonl"
    await life(data, file, "start", "stop")
    assert "not there" in verify(data / "tidegate.db", tmp_path / "none.jsonl").findings[0].problem
    file.write_bytes(file.read_bytes() + b"{}\n")
    with pytest.raises(AnchorsDamaged, match="line 3 is not an anchor"):
        AnchorFile(file).read()
    assert verify(data / "tidegate.db", file).findings[0].seq is None


@pytest.mark.parametrize("seq", [1, -9])
async def test_a_last_anchor_that_tells_of_an_earlier_entry_is_itself_what_was_changed(
    tmp_path: Path, seq: int
) -> None:
    data, file = tmp_path / "data", tmp_path / "anchors.jsonl"
    await life(data, file, "start", "stop")
    assert verify(data / "tidegate.db", file).clean
    *lines, last = file.read_bytes().splitlines(keepends=True)
    forged = msgspec.structs.replace(msgspec.json.decode(last, type=Anchor), seq=seq)
    file.write_bytes(b"".join([*lines, forged.line()]))
    first = verify(data / "tidegate.db", file).findings[0]
    assert first.seq is None
    assert "its line was changed" in first.problem


async def test_an_entry_keeps_no_character_that_would_let_two_entries_have_the_same_bytes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running_store(data) as store:
        await store.commit(Unit(1, audits=[AuditRow(1, "a\x1fb", "c", "d\0", {"e": "\x1f"}, "f\x1f", "g", "h")]))
        (entry,) = await store.reads.audit(0, 10)
    assert (entry.actor, entry.subject, entry.facts, entry.cause) == ("a b", "d ", '{"e":"\\u001f"}', "f ")
    assert verify(data / "tidegate.db").clean


async def test_a_store_in_a_folder_that_cannot_be_written_is_verified(tmp_path: Path) -> None:
    data = tmp_path / "data"
    await life(data, tmp_path / "anchors.jsonl", "start", "stop")
    (data / "tidegate.lock").unlink()
    os.chmod(data, 0o500)
    try:
        assert verify(data / "tidegate.db", tmp_path / "anchors.jsonl").clean
    finally:
        os.chmod(data, 0o700)


async def test_several_processes_find_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.store.audit_verify.ALONE_MAX", 50)
    monkeypatch.setattr("broker.store.audit_verify.STRETCH", 40)
    data, file = tmp_path / "data", tmp_path / "anchors.jsonl"
    async with running_store(data) as store:
        await Anchoring(store, AnchorFile(file)).mark("start", 1)
        await happens(store, *map(str, range(400)))
        await Anchoring(store, AnchorFile(file)).mark("stop", 1)
    steps: list[tuple[int, int]] = []
    told = verify(data / "tidegate.db", file, processes=2, progress=lambda done, of: steps.append((done, of)))
    assert told == verify(data / "tidegate.db", file)
    assert (told.clean, told.entries, steps[-1]) == (True, 402, (402, 402))
    with sqlite3.connect(data / "tidegate.db") as connection:
        connection.execute("UPDATE audit SET subject = 'other' WHERE seq IN (200, 321)")
    assert verify(data / "tidegate.db", file, processes=2) == verify(data / "tidegate.db", file)
    assert verify(data / "tidegate.db", file, processes=2).findings[0].seq == 200
