"""The store's answers to operators: waiting work by key or scope, sums of money, operations, the audit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Select, and_, func, literal_column, or_, select

from broker.store import schema as s
from broker.store.reads import AuditRecord, MessageRecord, Reads
from broker.store.rows import OPEN, Call, ExceptionRecord

PAGE = 5_000


class Filter(msgspec.Struct, frozen=True):
    """Which calls: every part that is given narrows. `requested_before` in microseconds since the epoch.

    `keys` are business keys, intent ids or documents. `operation` covers those that continue it with a dot.
    """

    keys: tuple[str, ...] = ()
    system: str | None = None
    tenant: str | None = None
    lane: str | None = None
    operation: str | None = None
    status: str | None = None
    requested_before: int | None = None


class Sum(msgspec.Struct, frozen=True):
    """Calls of one lane, key and currency, with their amount in minor units. `tenant`, `partition`: whose they are."""

    lane: str
    tenant: str
    partition: int
    currency: str | None
    count: int
    minor: int


class OperationRecord(msgspec.Struct, frozen=True):
    """An operation as stored."""

    id: str
    verb: str
    who: str
    command: str
    digest: str
    effect: str
    made_at: int
    expires_at: int | None
    done_at: int | None
    undo: str | None
    undone_at: int | None


_fields = [field.name for field in msgspec.structs.fields(Call)]


def _call(row: Any) -> Call:
    return Call(**dict(zip(_fields, row, strict=True)))


class OperatorReads:
    """Questions that only operators ask. Read-only; each may be cancelled at any time.

    Raises (all of them): TimeoutError when it took longer than `reads.READ_SECONDS_MAX`.
    """

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def calls(self, wanted: Filter, limit: int, after: int = 0) -> list[Call]:
        """Calls beyond a position, in the order in which they were requested."""
        query = _narrowed(select(s.call), wanted).where(s.call.c.seq > after).order_by(s.call.c.seq).limit(limit)
        return [_call(row) for row in await self._reads.rows(query)]

    async def matching(self, wanted: Filter, keep: Callable[[Call], bool], limit: int) -> list[Call]:
        """The first so many calls that a test in Python keeps as well, read page by page."""
        found: list[Call] = []
        after = 0
        while len(found) < limit:
            page = await self.calls(wanted, PAGE, after)
            found += [call for call in page if keep(call)]
            if len(page) < PAGE:
                break
            after = page[-1].seq
        return found[:limit]

    async def sums(self, wanted: Filter) -> list[Sum]:
        """How many calls and how much money, by lane, tenant, partition and currency."""
        c = s.call.c
        columns = groups = (c.lane, c.tenant, c.partition, c.currency)
        query: Select[Any] = select(*columns, func.count(), func.coalesce(func.sum(c.minor), 0))
        return [Sum(*row) for row in await self._reads.rows(_narrowed(query, wanted).group_by(*groups))]

    async def oldest(self, system: str, lane: str, limit: int) -> list[tuple[str, int]]:
        """Tenant and time of request of the ready calls that wait longest in a lane."""
        c = s.call.c
        query = (
            select(c.tenant, c.requested_at)
            .where(literal_column("ready = 1"), c.system == system, c.lane == lane)
            .order_by(c.seq)
            .limit(limit)
        )
        return [(tenant, at) for tenant, at in await self._reads.rows(query)]

    async def messages(self, text: str, limit: int) -> list[MessageRecord]:
        """Messages with this business key, id or correlation id."""
        m = s.message.c
        query = select(s.message).where(or_(m.key == text, m.id == text)).order_by(m.seq).limit(limit)
        return [MessageRecord(*row) for row in await self._reads.rows(query)]

    async def unhandled(self, limit: int) -> list[tuple[str, str, str]]:
        """Accepted messages that are in a queue: id, business key, queue."""
        m, item = s.message.c, s.queue_item.c
        query = (
            select(m.id, m.key, m.queue)
            .join(s.queue_item, item.message_id == m.dedupe)
            .where(m.handled_at.is_(None))
            .order_by(m.seq)
            .limit(limit)
        )
        return [(id, key, queue) for id, key, queue in await self._reads.rows(query)]

    async def exceptions(self, keys: tuple[str, ...], failure: str | None, before: int | None, limit: int) -> Any:
        """Open exceptions by key, class and age, oldest first."""
        e = s.exception.c
        query = select(s.exception).where(e.closed_at.is_(None))
        if keys:
            query = query.where(e.key.in_(keys))
        if failure is not None:
            query = query.where(e.failure == failure)
        if before is not None:
            query = query.where(e.opened_at < before)
        return [ExceptionRecord(*row) for row in await self._reads.rows(query.order_by(e.seq).limit(limit))]

    async def followers(self, call: Call, limit: int) -> tuple[int, list[str]]:
        """How many open calls of the same key and lane wait behind this one, and the business keys of the first."""
        c = s.call.c
        mine = and_(c.order_ref == call.order_ref, literal_column("open = 1"), c.seq != call.seq, c.status == "waiting")
        count = (await self._reads.rows(select(func.count()).select_from(s.call).where(mine)))[0][0]
        query = select(c.key).where(mine).order_by(c.seq).limit(limit)
        return int(count), [key for (key,) in await self._reads.rows(query)]

    async def states_of(self, domain: str) -> list[tuple[int, bytes]]:
        """Version and body of everything that a domain keeps, by key."""
        query = select(s.state.c.version, s.state.c.body).where(s.state.c.domain == domain).order_by(s.state.c.key)
        return [(version, body) for version, body in await self._reads.rows(query)]

    async def operation(self, id: str) -> OperationRecord | None:
        """An operation by its id."""
        rows = await self._reads.rows(select(s.operation).where(s.operation.c.id == id))
        return OperationRecord(*rows[0]) if rows else None

    async def operations(self, limit: int) -> list[OperationRecord]:
        """The last operations that were carried out, newest first."""
        o = s.operation.c
        query = select(s.operation).where(o.done_at.is_not(None)).order_by(o.done_at.desc()).limit(limit)
        return [OperationRecord(*row) for row in await self._reads.rows(query)]

    async def audit(self, subject: str | None, who: str | None, before: int | None, limit: int) -> list[AuditRecord]:
        """Audit entries about a subject, by a person, below a position; newest first."""
        a = s.audit.c
        wanted = [a.subject == subject] if subject is not None else []
        wanted += [a.actor == who] if who is not None else []
        wanted += [a.seq < before] if before is not None else []
        query = select(s.audit).where(and_(True, *wanted)).order_by(a.seq.desc()).limit(limit)
        return [AuditRecord(*row) for row in await self._reads.rows(query)]


def _narrowed(query: Select[Any], wanted: Filter) -> Select[Any]:
    c = s.call.c
    if wanted.keys:
        query = query.where(or_(c.key.in_(wanted.keys), c.intent_id.in_(wanted.keys), c.document.in_(wanted.keys)))
    for column, value in ((c.system, wanted.system), (c.tenant, wanted.tenant), (c.lane, wanted.lane)):
        if value is not None:
            query = query.where(column == value)
    if wanted.status is not None:
        query = query.where(c.status == wanted.status)
        if wanted.status in OPEN:
            query = query.where(literal_column("open = 1"))  # as written in the partial index
    if wanted.operation is not None:
        continued = c.operation.startswith(wanted.operation + ".", autoescape=True)
        query = query.where(or_(c.operation == wanted.operation, continued))
    if wanted.requested_before is not None:
        query = query.where(c.requested_at < wanted.requested_before)
    return query
