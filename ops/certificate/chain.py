"""The chain of a log's lines, and its head: what shows that a log was changed, filled in or cut.

chain(n) = SHA-256 hex of chain(n - 1), 64 zeros before the first line, followed by the bytes of line n up to
`,"chain":"`. `"chain"` is the last field of its line. A chain begins with the first line or not at all.

The head stands in a file of its own beside the log (`LOG.head`): {"lines":1204,"chain":"..."}. Its writer replaces it
after each line, so it may lag behind the log, and never leads. A head that is kept elsewhere (read it over the day,
put it into a mail) holds the writer to what it had logged by then.
"""

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

GENESIS = b"0" * 64
HEAD_SUFFIX = ".head"
_MARK = b',"chain":"'
_TAIL = len(_MARK) + 64 + len(b'"}\n')
BREAKS_SHOWN = 100


class Break(Struct, frozen=True):
    """A line that does not follow from the one before it."""

    line: int
    detail: str


class Head(Struct, frozen=True):
    """How many lines the writer had written, and the chain of the last; an empty chain: it writes none."""

    lines: int
    chain: str


class Chain:
    """Follows the chain of one log, line by line."""

    def __init__(self, head: Head | None) -> None:
        self.breaks: list[Break] = []
        self.broken = 0
        self.chained: bool | None = None
        self.last = ""
        self.has_head = head is not None
        self._head = head
        self._lines = 0
        self._last = GENESIS

    def take(self, raw: bytes, told: str | None) -> None:
        """One whole line, with the chain that it tells."""
        self._lines += 1
        if self.chained is None:
            self.chained = told is not None
        if self.chained:
            self._follow(raw, told)
        if self._head is not None and self._head.lines == self._lines and self._head.chain != (told or ""):
            self._break(
                f"the head says chain {self._head.chain[:12] or '(none)'}; the line has {(told or '(none)')[:12]}"
            )

    def finish(self) -> None:
        """No more lines: is everything there that the head knows of?"""
        self.last = self._last.decode() if self.chained else ""
        if self._head is not None and self._head.lines > self._lines:
            self._break(f"the log is cut: the head knows of {self._head.lines} lines, {self._lines} are there")

    def _follow(self, raw: bytes, told: str | None) -> None:
        if told is None or raw[-_TAIL : -_TAIL + len(_MARK)] != _MARK:
            self._break("the line has no chain as its last field, and the lines before it have")
            return
        expected = hashlib.sha256(self._last + raw[:-_TAIL]).hexdigest()
        if expected != told:
            self._break(f"the line says chain {told[:12]}, line and predecessor make {expected[:12]}")
        self._last = told.encode()

    def _break(self, detail: str) -> None:
        self.broken += 1
        if len(self.breaks) < BREAKS_SHOWN:
            self.breaks.append(Break(self._lines, detail))


def head_beside(log_path: Path) -> Path:
    return log_path.with_name(log_path.name + HEAD_SUFFIX)


def read_head(path: Path) -> Head | None:
    """A head, or None if there is none. One that is not readable counts as one that differs."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Head)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        return Head(1 << 62, "")
