"""How far the store once was, kept beside it: so a store that is older than that is noticed when it is opened.

The file holds two slots of 512 bytes, written in turn, each with a checksum: whatever instant the process or the
machine dies at, one of them is whole. A mark is written after each commit (no flush: a killed process loses nothing of
it) and flushed about once a second, so it is never ahead of the store.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from broker.crash_points import durable

SLOT_BYTES = 512


class Mark(msgspec.Struct, frozen=True):
    """The store `epoch` had `audit` entries in its audit, the last with the hash `head`, at `at` (microseconds)."""

    epoch: str
    audit: int
    head: str
    at: int


class _Slot(msgspec.Struct, frozen=True):
    number: int
    mark: Mark
    sum: str


class MarkFile:
    """The mark of one store. One process writes it: whoever holds the lock of the data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: str | None = None
        """Why the last mark could not be written, if it could not."""
        self._fd: int | None = None
        self._number = 0
        self._dirty = False

    def open(self) -> Mark | None:
        """The last mark; None if there is none that is whole. The file is made if it is not there.

        Raises:
            OSError: it cannot be made or read.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        raw = os.pread(self._fd, 2 * SLOT_BYTES, 0)
        found = [slot for slot in (_read(raw[:SLOT_BYTES]), _read(raw[SLOT_BYTES:])) if slot is not None]
        if not found:
            return None
        last = max(found, key=lambda slot: slot.number)
        self._number = last.number
        return last.mark

    @durable("file", "mark")
    def write(self, mark: Mark) -> None:
        """Take the place of the older slot. Never raises: what could not be written stands in `failure`."""
        assert self._fd is not None, "open() comes first"
        self._number += 1
        text = msgspec.json.encode(_Slot(self._number, mark, _sum(self._number, mark)))
        try:
            os.pwrite(self._fd, text.ljust(SLOT_BYTES - 1) + b"\n", self._number % 2 * SLOT_BYTES)
            self._dirty, self.failure = True, None
        except OSError as error:
            self.failure = f"{self.path}: {error.strerror}"

    def flush(self) -> None:
        """Make what was written survive power loss (blocking)."""
        if self._dirty and self._fd is not None:
            self._dirty = False
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self.failure = f"{self.path}: {error.strerror}"

    def close(self) -> None:
        """Flush and let go."""
        if self._fd is not None:
            self.flush()
            os.close(self._fd)
            self._fd = None


def _sum(number: int, mark: Mark) -> str:
    return hashlib.sha256(f"{number}|{mark.epoch}|{mark.audit}|{mark.head}|{mark.at}".encode()).hexdigest()[:16]


def _read(raw: bytes) -> _Slot | None:
    try:
        slot = msgspec.json.decode(raw.strip(b" \n\0"), type=_Slot)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return slot if slot.sum == _sum(slot.number, slot.mark) else None
