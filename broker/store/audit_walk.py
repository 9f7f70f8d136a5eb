"""Walking the audit's chain quickly: stretches of entries, each recomputed by itself, in several processes.

An entry's hash covers the hash stored before it, so a stretch can be recomputed without the ones before it: whatever
was changed shows at the first entry that does not follow from its stored predecessor. Only names of the standard
library are imported here, so that a process for a stretch starts quickly.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from broker.store.chain import GENESIS, Entry, link

ANNOUNCED = "audit.anchored"
_COLUMNS = "seq, at, actor, verb, subject, facts, cause, policy, inputs, hash"
_ROWS = f"SELECT {_COLUMNS} FROM audit WHERE seq BETWEEN ? AND ? ORDER BY seq"


class Bad(NamedTuple):
    """What does not hold at an entry, and how it should be. `seq` is the number of the first entry concerned."""

    seq: int
    problem: str
    expected: str
    found: str


class Announced(NamedTuple):
    """An entry that announces an anchor: its number, its hash, and its facts (JSON text)."""

    seq: int
    hash: str
    facts: str


class Walked(NamedTuple):
    """A stretch: how many entries, those that announce anchors, and the first that does not hold."""

    entries: int
    announced: list[Announced]
    bad: Bad | None


def open_read_only(path: Path) -> sqlite3.Connection:
    """The store for reading, beside a daemon or without one; also where nothing may be written at all.

    Raises:
        sqlite3.DatabaseError: it cannot be read.
    """
    place = f"{path.resolve().as_uri()}?mode=ro"
    log = path.with_name(path.name + "-wal")
    connection = sqlite3.connect(place, uri=True, check_same_thread=False)
    try:
        connection.execute("SELECT 1 FROM audit LIMIT 1").fetchall()
    except sqlite3.OperationalError:
        connection.close()
        if log.exists() and log.stat().st_size:
            raise
        connection = sqlite3.connect(f"{place}&immutable=1", uri=True, check_same_thread=False)
        connection.execute("SELECT 1 FROM audit LIMIT 1").fetchall()
    return connection


def walk(path: str, first: int, last: int) -> Walked:
    """Recompute the entries numbered `first` to `last`. What the database cannot read is looked for entry by entry."""
    connection = open_read_only(Path(path))
    try:
        return _quickly(connection, first, last) or _slowly(connection, first, last)
    except sqlite3.DatabaseError:
        return _slowly(connection, first, last)
    finally:
        connection.close()


def _quickly(connection: sqlite3.Connection, first: int, last: int) -> Walked | None:
    """None as soon as anything does not hold. One loop without calls of ours: it runs for every entry there is."""
    before = _hash_before(connection, first)
    announced: list[Announced] = []
    sha256, expected = hashlib.sha256, first
    for seq, at, actor, verb, subject, facts, cause, policy, inputs, given in connection.execute(_ROWS, (first, last)):
        more = "" if cause == policy == inputs == "" else f"\x1f{cause}\x1f{policy}\x1f{inputs}"
        text = f"{before}\n{seq}\x1f{at}\x1f{actor}\x1f{verb}\x1f{subject}\x1f{facts}{more}"
        if sha256(text.encode()).hexdigest() != given or seq != expected:
            return None
        if verb == ANNOUNCED:
            announced.append(Announced(seq, given, facts))
        before = given
        expected += 1
    return Walked(expected - first, announced, None) if expected > last else None


def _slowly(connection: sqlite3.Connection, first: int, last: int) -> Walked:
    """The same, one entry at a time, with the first that does not hold."""
    before: str | None = None
    announced: list[Announced] = []
    for seq in range(first, last + 1):
        try:
            before = _hash_before(connection, seq) if before is None else before
            row = connection.execute(f"SELECT {_COLUMNS} FROM audit WHERE seq = ?", (seq,)).fetchone()
            bad = _missing(connection, seq) if row is None else _check(before, row)
        except sqlite3.DatabaseError as error:
            bad = Bad(seq, "the entry cannot be read", "an entry of numbers and texts", str(error))
        if bad is not None:
            return Walked(seq - first, announced, bad)
        before = str(row[-1])
        if row[3] == ANNOUNCED:
            announced.append(Announced(seq, before, row[5]))
    return Walked(last - first + 1, announced, None)


def _hash_before(connection: sqlite3.Connection, seq: int) -> str:
    row = connection.execute("SELECT hash FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT 1", (seq,)).fetchone()
    return GENESIS if row is None else str(row[0])


def _missing(connection: sqlite3.Connection, seq: int) -> Bad:
    after = connection.execute("SELECT min(seq) FROM audit WHERE seq > ?", (seq,)).fetchone()[0]
    found = f"entry {after} in its place" if after is not None else "nothing"
    return Bad(seq, "the entry is missing", f"entry {seq}", found)


def _check(before: str, row: tuple[Any, ...]) -> Bad | None:
    """The entry recomputed from its fields, each of which must be of its kind."""
    seq, at, *texts, given = row
    for value, kind in ((at, int), *((text, str) for text in texts)):
        if not isinstance(value, kind):
            return Bad(seq, "a value has another kind than it was written with", kind.__name__, repr(value)[:80])
    wanted = link(before, seq, Entry(at, *texts))
    if wanted == given:
        return None
    return Bad(seq, "the entry does not follow from the one before it", f"hash {wanted}", f"hash {given!s:.80}")
