"""Random changes of a real audit: its table in a copy of a store, and its anchor file.

Each change says from which entry on the audit is wrong, so that the verifier can be held to the first bad entry.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.daemon import BATCH, adjustment, case, site, until

Row = list[Any]
COLUMNS = ("seq", "at", "actor", "verb", "subject", "facts", "cause", "policy", "inputs", "hash")
SEQ, AT, FACTS, HASH = 0, 1, 5, 9
_TEXTS = range(2, 10)
_INSERT = f"INSERT INTO audit ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


class Audit(NamedTuple):
    """A chain and its anchor file, as they are read and written."""

    rows: list[Row]
    lines: list[bytes]


class Expect(NamedTuple):
    """Entries among which the first bad one is; None where only the anchor file is wrong."""

    low: int | None = None
    high: int | None = None


def real_store(directory: Path) -> tuple[Path, Path]:
    """Store and anchor file of a daemon that worked, was paused, was stopped and killed, and was stopped at last."""
    with site(directory, TIDEGATE_AUDIT__ANCHOR_SECONDS="1") as own:
        own.post([case(f"m{n}", outage_minutes=300 if n % 3 else 1) for n in range(20)], BATCH)
        until(lambda: len(own.erp.documents()) >= 13, "the credits are posted")
        own.operate("pause", {"target": "tenant:acme", "reason": "their migration", "who": "dana"})
        own.daemon.stop()
        own.daemon.start()
        own.operate("resume", {"target": "tenant:acme", "reason": "they are done", "who": "dana"})
        own.post([adjustment(f"m{n}", f"m{n}") for n in range(20)], BATCH)
        until(lambda: len(own.erp.documents()) >= 33, "the adjustments are posted")
        own.daemon.kill()
        own.daemon.start()
        own.daemon.stop()
    plain = directory / "plain.db"
    with sqlite3.connect(own.daemon.data / "tidegate.db") as connection:
        connection.execute("VACUUM INTO ?", (str(plain),))
    connection.close()
    return plain, own.daemon.data / "audit-anchors.jsonl"


def read(store: Path, anchors: Path) -> Audit:
    """The audit as it is; a value keeps its kind."""
    connection = sqlite3.connect(store)
    rows = [list(row) for row in connection.execute(f"SELECT {', '.join(COLUMNS)} FROM audit ORDER BY seq")]
    connection.close()
    return Audit(rows, anchors.read_bytes().splitlines(keepends=True) if anchors.exists() else [])


def write(audit: Audit, store: Path, anchors: Path) -> None:
    """Put it in the place of what the store and the file have."""
    connection = sqlite3.connect(store, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
    connection.execute("BEGIN")
    connection.execute("DELETE FROM audit")
    connection.executemany(_INSERT, audit.rows)
    connection.execute("COMMIT")
    connection.close()
    anchors.write_bytes(b"".join(audit.lines))


def linked(rows: list[Row], first: int) -> None:
    """Number the rows and give them the hashes that they would have had, from a place on: a rewrite by an expert."""
    before = rows[first - 1][HASH] if first else "0" * 64
    for place in range(first, len(rows)):
        row = rows[place]
        row[SEQ] = place + 1
        fields = row[:9] if any(row[6:9]) else row[:6]
        before = row[HASH] = hashlib.sha256(f"{before}\n{chr(31).join(map(str, fields))}".encode()).hexdigest()


# changes of the chain ----------------------------------------------------------------------------------------


def change_a_field(audit: Audit, dice: random.Random) -> Expect:
    """Any column of any entry gets any other value."""
    row = dice.choice(audit.rows)
    seq, column = row[SEQ], dice.choice([AT, *_TEXTS])
    if column == AT:
        row[AT] = dice.choice([row[AT] + dice.randint(-5, 5), dice.choice(audit.rows)[AT], 0, -row[AT]])
    else:
        row[column] = _other(str(row[column]), [str(one[column]) for one in audit.rows], dice)
    return Expect(seq, seq)


def _other(text: str, others: list[str], dice: random.Random) -> str:
    place = dice.randrange(len(text) + 1)
    char = chr(dice.choice([dice.randint(32, 126), 0x1F, 0, 0xE9, 0x20AC]))
    return dice.choice(
        [
            text[:place] + char + text[place:],
            text[:place] + text[place + 1 :],
            text[:place] + char + text[place + 1 :],
            dice.choice(others),
            "",
            text.swapcase(),
            text + " ",
        ]
    )


def change_a_kind(audit: Audit, dice: random.Random) -> Expect:
    """The same bytes, but no longer as text or as a number."""
    row = dice.choice(audit.rows)
    column = dice.choice([AT, *_TEXTS])
    row[column] = str(row[column]).encode()
    return Expect(row[SEQ], row[SEQ])


def move_a_boundary(audit: Audit, dice: random.Random) -> Expect:
    """Characters of one field become the next one's; all of them together stay the same."""
    row = dice.choice(audit.rows)
    left = dice.choice([2, 3, 4, 6, 7])
    together = f"{row[left]}{dice.choice(['', chr(31)])}{row[left + 1]}"
    place = dice.randrange(len(together) + 1)
    row[left], row[left + 1] = together[:place], together[place:]
    return Expect(row[SEQ], row[SEQ])


def change_a_number(audit: Audit, dice: random.Random) -> Expect:
    """An entry takes a number that nobody has."""
    row = dice.choice(audit.rows)
    seq, row[SEQ] = row[SEQ], dice.choice([0, -1, len(audit.rows) + 1, len(audit.rows) + dice.randint(2, 10**12)])
    return Expect(min(seq, row[SEQ]), min(seq, row[SEQ]))


def delete_some(audit: Audit, dice: random.Random) -> Expect:
    """Entries are gone; those behind them may close the gap, with old hashes."""
    first = dice.randrange(len(audit.rows) - 1)
    del audit.rows[first : min(first + dice.choice([1, 1, 1, 2, 5, 30]), len(audit.rows) - 1)]
    if dice.random() < 0.5:
        _renumber(audit.rows)
    return Expect(first + 1, first + 1)


def _renumber(rows: list[Row]) -> None:
    for place, row in enumerate(rows, start=1):
        row[SEQ] = place


def insert_one(audit: Audit, dice: random.Random) -> Expect:
    """An entry that nobody wrote, before the end; sometimes it even follows well from the one before it."""
    place = dice.randrange(len(audit.rows))
    new = list(dice.choice(audit.rows))
    new[AT] += 1
    audit.rows.insert(place, new)
    _renumber(audit.rows)
    if dice.random() < 0.5:
        rest = audit.rows[place + 1 :]
        del audit.rows[place + 1 :]
        linked(audit.rows, place)
        audit.rows.extend(rest)
        return Expect(place + 1, place + 2)
    return Expect(place + 1, place + 1)


def swap_two(audit: Audit, dice: random.Random) -> Expect:
    """Two entries change places, with or without their hashes and moments."""
    one, two = sorted(dice.sample(range(len(audit.rows)), 2))
    for column in range(1, dice.choice([HASH, HASH + 1])):
        audit.rows[one][column], audit.rows[two][column] = audit.rows[two][column], audit.rows[one][column]
    return Expect(one + 1, one + 1)


def repeat_one(audit: Audit, dice: random.Random) -> Expect:
    """An entry is there twice: right behind itself, or at the end."""
    place = dice.randrange(len(audit.rows))
    copy = list(audit.rows[place])
    if dice.random() < 0.5:
        audit.rows.insert(place + 1, copy)
        _renumber(audit.rows)
        return Expect(place + 2, place + 2)
    copy[SEQ] = len(audit.rows) + 1
    audit.rows.append(copy)
    return Expect(copy[SEQ], copy[SEQ])


def cut_the_tail(audit: Audit, dice: random.Random) -> Expect:
    """The last entries are gone, from one to nearly all."""
    left = len(audit.rows) - dice.choice([1, 1, 2, dice.randint(1, len(audit.rows) - 1)])
    del audit.rows[left:]
    return Expect(left + 1, left + 1)


def append_forged(audit: Audit, dice: random.Random) -> Expect:
    """Entries that follow well, after the last one."""
    first = len(audit.rows)
    audit.rows.extend(list(row) for row in dice.sample(audit.rows, dice.randint(1, 3)))
    linked(audit.rows, first)
    return Expect(first + 1, first + 1)


def rewrite_from_there(audit: Audit, dice: random.Random) -> Expect:
    """One entry is changed, left out or put in, and the whole rest is hashed anew."""
    place = dice.randrange(len(audit.rows) - 1)
    what = dice.choice(["change", "delete", "insert"])
    if what == "change":
        audit.rows[place][FACTS] = _other(audit.rows[place][FACTS], ["{}"], dice).replace("\x1f", "?")
    elif what == "delete":
        del audit.rows[place]
    else:
        audit.rows.insert(place, list(dice.choice(audit.rows)))
    linked(audit.rows, place)
    return Expect(place + 1, len(audit.rows) + 1)


def rewrite_and_cut(audit: Audit, dice: random.Random) -> Expect:
    """The same, and the end is gone as well."""
    low, _ = rewrite_from_there(audit, dice)
    del audit.rows[dice.randint(1, len(audit.rows) - 1) :]
    assert low is not None
    return Expect(min(low, len(audit.rows) + 1), None)


# changes of the anchor file ----------------------------------------------------------------------------------


def _join(audit: Audit, content: bytes) -> Expect:
    audit.lines[:] = content.splitlines(keepends=True)
    return Expect()


def anchors_byte(audit: Audit, dice: random.Random) -> Expect:
    """One byte is another one, is gone, or is new."""
    content = b"".join(audit.lines)
    place = dice.randrange(len(content))
    byte = bytes([dice.randrange(256)])
    middle = dice.choice([byte, b"", byte + content[place : place + 1]])
    return _join(audit, content[:place] + middle + content[place + 1 :])


def anchors_cut(audit: Audit, dice: random.Random) -> Expect:
    """The end of the file is gone: whole lines, or anywhere."""
    content = b"".join(audit.lines)
    if dice.random() < 0.5:
        del audit.lines[dice.randrange(len(audit.lines)) :]
        return Expect()
    return _join(audit, content[: dice.randrange(len(content))])


def anchors_line(audit: Audit, dice: random.Random) -> Expect:
    """A line is gone, is there twice, or two change places."""
    lines, place = audit.lines, dice.randrange(len(audit.lines))
    match dice.choice(["gone", "twice", "swapped"]):
        case "gone":
            del lines[place]
        case "twice":
            lines.insert(dice.randrange(len(lines) + 1), lines[place])
        case _:
            other = dice.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
    return Expect()


def anchors_rewritten(audit: Audit, dice: random.Random) -> Expect:
    """A value of a line is changed, or a line is put at the end, and the lines are chained anew."""
    anchors = [json.loads(line) for line in audit.lines]
    if dice.random() < 0.3:
        anchors.append({**anchors[-1], "anchor": anchors[-1]["anchor"] + 1, "seq": anchors[-1]["seq"] + 1})
    else:
        anchor = dice.choice(anchors)
        field = dice.choice(["at", "event", "seq", "hash"])
        was = anchor[field]
        anchor[field] = was + dice.choice([-1, 1]) if field == "seq" else _other(was, ["stop", "regular"], dice)
    previous = "0" * 64
    for place, anchor in enumerate(anchors):
        line = json.dumps({**anchor, "previous": previous}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        previous = hashlib.sha256(line).hexdigest()
        audit.lines[place : place + 1] = [line]
    return Expect()


KINDS: tuple[Callable[[Audit, random.Random], Expect], ...] = (
    *(change_a_field, change_a_kind, move_a_boundary, change_a_number, delete_some, insert_one, swap_two, repeat_one),
    *(cut_the_tail, append_forged, rewrite_from_there, rewrite_and_cut),
    *(anchors_byte, anchors_cut, anchors_line, anchors_rewritten),
)
