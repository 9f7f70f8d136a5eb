"""The store's questions. Each runs on a reader connection, on one snapshot, and returns plain records."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnClause, Select, case, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from broker.store import schema as s
from broker.store.engine import READERS_MAX, interrupt, lease, to_its_end
from broker.store.row_readers import read_call, read_gate_event, read_process
from broker.store.rows import Call, ExceptionRecord, GateRow, ProcessRow, SpendSum

READ_SECONDS_MAX = 10.0
"""A reader that stays longer starves the checkpoint; it is cut off."""


class MessageRecord(msgspec.Struct, frozen=True):
    """An accepted message as stored."""

    seq: int
    dedupe: str
    idempotency: str | None
    fingerprint: str
    source: str
    id: str
    type: str
    tenant: str
    key: str
    partition_key: str
    queue: str
    lane: str
    correlation_id: str
    causation_id: str | None
    accepted_at: int
    handled_at: int | None
    outcome: str | None


class QueueRecord(msgspec.Struct, frozen=True):
    """A stored queue item."""

    seq: int
    exchange: str
    queue: str
    message_id: str
    headers: str
    body: bytes
    published_at: int | None


class Milestone(msgspec.Struct, frozen=True):
    """A milestone as stored."""

    seq: int
    process: str
    key: str
    name: str
    at: int
    actor: str
    message_id: str | None
    facts: str


class Control(msgspec.Struct, frozen=True):
    """A standing order as stored; in force from `begins` while `ended_at` is None and `until` is not past."""

    seq: int
    verb: str
    target: str
    who: str
    reason: str
    since: int
    until: int | None
    begins: int | None
    value: str | None
    ended_at: int | None
    ended_by: str | None


class Spend(msgspec.Struct, frozen=True):
    """A call that a system experienced, or may still experience when `arrived_by_ns` is None."""

    seq: int
    system: str
    kind: str
    intent_id: str
    boot: str
    started_ns: int
    started_at: int
    arrived_by_ns: int | None
    arrived_by_at: int | None
    object: str | None = None
    execution_ns: int | None = None


class Ends(msgspec.Struct, frozen=True):
    """Calls of one lane and tenant: how many, how many of them are open, and when the last other one ended."""

    lane: str
    tenant: str
    calls: int
    open: int
    last_at: int | None


class AuditRecord(msgspec.Struct, frozen=True):
    """An audit entry as stored."""

    seq: int
    at: int
    actor: str
    verb: str
    subject: str
    facts: str
    hash: str
    cause: str
    policy: str
    inputs: str


class Reads:
    """Read-only access. Every method may be cancelled at any time and changes nothing."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._free = asyncio.Semaphore(READERS_MAX)

    async def rows(self, query: Select[Any], parameters: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """All rows of a query; the building block of the rest. A query that is cut off is ended in SQLite, too.

        Raises:
            TimeoutError: it took longer than `READ_SECONDS_MAX`.
        """
        async with asyncio.timeout(READ_SECONDS_MAX), self._free, lease(self._engine) as connection:
            work = asyncio.ensure_future(connection.execute(query, parameters))
            try:
                await asyncio.wait({work})
            finally:
                if not work.done():
                    await to_its_end(interrupt(work, connection))
            found: Sequence[Any] = work.result().all()
            return found

    async def messages_by_id(self, message_id: str) -> list[MessageRecord]:
        """Messages with this CloudEvents id (one a source)."""
        query = select(s.message).where(s.message.c.id == message_id).order_by(s.message.c.seq).limit(20)
        return [MessageRecord(*row) for row in await self.rows(query)]

    async def messages_by_key(self, key: str) -> list[MessageRecord]:
        """Messages about this business key, oldest first."""
        query = select(s.message).where(s.message.c.key == key).order_by(s.message.c.seq).limit(100)
        return [MessageRecord(*row) for row in await self.rows(query)]

    async def messages_after(self, after: int, limit: int) -> list[MessageRecord]:
        """Messages from outside accepted beyond a position, in order of acceptance."""
        m = s.message.c
        query = select(s.message).where(m.seq > after, m.source.not_like("urn:tidegate:%")).order_by(m.seq).limit(limit)
        return [MessageRecord(*row) for row in await self.rows(query)]

    async def handled(self, dedupes: Collection[str]) -> set[str]:
        """Which of these messages have had their effects already: the inbox check."""
        query = select(s.message.c.dedupe).where(s.message.c.dedupe.in_(dedupes), s.message.c.handled_at.is_not(None))
        return {row[0] for row in await self.rows(query)}

    async def states(self, domain: str, keys: Collection[str]) -> dict[str, tuple[int, bytes]]:
        """State of a decider's keys: version and body."""
        query = select(s.state.c.key, s.state.c.version, s.state.c.body).where(
            s.state.c.domain == domain, s.state.c.key.in_(keys)
        )
        return {key: (version, body) for key, version, body in await self.rows(query)}

    async def queue_items(self, queue: str, after: int, limit: int) -> list[QueueRecord]:
        """Stored items of a queue beyond a position, in order."""
        item = s.queue_item
        query = select(item).where(item.c.queue == queue, item.c.seq > after).order_by(item.c.seq).limit(limit)
        return [QueueRecord(*row) for row in await self.rows(query)]

    async def earlier_items(
        self, queue: str, partition_keys: Collection[str], before: int, limit: int
    ) -> list[QueueRecord]:
        """Items of these keys with a lower number whose messages nobody has handled, in order of number."""
        item, message = s.queue_item.c, s.message.c
        query = (
            select(s.queue_item)
            .join(s.message, message.dedupe == item.message_id)
            .where(
                literal_column("message.handled_at IS NULL"),
                message.queue == queue,
                message.partition_key.in_(partition_keys),
                item.seq < before,
            )
            .order_by(item.seq)
            .limit(limit)
        )
        return [QueueRecord(*row) for row in await self.rows(query)]

    async def queue_depths(self) -> dict[str, int]:
        """Stored items by queue."""
        query = select(s.queue_item.c.queue, func.count()).group_by(s.queue_item.c.queue)
        return {queue: count for queue, count in await self.rows(query)}

    async def calls_ready(self, system: str, lane: str, limit: int, now: int) -> list[Call]:
        """The next calls of a lane that nothing of their own key holds back, oldest first."""
        query = (
            select(s.call)
            .where(
                literal_column("ready = 1"),
                s.call.c.system == system,
                s.call.c.lane == lane,
                s.call.c.not_before <= now,
            )
            .order_by(s.call.c.seq)
            .limit(limit)
        )
        return [read_call(row) for row in await self.rows(query)]

    async def next_not_before(self, system: str, after: int) -> int | None:
        """When the earliest call that is delayed beyond a moment becomes due (both microseconds), if any is."""
        c = s.call.c
        query = select(func.min(c.not_before)).where(
            literal_column("ready = 1"), literal_column("not_before > 0"), c.system == system, c.not_before > after
        )
        found = (await self.rows(query))[0][0]
        return None if found is None else int(found)

    async def calls_unsettled(self, system: str) -> list[Call]:
        """Calls in flight or of unknown outcome."""
        query = select(s.call).where(s.call.c.system == system, literal_column("status IN ('in_flight', 'unknown')"))
        return [read_call(row) for row in await self.rows(query.order_by(s.call.c.seq))]

    async def calls_by_key(self, key: str) -> list[Call]:
        """Calls of this business key or with this intent id or document reference."""
        query = select(s.call).where(or_(s.call.c.key == key, s.call.c.intent_id == key, s.call.c.document == key))
        return [read_call(row) for row in await self.rows(query.order_by(s.call.c.seq).limit(100))]

    async def calls_by_message(self, keys: Collection[str]) -> list[Call]:
        """Calls of these business keys."""
        query = select(s.call).where(s.call.c.key.in_(keys)).order_by(s.call.c.seq)
        return [read_call(row) for row in await self.rows(query)]

    async def call_counts(self) -> dict[tuple[str, str, str], int]:
        """Calls by system, lane and status: what is open is counted, what is settled was. Several looks, one writer."""
        c = s.call.c
        found: Counter[tuple[str, str, str]] = Counter()
        for (system, lane, *_), count in (await self.waiting_by_flow()).items():
            found[system, lane, "waiting"] += count
        unsettled: ColumnClause[bool] = literal_column("status IN ('in_flight', 'unknown')")
        pending = select(c.system, c.lane, c.status, func.count()).where(unsettled)
        for query in (pending.group_by(c.system, c.lane, c.status), select(s.call_settled)):
            found.update({(system, lane, status): count for system, lane, status, count in await self.rows(query)})
        return dict(+found)

    async def waiting_by_flow(self) -> dict[tuple[str, str, str, str], int]:
        """Waiting calls by system, lane, tenant and workload; those behind others of their key included."""
        c = s.call.c
        names = (c.system, c.lane, c.tenant, c.workload)
        found: Counter[tuple[str, str, str, str]] = Counter()
        for which in ("ready = 1", s.BEHIND):
            query = select(*names, func.count()).where(literal_column(which)).group_by(*names)
            found.update({tuple(flow): count for *flow, count in await self.rows(query)})
        return found

    async def ends_since(self, system: str, since: int) -> list[Ends]:
        """What has become of the calls that were open at a moment (microseconds since the epoch), by line."""
        c = s.call.c
        still = or_(literal_column("open = 1"), c.changed_at > since)
        done = func.max(case((c.open == 0, c.changed_at)))
        query = select(c.lane, c.tenant, func.count(), func.sum(c.open), done).where(
            c.system == system, c.requested_at <= since, still
        )
        return [Ends(*row) for row in await self.rows(query.group_by(c.lane, c.tenant))]

    async def blocking(self, call: Call) -> Call | None:
        """The open call of the same key and lane that this one waits behind, if any."""
        query = (
            select(s.call)
            .where(s.call.c.order_ref == call.order_ref, literal_column("open = 1"), s.call.c.seq < call.seq)
            .order_by(s.call.c.seq)
            .limit(1)
        )
        rows = await self.rows(query)
        return read_call(rows[0]) if rows else None

    async def spends(self, system: str, after: int = 0, limit: int = 20_000) -> list[Spend]:
        """Calls that a system experienced and that do not stand in a sum yet, by id, from the one after `after` on."""
        c = s.spend.c
        query = select(s.spend).where(c.system == system, c.seq > after).order_by(c.seq).limit(limit)
        return [Spend(*row) for row in await self.rows(query)]

    async def old_spends(self, system: str, boot: str, before_ns: int, limit: int) -> list[Spend]:
        """The first calls of this boot that had ended by then, oldest first."""
        c = s.spend.c
        query = select(s.spend).where(c.system == system, c.boot == boot, c.arrived_by_ns < before_ns)
        return [Spend(*row) for row in await self.rows(query.order_by(c.seq).limit(limit))]

    async def spend_sums(self, system: str) -> list[SpendSum]:
        """What the spends add up to that are no longer there one by one, oldest first."""
        c = s.spend_sum.c
        query = select(s.spend_sum).where(c.system == system).order_by(c.seq)
        return [SpendSum(*row) for row in await self.rows(query)]

    async def last_spend(self) -> int:
        """The highest spend id given so far."""
        highest = [(await self.rows(select(func.max(table.c.seq))))[0][0] for table in (s.spend, s.spend_sum)]
        return max(int(seq or 0) for seq in highest)

    async def milestones(self, key: str) -> list[Milestone]:
        """What has happened to a business key, oldest first."""
        query = select(s.milestone).where(s.milestone.c.key == key).order_by(s.milestone.c.seq)
        return [Milestone(*row) for row in await self.rows(query)]

    async def decisions(self, keys: Collection[str]) -> dict[str, Milestone]:
        """The last credit decision of each business key."""
        m = s.milestone.c
        query = select(s.milestone).where(m.key.in_(keys), m.name.like("credit.%")).order_by(m.seq)
        return {row[2]: Milestone(*row) for row in await self.rows(query)}

    async def processes(self, key: str) -> list[ProcessRow]:
        """Processes about this business key (one a tenant)."""
        query = select(s.process).where(s.process.c.key == key).order_by(s.process.c.opened_at).limit(20)
        return [read_process(row) for row in await self.rows(query)]

    async def processes_of(self, keys: Collection[str]) -> list[ProcessRow]:
        """Processes about these business keys."""
        return [read_process(row) for row in await self.rows(select(s.process).where(s.process.c.key.in_(keys)))]

    async def processes_in(self, phase: str, limit: int) -> list[ProcessRow]:
        """Processes that are in this phase, oldest first."""
        p = s.process.c
        rows = await self.rows(select(s.process).where(p.phase == phase).order_by(p.opened_at, p.id).limit(limit))
        return [read_process(row) for row in rows]

    async def process_counts(self) -> dict[tuple[str, str, str | None], int]:
        """Processes by kind, phase and outcome."""
        p = s.process.c
        query = select(p.kind, p.phase, p.outcome, func.count()).group_by(p.kind, p.phase, p.outcome)
        return {(kind, phase, outcome): count for kind, phase, outcome, count in await self.rows(query)}

    async def exceptions(self, key: str | None = None, limit: int = 100) -> list[ExceptionRecord]:
        """Open exceptions, of one business key or of all."""
        query = select(s.exception).where(s.exception.c.closed_at.is_(None))
        if key is not None:
            query = query.where(s.exception.c.key == key)
        return [ExceptionRecord(*row) for row in await self.rows(query.order_by(s.exception.c.seq).limit(limit))]

    async def exceptions_open(self) -> dict[tuple[str, str], int]:
        """Open exceptions by failure class and owner."""
        e = s.exception.c
        query = select(e.failure, e.owner, func.count()).where(e.closed_at.is_(None)).group_by(e.failure, e.owner)
        return {(failure, owner): count for failure, owner, count in await self.rows(query)}

    async def controls(self) -> list[Control]:
        """Standing orders that nobody has ended (those past their `until` included)."""
        query = select(s.control).where(s.control.c.ended_at.is_(None)).order_by(s.control.c.seq)
        return [Control(*row) for row in await self.rows(query)]

    async def gate_events(self, system: str, limit: int = 100) -> list[GateRow]:
        """What changed at the gate of a system last, oldest first."""
        query = select(s.gate_event).where(s.gate_event.c.system == system).order_by(s.gate_event.c.seq.desc())
        return [read_gate_event(row) for row in reversed(await self.rows(query.limit(limit)))]

    async def gate_state(self, system: str) -> list[GateRow]:
        """The last change and the last freeze of each limit of a system."""
        e = s.gate_event.c
        last = select(func.max(e.seq)).where(e.system == system).group_by(e.kind, e.subject)
        return [
            read_gate_event(row) for row in await self.rows(select(s.gate_event).where(e.seq.in_(last)).order_by(e.seq))
        ]

    async def timers_due(self, now: int, limit: int) -> list[tuple[str, int, str, bytes]]:
        """Timers whose moment has come."""
        query = select(s.timer).where(s.timer.c.due_at <= now).order_by(s.timer.c.due_at).limit(limit)
        return [tuple(row) for row in await self.rows(query)]

    async def audit(self, after: int, limit: int) -> list[AuditRecord]:
        """Audit entries beyond a position, in order."""
        query = select(s.audit).where(s.audit.c.seq > after).order_by(s.audit.c.seq).limit(limit)
        return [AuditRecord(*row) for row in await self.rows(query)]
