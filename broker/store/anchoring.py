"""Announcing and writing anchors: the only way in which `anchors.py`'s file grows."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio.to_thread
import msgspec
from loguru import logger
from sqlalchemy import ColumnElement, literal_column, select

from broker.store import schema as s
from broker.store.anchors import Anchor, AnchorFile, AnchorsDamaged, Announcement, digest
from broker.store.chain import GENESIS
from broker.store.reads import AuditRecord, Reads
from broker.store.rows import AuditRow
from broker.store.store import Store
from broker.store.unit import Unit

ACTOR = "audit-anchors"


class Anchoring:
    """One store and its anchor file. Not for several tasks at once."""

    def __init__(self, store: Store, file: AnchorFile) -> None:
        self._store = store
        self._file = file
        self._anchored = 0

    async def mark(self, event: str, at: int) -> Anchor | None:
        """Announce an anchor and write it; None when nothing has happened since the last one (and `event` is regular).

        `at` is in microseconds since the epoch. Cancelled in between, it stays announced, and is written late by
        whoever marks next.

        Raises:
            StoreUnavailable: the announcement could not be stored.
            OSError: it is announced, and the file cannot be written; the next `mark` writes it first.
        """
        head, _ = await _head(self._store.reads)
        if event == "regular" and head == self._anchored:
            return None
        number, previous, late = await self._settle()
        told = Announcement(number + 1, _text(at), event, previous, late)
        facts = msgspec.to_builtins(told)
        await self._store.commit(Unit(at, audits=[AuditRow(at, ACTOR, s.ANCHORED, f"anchor:{told.anchor}", facts)]))
        seq, hash = await _head(self._store.reads)
        anchor = Anchor(told.anchor, seq, hash, told.at, event, previous)
        await self._append(anchor)
        return anchor

    async def _settle(self) -> tuple[int, str, int | None]:
        """The last anchor's number, the hash of its line, and which one was written late just now.

        Where file and chain do not belong together, the numbers go on above both, so that `audit verify` shows it.
        """
        number, previous = await self._last()
        known = await _announced(self._store.reads)
        if known is None:
            return number, previous, None
        told = msgspec.json.decode(known.facts, type=Announcement)
        if told.anchor == number:
            return number, previous, None
        if told.anchor == number + 1 and told.previous == previous:
            late = Anchor(told.anchor, known.seq, known.hash, told.at, told.event, told.previous)
            await self._append(late)
            return told.anchor, digest(late.line()), told.anchor
        self._warn(f"the audit announces anchor {told.anchor}, and the file ends with {number}")
        return max(told.anchor, number), previous, None

    async def _last(self) -> tuple[int, str]:
        try:
            return await anyio.to_thread.run_sync(self._file.last, abandon_on_cancel=True)
        except AnchorsDamaged as damage:
            self._warn(str(damage))
            return 0, GENESIS

    def _warn(self, what: str) -> None:
        logger.error("anchors {}: {}. Run `tidegate audit verify`.", self._file.path, what)

    async def _append(self, anchor: Anchor) -> None:
        await anyio.to_thread.run_sync(self._file.append, anchor, abandon_on_cancel=True)
        self._anchored = anchor.seq


async def _head(reads: Reads) -> tuple[int, str]:
    query = select(s.audit.c.seq, s.audit.c.hash).order_by(s.audit.c.seq.desc()).limit(1)
    rows = await reads.rows(query)
    return (rows[0][0], rows[0][1]) if rows else (0, GENESIS)


async def _announced(reads: Reads) -> AuditRecord | None:
    """The last entry that announces an anchor."""
    announced: ColumnElement[bool] = literal_column(f"verb = '{s.ANCHORED}'")
    rows = await reads.rows(select(s.audit).where(announced).order_by(s.audit.c.seq.desc()).limit(1))
    return AuditRecord(*rows[0]) if rows else None


def _text(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
