"""Is the audit what was written? Every entry recomputed, and the whole held against anchors from outside.

The chain finds any change of any field, and deletion, insertion and exchange of entries. The anchors find what the
chain cannot: a tail that was cut off, entries that nobody's daemon wrote, and a chain that was rewritten as a whole.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import AsyncResult
from pathlib import Path

import msgspec

from broker.store.anchors import OPENS, Anchor, AnchorFile, AnchorsDamaged, Announcement, digest
from broker.store.audit_walk import Announced, Bad, Walked, open_read_only, walk
from broker.store.chain import GENESIS

STRETCH = 25_000
ALONE_MAX = 60_000
"""So many entries are walked faster in this process than other processes start."""
Progress = Callable[[int, int], None]
Stretch = tuple[str, int, int]
"""Of which store, from which entry to which."""
Known = tuple[int, str]
"""The number of an entry and its hash, as a person kept them."""


class Finding(msgspec.Struct, frozen=True):
    """What does not hold. `seq`: the first entry concerned, None where the anchor file itself is."""

    seq: int | None
    problem: str
    expected: str
    found: str


class Verdict(msgspec.Struct, frozen=True):
    """`findings`: the first bad entry in front. Clean when there are none. Remarks are not against it."""

    entries: int
    head_seq: int
    head_hash: str
    anchors: int
    findings: list[Finding]
    remarks: list[str]

    @property
    def clean(self) -> bool:
        """Whether everything holds."""
        return not self.findings


class AuditUnreadable(Exception):
    """The store or the anchor file cannot be read at all, so nothing can be said; the text says why."""


def head(path: Path) -> Known:
    """Number and hash of the last entry; (0, GENESIS) of an empty audit.

    Raises:
        AuditUnreadable: the store cannot be read.
    """
    try:
        return _head(path)
    except (sqlite3.DatabaseError, OSError) as error:
        raise AuditUnreadable(f"{path} cannot be read: {error}") from error


def _head(path: Path) -> Known:
    connection = open_read_only(path)
    try:
        row = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    finally:
        connection.close()
    return (row[0], row[1]) if row else (0, GENESIS)


def verify(
    path: Path,
    anchors: Path | None = None,
    kept: Sequence[Known] = (),
    processes: int = 1,
    progress: Progress = lambda done, of: None,
) -> Verdict:
    """Recompute the audit of a store, also beside a running daemon; nothing is written.

    `anchors`: the daemon's anchor file; `kept`: entries that people kept elsewhere. `progress` is told how many
    entries of how many are done.

    Raises:
        AuditUnreadable: the store or the anchor file cannot be read at all.
    """
    try:
        return _verify(path, anchors, kept, processes, progress)
    except (sqlite3.DatabaseError, OSError) as error:
        raise AuditUnreadable(f"{path} cannot be verified: {error}") from error


def _verify(path: Path, anchors: Path | None, kept: Sequence[Known], processes: int, progress: Progress) -> Verdict:
    early = _Anchors(anchors)  # read before the chain: what it tells of must be there
    last, hash = _head(path)
    walked = _first_numbers(path) or _walk_all(path, last, processes, progress)
    connection = open_read_only(path)
    try:
        check = _Check(connection, last, walked)
        findings = [] if walked.bad is None else [Finding(*walked.bad)]
        findings += check.kept(kept)
        checked = 0
        remarks: list[str] = []
        if anchors is not None:
            told, remarks = check.anchors(early)
            findings += told
            checked = len(early.anchors)
    finally:
        connection.close()
    findings.sort(key=lambda finding: (finding.seq is None, finding.seq or 0))
    return Verdict(walked.entries, last, hash, checked, findings, remarks)


# the chain ---------------------------------------------------------------------------------------------------


def _first_numbers(path: Path) -> Walked | None:
    """Entries before the first number: none was ever written."""
    connection = open_read_only(path)
    try:
        first = connection.execute("SELECT min(seq) FROM audit").fetchone()[0]
    finally:
        connection.close()
    if first is None or first >= 1:
        return None
    return Walked(0, [], Bad(first, "no entry has a number below 1", "entry 1", f"entry {first}"))


def _walk_all(path: Path, last: int, processes: int, progress: Progress) -> Walked:
    # one by one and not as a list: a forged number may be as high as it likes
    stretches = ((str(path), first, min(first + STRETCH - 1, last)) for first in range(1, last + 1, STRETCH))
    entries, announced = 0, []
    with _walkers(processes if last > ALONE_MAX else 1) as each:
        for part in each(stretches):
            entries += part.entries
            announced += part.announced
            if part.bad is not None:
                return Walked(entries, announced, part.bad)
            progress(entries, last)
    return Walked(entries, announced, None)


@contextmanager
def _walkers(processes: int) -> Iterator[Callable[[Iterable[Stretch]], Iterable[Walked]]]:
    """A way to walk stretches, results in their order."""
    if processes < 2:
        yield lambda stretches: (walk(*stretch) for stretch in stretches)
        return
    # a fork is there at once, and safe only where no other thread can hold a lock
    context = multiprocessing.get_context("fork" if threading.active_count() == 1 else "spawn")
    with context.Pool(processes) as pool:

        def each(stretches: Iterable[Stretch]) -> Iterator[Walked]:
            waiting: deque[AsyncResult[Walked]] = deque()
            for stretch in stretches:
                waiting.append(pool.apply_async(walk, stretch))
                if len(waiting) > 2 * processes:
                    yield waiting.popleft().get()
            while waiting:
                yield waiting.popleft().get()

        yield each


# the anchors -------------------------------------------------------------------------------------------------


class _Anchors:
    """The anchor file as it is at one moment."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.anchors: list[Anchor] = []
        self.damage: Finding | None = None
        self.there = path is not None and path.exists()
        if path is None:
            return
        file = AnchorFile(path)
        try:
            self.anchors = file.read()
            if file.torn():
                self.damage = Finding(None, "the anchor file's last line has no end", "a whole line", "a part of one")
        except AnchorsDamaged as damage:
            self.damage = Finding(None, "the anchor file was changed", f"line {damage.number} as written", f"{damage}")


class _Check:
    """Holds what was walked against anchors. Beyond the first bad entry nothing can be said any more."""

    def __init__(self, connection: sqlite3.Connection, last: int, walked: Walked) -> None:
        self._connection = connection
        self._last = last
        self._sound_to = last if walked.bad is None else walked.bad.seq - 1
        self._walked = walked
        self._told: dict[int, tuple[Announced, Announcement]] = {}
        self._strange: list[Finding] = []
        self._good: list[Anchor] = []
        for entry in walked.announced:
            try:
                told = msgspec.json.decode(entry.facts, type=Announcement)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._strange.append(Finding(entry.seq, "no daemon announces so", "an announcement", str(error)))
                continue
            if self._told.setdefault(told.anchor, (entry, told))[0] is not entry:
                self._strange.append(Finding(entry.seq, f"anchor {told.anchor} is announced twice", "once", "again"))

    def _hash(self, seq: int) -> str | None:
        row = self._connection.execute("SELECT hash FROM audit WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else str(row[0])

    def kept(self, known: Sequence[Known]) -> Iterator[Finding]:
        """What people kept: the first that is not so, and any that is missing."""
        good = 0
        for seq, hash in sorted(known):
            if self._last < seq:
                if self._walked.bad is None:
                    yield self._cut(f"the kept anchor {seq}:{hash[:16]}... tells of {seq}", self._last + 1)
                return
            if seq <= self._sound_to and self._hash(seq) != hash:
                yield self._rewritten(good, seq, hash, "the kept anchor")
                return
            good = seq

    def _cut(self, who: str, seq: int) -> Finding:
        return Finding(seq, "the end of the chain was cut off", f"{who} entries", f"{self._last} entries")

    def _rewritten(self, good: int, seq: int, hash: str, who: str) -> Finding:
        problem = f"the chain was rewritten somewhere in entries {good + 1} to {seq}: {who} of entry {seq} differs"
        return Finding(seq, problem, f"hash {hash}", f"hash {self._hash(seq)}")

    def anchors(self, file: _Anchors) -> tuple[list[Finding], list[str]]:
        """The anchor file against the chain, both ways; findings and remarks."""
        findings = self._strange + ([] if file.damage is None else [file.damage])
        if not file.there:
            return [*findings, *self._no_file(file)], []
        if file.damage is None or file.anchors:
            findings += self._lines(file.anchors)
        if file.damage is None:
            findings += self._missing(file)
        findings += self._between()
        return findings, self._remarks(file.anchors)

    def _no_file(self, file: _Anchors) -> Iterator[Finding]:
        if self._told:
            expected = f"the {len(self._told)} anchors that the chain announces"
            yield Finding(None, f"the anchor file {file.path} is not there", expected, "no file")

    def _lines(self, anchors: Sequence[Anchor]) -> Iterator[Finding]:
        """Each line was announced as it stands, and the chain still has the entry that it tells of."""
        for anchor, following in zip(anchors, [*anchors, None][1:], strict=True):
            who = f"anchor {anchor.anchor} of {anchor.at}"
            if following is not None and self._hash(following.seq) == following.hash and (bad := self._named(anchor)):
                yield bad
                return
            if anchor.seq > self._last and self._walked.bad is None:
                yield self._cut(f"{who} tells of {anchor.seq}", self._last + 1)
                return
            if anchor.seq > self._sound_to:
                return
            if self._hash(anchor.seq) != anchor.hash:
                good = self._good[-1].seq if self._good else 0
                yield (
                    self._rewritten(good, anchor.seq, anchor.hash, who) if anchor.seq > good else _no_such(who, anchor)
                )
                return
            entry, told = self._told.get(anchor.anchor, (None, None))
            if entry is None or told is None:
                yield Finding(None, f"{who} was never announced", "an entry that announces it", "none")
                return
            as_told = (told.at, told.event, told.previous)
            if (anchor.at, anchor.event, anchor.previous) != as_told or entry.seq > anchor.seq:
                yield Finding(None, f"{who} is not as announced by entry {entry.seq}", f"{as_told}", f"{anchor}")
                return
            self._good.append(anchor)

    def _named(self, anchor: Anchor) -> Finding | None:
        """The chain names each line but the last by hash, when it announces the next.

        So if they differ while the next line bears the chain out, it is this line that was changed.
        """
        entry, told = self._told.get(anchor.anchor + 1, (None, None))
        if entry is None or told is None or told.previous in (GENESIS, digest(anchor.line())):
            return None
        problem = f"the line of anchor {anchor.anchor} was changed"
        return Finding(
            None, problem, f"a line of hash {told.previous} (entry {entry.seq})", anchor.line().decode().strip()
        )

    def _missing(self, file: _Anchors) -> Iterator[Finding]:
        """Announced anchors are in the file; those before its first line only if it was begun anew."""
        numbers = {anchor.anchor for anchor in file.anchors}
        first = min(numbers, default=1)
        absent = sorted(number for number in self._told.keys() - numbers if number >= first)
        if not absent:
            return
        numbers |= {anchor.anchor for anchor in _Anchors(file.path).anchors}  # written while we walked
        for number in absent:
            if number not in numbers:
                entry, told = self._told[number]
                problem = f"anchor {number} ({told.event}, {told.at}) is not in the anchor file"
                yield Finding(None, problem, f"the line that entry {entry.seq} announces", "no such line")
                return

    def _between(self) -> Iterator[Finding]:
        """After a `stop` nobody writes until a daemon (or a verb without one) announces that it begins."""
        for anchor in self._good:
            following = anchor.seq + 1
            if anchor.event != "stop" or following > self._sound_to:
                continue
            entry, told = self._told.get(anchor.anchor + 1, (None, None))
            if entry is None or told is None or entry.seq != following or told.event not in OPENS:
                problem = f"it was written after the stop at entry {anchor.seq}, when no daemon ran"
                yield Finding(
                    following, problem, f"an entry that announces anchor {anchor.anchor + 1}", "another entry"
                )
                return

    def _remarks(self, anchors: Sequence[Anchor]) -> list[str]:
        said = [
            f"anchor {told.late} was announced and not written by a process that died; anchor {number} tells so"
            for number, (_, told) in sorted(self._told.items())
            if told.late is not None
        ]
        if anchors and anchors[0].anchor > 1:
            said.append(f"the anchor file begins with anchor {anchors[0].anchor}; earlier ones are in another file")
        return said


def _no_such(who: str, anchor: Anchor) -> Finding:
    """The anchor before it, which is good, vouches for the entry: so it is the later line that was changed."""
    problem = f"{who} differs from the chain at an entry that earlier anchors vouch for: its line was changed"
    return Finding(None, problem, "an anchor of a later entry", f"one of entry {anchor.seq}")
