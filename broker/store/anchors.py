"""Anchors: what the audit's chain had come to, kept outside the database, so that a cut tail or a rewrite shows.

Every anchor is announced by an entry of the chain (`audit.anchored`) before it is written, and every line of the file
names the line before it by hash. So the chain vouches for the file and the file for the chain: neither can be changed,
shortened or replaced alone. Who changes both is found by an anchor that a person keeps elsewhere.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from broker.crash_points import durable
from broker.store.chain import GENESIS

_LINE_BYTES_MAX = 4_096
OPENS = ("start", "offline")
"""Events with which somebody begins to write; nobody writes between a `stop` and one of them."""


class Announcement(msgspec.Struct, frozen=True, omit_defaults=True):
    """The facts of the entry that announces an anchor. `previous`: the hash of the line before it in the file.

    `late`: the number of the anchor that was announced by a process that died before it wrote it.
    """

    anchor: int
    at: str
    event: str
    previous: str
    late: int | None = None


class Anchor(msgspec.Struct, frozen=True):
    """A line of the file: at this moment (RFC 3339), entry `seq` was the head of the chain, with this hash."""

    anchor: int
    seq: int
    hash: str
    at: str
    event: str
    previous: str

    def line(self) -> bytes:
        """As it stands in the file."""
        return msgspec.json.encode(self) + b"\n"


class AnchorsDamaged(Exception):
    """A line of the file is not as it was written; the text says which and why."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"line {number} {text}")
        self.number = number


def digest(line: bytes) -> str:
    """The hash by which a line is named in the next."""
    return hashlib.sha256(line).hexdigest()


class AnchorFile:
    """An append-only file of JSON Lines; each line is flushed to the disk before `append` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Raise OSError when nothing can be written at its place."""
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))

    def read(self) -> list[Anchor]:
        """All anchors, oldest first; none when there is no file. A last line without its end counts as not written.

        Raises:
            AnchorsDamaged: a line is not one of ours, or does not follow from the line before it.
            OSError: the file cannot be read.
        """
        if not self.path.exists():
            return []
        *lines, _torn = self.path.read_bytes().split(b"\n")
        anchors: list[Anchor] = []
        previous = GENESIS
        for number, text in enumerate(lines, start=1):
            anchors.append(_anchor(number, text + b"\n", previous, anchors[-1] if anchors else None))
            previous = digest(text + b"\n")
        return anchors

    def torn(self) -> bool:
        """Whether the last line has no end: the power went while it was written, or somebody cut it."""
        return self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size > 0

    def last(self) -> tuple[int, str]:
        """Number of the last whole line's anchor, and the hash of that line; (0, GENESIS) where there is none.

        Raises:
            AnchorsDamaged, OSError: as `read`.
        """
        anchors = self.read()
        return (anchors[-1].anchor, digest(anchors[-1].line())) if anchors else (0, GENESIS)

    @durable("file", "anchor")
    def append(self, anchor: Anchor) -> None:
        """Write one more line. What a torn write left is cut off first, and so is what a failed one leaves.

        Raises:
            OSError: it could not be written whole; the file is as it was.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            whole = _whole_bytes(handle)
            try:
                if os.write(handle, anchor.line()) < len(anchor.line()):
                    raise OSError(f"{self.path}: no room for a whole line")
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, whole)
                raise
        finally:
            os.close(handle)


def _whole_bytes(handle: int) -> int:
    """Length of all lines that have an end; the rest (less than a line) is cut off."""
    size = os.fstat(handle).st_size
    start = max(size - _LINE_BYTES_MAX, 0)
    end = os.pread(handle, size - start, start)
    whole = start + end.rfind(b"\n") + 1
    if whole < size:
        os.ftruncate(handle, whole)
    return whole


def _anchor(number: int, line: bytes, previous: str, before: Anchor | None) -> Anchor:
    try:
        anchor = msgspec.json.decode(line, type=Anchor)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnchorsDamaged(number, f"is not an anchor ({error})") from None
    if anchor.line() != line:
        raise AnchorsDamaged(number, "is not written as the daemon writes it")
    if anchor.previous != previous:
        found = f"it names {anchor.previous[:16]}..., which is {previous[:16]}..."
        raise AnchorsDamaged(number, f"does not follow from the line before it: {found}")
    if before is not None and anchor.anchor != before.anchor + 1:
        raise AnchorsDamaged(number, f"is anchor {anchor.anchor}, after anchor {before.anchor}")
    return anchor
