"""Folding units of work into one transaction.

The order of the tables is fixed, and within a table the order of the units is kept, so what a decider wrote before
stays before. Duplicates are recognised here, inside the transaction, where nobody can come between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.store import chain, orders
from broker.store import schema as s
from broker.store import statements as q
from broker.store.chain import Entry
from broker.store.orders import Conflict as Conflict
from broker.store.orders import audit_facts as _facts
from broker.store.orders import run_many
from broker.store.rows import OPEN, Accept, Call, CallChange, CallRow, ExceptionRow
from broker.store.unit import Accepted, Committed, Unit
from policies.call_states import wrong_step

_astuple = msgspec.structs.astuple
_NUMBERED = (s.message, s.queue_item, s.milestone, s.call, s.exception, s.control, s.gate_event, s.reconciliation)


class IllegalStep(Exception):
    """A unit would have a call do what no call may do. A bug of ours: nothing of the unit was written."""


class Folder:
    """Turns a group of units into statements on one connection, numbering rows and chaining the audit."""

    def __init__(self, compiled: q.Statements) -> None:
        self._q = compiled
        self._next: dict[str, int] = {}
        self.head = chain.GENESIS

    async def load(self, connection: AsyncConnection) -> None:
        """Read the last numbers and the head of the audit chain; once before the first fold, and after a failure."""
        for table in (*_NUMBERED, s.audit):
            last = (await connection.execute(select(func.max(table.c.seq)))).scalar()
            self._next[table.name] = max((last or 0) + 1, self._next.get(table.name, 0))
        self._next["audit"] = ((await connection.execute(select(func.max(s.audit.c.seq)))).scalar() or 0) + 1
        head = select(s.audit.c.hash).order_by(s.audit.c.seq.desc()).limit(1)
        self.head = (await connection.execute(head)).scalar() or chain.GENESIS

    def begin_at(self, table: Table, number: int) -> None:
        """Give no number below this one: rows that are deleted leave no trace of the numbers they had."""
        self._next[table.name] = number

    @property
    def audits(self) -> int:
        """The number of the last audit entry; 0 before the first, and before `load`."""
        return self._next.get("audit", 1) - 1

    def numbers(self) -> dict[str, int]:
        """The next number of each table, to go back to when the transaction fails."""
        return dict(self._next)

    def restore(self, numbers: dict[str, int]) -> None:
        """Forget the numbers taken by a transaction that failed."""
        self._next = numbers

    def _take(self, table: Table, count: int) -> range:
        first = self._next[table.name]
        self._next[table.name] = first + count
        return range(first, first + count)

    async def fold(self, connection: AsyncConnection, units: Sequence[Unit]) -> list[Committed]:
        """Write all units. The caller owns the transaction.

        Raises:
            Conflict: a unit's expectation no longer holds; the whole group must be rolled back.
            IllegalStep: a call cannot go from where it is to where a unit wants it; the same.
            sqlalchemy.exc.DBAPIError: the database refused.
        """
        results = [Committed() for _ in units]
        audits: orders.Audits = []
        exceptions = [row for unit in units for row in unit.exceptions]
        await self._accept(connection, units, results)
        await self._settle(connection, units)
        await self._states(connection, units)
        await self._calls(connection, units, results, exceptions, audits)
        await self._spends(connection, units)
        await self._records(connection, units, exceptions, audits)
        await self._audit(connection, units, audits)
        for result in results:
            result.items_to = self._next[s.queue_item.name] - 1
        return results

    async def _many(self, connection: AsyncConnection, statement: q.Compiled, rows: list[tuple[Any, ...]]) -> int:
        return await run_many(connection, statement, rows)

    async def _insert(
        self, connection: AsyncConnection, table: Table, statement: q.Compiled, rows: Sequence[Any]
    ) -> None:
        if rows:
            numbers = self._take(table, len(rows))
            await self._many(connection, statement, [(n, *_astuple(row)) for n, row in zip(numbers, rows, strict=True)])

    # messages ------------------------------------------------------------------------------------------------

    async def _accept(self, connection: AsyncConnection, units: Sequence[Unit], results: list[Committed]) -> None:
        bare = [item for unit in units for item in unit.items]
        numbered = zip(self._take(s.queue_item, len(bare)), bare, strict=True)
        await self._many(connection, self._q.queue_item, [(seq, *_astuple(item), None) for seq, item in numbered])
        accepts = [accept for unit in units for accept in unit.accepts]
        if not accepts:
            return
        by_dedupe = await self._known(connection, self._q.known_messages, (a.row.dedupe for a in accepts))
        by_idempotency = await self._known(
            connection, self._q.known_idempotency, (a.row.idempotency for a in accepts if a.row.idempotency)
        )
        new: list[tuple[Any, ...]] = []
        items: list[tuple[Any, ...]] = []
        for unit, result in zip(units, results, strict=True):
            for accept in unit.accepts:
                known = by_dedupe.get(accept.row.dedupe) or by_idempotency.get(accept.row.idempotency or "")
                if known:
                    result.accepted.append(_duplicate(accept, known))
                    continue
                seq = self._take(s.message, 1)[0]
                row = accept.row
                entry = Accepted(seq, False, False, row.id, row.type)
                result.accepted.append(entry)
                first = (seq, row.fingerprint, row.id, row.type)
                by_dedupe[row.dedupe] = first
                if row.idempotency:
                    by_idempotency[row.idempotency] = first
                new.append((seq, *_astuple(row), None, None))
                for item in accept.items:
                    items.append((self._take(s.queue_item, 1)[0], *_astuple(item), None))
        await self._many(connection, self._q.message, new)
        await self._many(connection, self._q.queue_item, items)

    async def _known(
        self, connection: AsyncConnection, statement: q.Compiled, keys: Iterable[str | None]
    ) -> dict[str, tuple[int, str, str, str]]:
        wanted = {key for key in keys if key is not None}
        if not wanted:
            return {}
        asked = (msgspec.json.encode(wanted).decode(),)
        rows: Iterable[Any] = await connection.exec_driver_sql(statement.sql, asked)
        return {key: (seq, fingerprint, id, type) for key, seq, fingerprint, id, type in rows}

    async def _settle(self, connection: AsyncConnection, units: Sequence[Unit]) -> None:
        handled = [(h.at, h.outcome, h.dedupe) for unit in units for h in unit.handled]
        if await self._many(connection, self._q.handled, handled) != len(handled):
            raise Conflict("a message of this unit has been handled already")
        await self._many(connection, self._q.settled, [(n,) for unit in units for n in unit.settled])
        published = [(unit.at, n) for unit in units for n in unit.published]
        await self._many(connection, self._q.published, published)

    async def _states(self, connection: AsyncConnection, units: Sequence[Unit]) -> None:
        last = {(row.domain, row.key): row for unit in units for row in unit.states}
        await self._many(connection, self._q.state_delete, list(last))
        await self._many(connection, self._q.state, [_astuple(row) for row in last.values()])
        processes = {row.id: row for unit in units for row in unit.processes}
        await self._many(connection, self._q.process_delete, [(id,) for id in processes])
        await self._many(connection, self._q.process, [_astuple(row) for row in processes.values()])
        await self._many(connection, self._q.wave_case, [_astuple(row) for unit in units for row in unit.wave_cases])

    # calls ---------------------------------------------------------------------------------------------------

    async def _calls(
        self,
        connection: AsyncConnection,
        units: Sequence[Unit],
        results: list[Committed],
        exceptions: list[ExceptionRow],
        audits: orders.Audits,
    ) -> None:
        wanted = [row.intent_id for unit in units for row in unit.calls]
        known: dict[str, str] = {}
        if wanted:
            rows = await connection.execute(q.known_calls, {"keys": list(set(wanted))})
            known = {intent: fingerprint for intent, fingerprint in rows}
        inserts: list[dict[str, Any]] = []
        for unit, result in zip(units, results, strict=True):
            for row in unit.calls:
                before = known.get(row.intent_id)
                if before is None:
                    known[row.intent_id] = row.fingerprint
                    inserts.append(_call_values(row, self._take(s.call, 1)[0]))
                    audits.append(_requested(row, unit.at))
                elif before == row.fingerprint:
                    result.calls_known.append(row.intent_id)
                else:
                    result.calls_conflicting.append(row.intent_id)
                    exceptions.append(_intent_reused(row, unit.at))
        await self._many(connection, self._q.call, self._q.call.arrange(inserts))
        if await self._change_calls(connection, units, audits):
            for result in results:
                result.promoted = True

    async def _change_calls(self, connection: AsyncConnection, units: Sequence[Unit], audits: orders.Audits) -> int:
        """How many calls became ready because the one before them is over, or a person put them back."""
        changes = [change for unit in units for change in unit.call_changes]
        rows = [_change_values(change) for change in changes]
        if await self._many(connection, self._q.call_change, self._q.call_change.arrange(rows)) != len(rows):
            raise Conflict("a call of this unit is no longer in the state that the change starts from")
        await self._many(connection, self._q.call_settled, _settled(changes))
        closed = [{"ref": c.call.order_ref} for c in changes if c.call.status not in OPEN or c.was not in OPEN]
        promoted = await self._many(connection, self._q.promote, self._q.promote.arrange(closed))
        promoted += await orders.move_calls(connection, self._q, units, audits)
        for unit in units:
            for change in unit.call_changes:
                call = change.call
                facts = _facts(was=change.was, attempts=call.attempts, document=call.document, reason=call.reason)
                what = (unit.at, change.actor, f"call.{call.status}", call.intent_id, facts)
                audits.append(Entry(*what, call.cause, call.policy, _inputs(call)))
        return promoted

    async def _spends(self, connection: AsyncConnection, units: Sequence[Unit]) -> None:
        rows = [row for unit in units for row in unit.spends]
        spends = [(*_astuple(row)[:-1], None, None, row.object, None) for row in rows]
        await self._many(connection, self._q.spend, spends)
        ends = [(e.arrived_by_ns, e.arrived_by_at, e.execution_ns, e.id) for unit in units for e in unit.spend_ends]
        await self._many(connection, self._q.spend_end, ends)
        for gone, statement in (
            ([(seq,) for unit in units for seq in unit.spends_gone], self._q.spend_gone),
            ([(seq,) for unit in units for seq in unit.spend_sums_gone], self._q.spend_sum_gone),
        ):
            await self._many(connection, statement, gone)
        sums = [_astuple(row) for unit in units for row in unit.spend_sums]
        await self._many(connection, self._q.spend_sum, sums)

    # records -------------------------------------------------------------------------------------------------

    async def _records(
        self,
        connection: AsyncConnection,
        units: Sequence[Unit],
        exceptions: list[ExceptionRow],
        audits: orders.Audits,
    ) -> None:
        milestones = [row for unit in units for row in unit.milestones]
        await self._insert(connection, s.milestone, self._q.milestone, milestones)
        timers = {row.id: row for unit in units for row in unit.timers}  # a timer started again replaces itself
        done = [(id,) for unit in units for id in unit.timers_done]
        await self._many(connection, self._q.timer_done, [*done, *((id,) for id in timers)])
        await self._many(connection, self._q.timer, [_astuple(row) for row in timers.values()])
        if exceptions:
            numbers = self._take(s.exception, len(exceptions))
            rows = [(n, *_astuple(row)[:-1], None, row.tenant) for n, row in zip(numbers, exceptions, strict=True)]
            await self._many(connection, self._q.exception, rows)
            for row in exceptions:
                facts = _facts(failure=row.failure, owner=row.owner, cause=row.cause)
                inputs = f"message {row.message_id}" if row.message_id else ""
                what = (row.opened_at, "store", "exception.opened", row.intent_id or row.key, facts)
                audits.append(Entry(*what, inputs=inputs))
        events = [row for unit in units for row in unit.gate_events]
        await self._insert(connection, s.gate_event, self._q.gate_event, events)
        compared = [row for unit in units for row in unit.reconciliations]
        await self._insert(connection, s.reconciliation, self._q.reconciliation, compared)
        await self._strays(connection, units)
        await orders.fold(connection, self._q, units, self._take, audits)

    async def _strays(self, connection: AsyncConnection, units: Sequence[Unit]) -> None:
        found = {(row.system, row.intent_id, row.document): row for unit in units for row in unit.strays}
        await self._many(connection, self._q.stray_gone, list(found))
        await self._many(connection, self._q.stray, [(*_astuple(row), None) for row in found.values()])
        settled = [(end.at, end.system, end.intent_id) for unit in units for end in unit.strays_settled]
        await self._many(connection, self._q.stray_settled, settled)

    async def _audit(self, connection: AsyncConnection, units: Sequence[Unit], audits: orders.Audits) -> None:
        for unit in units:
            audits.extend(
                Entry(a.at, a.actor, a.verb, a.subject, _facts(**a.facts), a.cause, a.policy, a.inputs)
                for a in unit.audits
            )
        rows = []
        for seq, entry in zip(self._take(s.audit, len(audits)), map(chain.plain, audits), strict=True):
            self.head = chain.link(self.head, seq, entry)
            rows.append((seq, *entry[:5], self.head, *entry[5:]))
        await self._many(connection, self._q.audit, rows)


def _duplicate(accept: Accept, known: tuple[int, str, str, str]) -> Accepted:
    seq, fingerprint, original_id, original_type = known
    return Accepted(seq, True, fingerprint != accept.row.fingerprint, original_id, original_type)


def _call_values(row: CallRow, seq: int) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(row),
        "seq": seq,
        "ref": row.order_ref,
        "status": "waiting",
        "open": 1,
        "attempts": 0,
        "sent": 0,
        "changed_at": row.requested_at,
        "document": None,
        "reason": None,
        "unanswered_at": 0,
    }


def _change_values(change: CallChange) -> dict[str, Any]:
    call = change.call
    wrong = wrong_step(change.was, call.status, sent=call.sent, document=call.document, reason=call.reason)
    if wrong is not None:
        raise IllegalStep(f"call {call.intent_id} cannot go from {wrong}")
    values = {**msgspec.structs.asdict(call), "of_seq": call.seq, "was": change.was}
    # what a person puts back in line gets its turn when nobody of its key is under way
    return values if change.was in OPEN else {**values, "ready": 0}


def _settled(changes: Iterable[CallChange]) -> list[tuple[Any, ...]]:
    """How many more, or fewer, calls there are in each state in which nothing is left to do."""
    more: Counter[tuple[str, str, str]] = Counter()
    for change in changes:
        call = change.call
        if call.status not in OPEN:
            more[call.system, call.lane, call.status] += 1
        if change.was not in OPEN:
            more[call.system, call.lane, change.was] -= 1
    return [(*key, count) for key, count in more.items()]


def _requested(row: CallRow, at: int) -> Entry:
    facts = _facts(key=row.key, minor=row.minor, currency=row.currency, fingerprint=row.fingerprint)
    what = (at, row.actor or row.system, "call.requested", row.intent_id, facts)
    return Entry(*what, row.cause, row.policy, _inputs(row))


def _inputs(call: Call | CallRow) -> str:
    return f"message {call.message_id} body {call.fingerprint}"


def _intent_reused(row: CallRow, at: int) -> ExceptionRow:
    return ExceptionRow(
        key=row.key,
        failure="data_quality",
        owner="finance",
        cause=f"intent {row.intent_id} was used before with other content; the first one stands, this one was not sent",
        message_id=row.message_id,
        intent_id=row.intent_id,
        body=row.body,
        opened_at=at,
        tenant=row.tenant,
    )
