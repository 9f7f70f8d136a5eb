"""The ledger as it is held against a system: calls by intent id, strays, and what was compared before."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import func, select

from broker.store import schema as s
from broker.store.reads import Reads
from broker.store.restored import RESTORE, Restored


class Entry(msgspec.Struct, frozen=True):
    """A call as far as a document at its system can be held against it. `changed_at` in microseconds."""

    intent_id: str
    operation: str
    key: str
    message_id: str
    minor: int | None
    currency: str | None
    body: bytes
    status: str
    sent: int
    changed_at: int
    document: str | None
    reason: str | None


class Compared(msgspec.Struct, frozen=True):
    """A reconciliation as stored."""

    seq: int
    kind: str
    system: str
    of: int | None
    why: str
    started_at: int
    ended_at: int
    facts: str


class Pending(msgspec.Struct, frozen=True):
    """The store was found to be older than it once was, and a system was not looked at since."""

    seq: int
    why: str
    noticed_at: int
    restored: Restored


_COLUMNS = [s.call.c[field.name] for field in msgspec.structs.fields(Entry)]


class LedgerReads:
    """Questions about the calls to one system. Every method may be cancelled and may raise TimeoutError."""

    def __init__(self, reads: Reads, system: str) -> None:
        self._reads = reads
        self._system = system

    async def page(self, after: str, until: str | None, limit: int) -> list[Entry]:
        """Calls with intent ids beyond `after`, up to and including `until` (None: all), in their order (by bytes)."""
        c = s.call.c
        query = select(*_COLUMNS).where(c.system == self._system, c.intent_id > after)
        if until is not None:
            query = query.where(c.intent_id <= until)
        return [Entry(*row) for row in await self._reads.rows(query.order_by(c.intent_id).limit(limit))]

    async def entries(self, intents: Collection[str]) -> dict[str, Entry]:
        """Calls of these intents."""
        c = s.call.c
        query = select(*_COLUMNS).where(c.intent_id.in_(intents), c.system == self._system)
        return {row[0]: Entry(*row) for row in await self._reads.rows(query)}

    async def strays(self) -> set[str]:
        """Intents that the system has documents of and that no call of ours explains so far."""
        t = s.stray.c
        query = select(t.intent_id).where(t.system == self._system, t.settled_at.is_(None))
        return {row[0] for row in await self._reads.rows(query)}

    async def pending(self) -> Pending | None:
        """The last restore, if this system was not looked at since."""
        r = s.reconciliation.c
        restores = select(s.reconciliation).where(r.kind == RESTORE).order_by(r.seq.desc()).limit(1)
        rows = await self._reads.rows(restores)
        if not rows:
            return None
        last = Compared(*rows[0])
        looked = select(func.count()).where(r.kind == "look", r.system == self._system, r.of == last.seq)
        if (await self._reads.rows(looked))[0][0]:
            return None
        return Pending(last.seq, last.why, last.started_at, msgspec.json.decode(last.facts, type=Restored))

    async def last(self, kind: str) -> Compared | None:
        """The last comparison of this kind with this system."""
        r = s.reconciliation.c
        query = select(s.reconciliation).where(r.kind == kind, r.system == self._system)
        rows: Any = await self._reads.rows(query.order_by(r.seq.desc()).limit(1))
        return Compared(*rows[0]) if rows else None

    async def known_troubles(self, prefix: str) -> set[tuple[str, str]]:
        """(intent id, failure) of the open exceptions whose failure begins with the prefix."""
        e = s.exception.c
        query = select(e.intent_id, e.failure).where(e.closed_at.is_(None), e.failure.startswith(prefix))
        return {(row[0], row[1]) for row in await self._reads.rows(query)}
