"""The writer's statements: written once in SQLAlchemy Core, compiled once for the engine's dialect.

The hot ones run as driver SQL with tuples in column order, which costs about a quarter of the usual parameter
handling; the text still comes from the schema, so both databases share it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Dialect, Table, bindparam, case, delete, exists, func, insert, select, update
from sqlalchemy.dialects import sqlite

from broker.store import schema as s


class Compiled:
    """SQL text for one dialect and the order in which it wants its parameters."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self.order: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def arrange(self, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        """Rows by name, as tuples in the statement's order; constants in the statement fill themselves in."""
        constants = self._constants
        return [tuple(row[n] if n in row else constants[n] for n in self.order) for row in rows]


def _insert(table: Table) -> Any:
    return insert(table).values({column.name: bindparam(column.name) for column in table.columns})


def _call_insert() -> Any:
    """A new call is ready at once unless an earlier open call of the same key and lane stands before it."""
    values: dict[str, Any] = {column.name: bindparam(column.name) for column in s.call.columns}
    earlier = s.call.alias()
    blocked = exists(select(1).select_from(earlier).where(earlier.c.order_ref == bindparam("ref"), earlier.c.open == 1))
    values["ready"] = case((blocked, 0), else_=1)
    return insert(s.call).values(values)


def _call_change() -> Any:
    names = ["status", "open", "ready", "attempts", "sent", "not_before", "changed_at", "document", "reason"]
    names.append("unanswered_at")
    return (
        update(s.call)
        .where(s.call.c.seq == bindparam("of_seq"), s.call.c.status == bindparam("was"))
        .values({name: bindparam(name) for name in names})
    )


def _promote() -> Any:
    """After a call is closed or has left its line, the next open one of its key becomes ready.

    Not while another one of the line is ready or under way: a call that was moved into a line waits for it, although
    its number may be lower.
    """
    other, busy = s.call.alias(), s.call.alias()
    head = (
        select(func.min(other.c.seq)).where(other.c.order_ref == bindparam("ref"), other.c.open == 1).scalar_subquery()
    )
    active = exists(
        select(1)
        .select_from(busy)
        .where(
            busy.c.order_ref == s.call.c.order_ref,
            busy.c.open == 1,
            (busy.c.ready == 1) | (busy.c.status != "waiting"),
        )
    )
    return update(s.call).where(s.call.c.seq == head, s.call.c.status == "waiting", ~active).values(ready=1)


def _call_move() -> Any:
    """To another lane or time. In its new lane it waits for whatever is open there for its key, if anything is."""
    other = s.call.alias()
    behind = exists(
        select(1)
        .select_from(other)
        .where(other.c.order_ref == bindparam("ref"), other.c.open == 1, other.c.seq != bindparam("self_seq"))
    )
    staying = s.call.c.order_ref == bindparam("same_ref")
    return (
        update(s.call)
        .where(
            s.call.c.seq == bindparam("of_seq"),
            s.call.c.status == "waiting",
            s.call.c.changed_at == bindparam("was_changed_at"),
        )
        .values(
            lane=bindparam("lane"),
            order_ref=bindparam("order_ref"),
            not_before=bindparam("not_before"),
            ready=case((staying, s.call.c.ready), (behind, 0), else_=1),
        )
    )


def _call_settled() -> Any:
    row = sqlite.insert(s.call_settled).values({c.name: bindparam(c.name) for c in s.call_settled.columns})
    key = (s.call_settled.c.system, s.call_settled.c.lane, s.call_settled.c.status)
    return row.on_conflict_do_update(index_elements=key, set_={"count": s.call_settled.c.count + row.excluded.count})


def _known(name: Column[Any]) -> Any:
    """The accepted messages with one of these keys: a JSON list, so that the text is the same however many they are."""
    m = s.message.c
    wanted = select(func.json_each(bindparam("keys")).table_valued("value").c.value)
    return select(name, m.seq, m.fingerprint, m.id, m.type).where(name.in_(wanted))


def _control_end(*more: Any) -> Any:
    return (
        update(s.control)
        .where(
            s.control.c.verb == bindparam("of_verb"),
            s.control.c.target == bindparam("of_target"),
            s.control.c.ended_at.is_(None),
            *more,
        )
        .values(ended_at=bindparam("ended_at"), ended_by=bindparam("ended_by"))
    )


def _state_save() -> Any:
    """Replaces the row; the only writer of a domain's key is its decider."""
    return delete(s.state).where(s.state.c.domain == bindparam("d"), s.state.c.key == bindparam("k"))


class Statements:
    """Everything the writer runs, compiled for a dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.message = Compiled(_insert(s.message), dialect)
        self.known_messages = Compiled(_known(s.message.c.dedupe), dialect)
        self.known_idempotency = Compiled(_known(s.message.c.idempotency), dialect)
        self.queue_item = Compiled(_insert(s.queue_item), dialect)
        self.handled = Compiled(
            update(s.message)
            .where(s.message.c.dedupe == bindparam("of"), s.message.c.handled_at.is_(None))
            .values(handled_at=bindparam("handled_at"), outcome=bindparam("outcome")),
            dialect,
        )
        self.settled = Compiled(delete(s.queue_item).where(s.queue_item.c.seq == bindparam("of")), dialect)
        self.published = Compiled(
            update(s.queue_item)
            .where(s.queue_item.c.seq == bindparam("of"))
            .values(published_at=bindparam("published_at")),
            dialect,
        )
        self.state_delete = Compiled(_state_save(), dialect)
        self.state = Compiled(_insert(s.state), dialect)
        self.process_delete = Compiled(delete(s.process).where(s.process.c.id == bindparam("of")), dialect)
        self.process = Compiled(_insert(s.process), dialect)
        self.wave_case = Compiled(_insert(s.wave_case), dialect)
        self.milestone = Compiled(_insert(s.milestone), dialect)
        self.call = Compiled(_call_insert(), dialect)
        self.call_change = Compiled(_call_change(), dialect)
        self.call_settled = Compiled(_call_settled(), dialect)
        self.promote = Compiled(_promote(), dialect)
        self.spend = Compiled(_insert(s.spend), dialect)
        self.spend_end = Compiled(
            update(s.spend)
            .where(s.spend.c.seq == bindparam("of"))
            .values({name: bindparam(name) for name in ("arrived_by_ns", "arrived_by_at", "execution_ns")}),
            dialect,
        )
        self.spend_gone = Compiled(delete(s.spend).where(s.spend.c.seq == bindparam("of")), dialect)
        self.spend_sum = Compiled(_insert(s.spend_sum), dialect)
        self.spend_sum_gone = Compiled(delete(s.spend_sum).where(s.spend_sum.c.seq == bindparam("of")), dialect)
        self.timer = Compiled(_insert(s.timer), dialect)
        self.timer_done = Compiled(delete(s.timer).where(s.timer.c.id == bindparam("of")), dialect)
        self.exception = Compiled(_insert(s.exception), dialect)
        self.control = Compiled(_insert(s.control), dialect)
        self.control_end = Compiled(_control_end(), dialect)
        self.control_past = Compiled(_control_end(s.control.c.until <= bindparam("past")), dialect)
        self.call_move = Compiled(_call_move(), dialect)
        self.exception_end = Compiled(
            update(s.exception)
            .where(s.exception.c.seq == bindparam("of"), s.exception.c.closed_at.is_(None))
            .values(closed_at=bindparam("closed_at"), body=bindparam("body")),
            dialect,
        )
        self.gate_event = Compiled(_insert(s.gate_event), dialect)
        self.audit = Compiled(_insert(s.audit), dialect)
        self._prepare_operations(dialect)
        self._prepare_strays(dialect)

    def _prepare_operations(self, dialect: Dialect) -> None:
        self.operation = Compiled(_insert(s.operation), dialect)
        self.operation_done = Compiled(
            update(s.operation)
            .where(s.operation.c.id == bindparam("of"), s.operation.c.done_at.is_(None))
            .values(done_at=bindparam("done_at"), effect=bindparam("effect"), undo=bindparam("undo")),
            dialect,
        )
        self.operation_undone = Compiled(
            update(s.operation)
            .where(s.operation.c.id == bindparam("of"), s.operation.c.undone_at.is_(None))
            .values(undone_at=bindparam("undone_at")),
            dialect,
        )

    def _prepare_strays(self, dialect: Dialect) -> None:
        stray = s.stray.c
        self.reconciliation = Compiled(_insert(s.reconciliation), dialect)
        self.stray = Compiled(_insert(s.stray), dialect)
        self.stray_gone = Compiled(
            delete(s.stray).where(
                stray.system == bindparam("s"), stray.intent_id == bindparam("i"), stray.document == bindparam("d")
            ),
            dialect,
        )
        self.stray_settled = Compiled(
            update(s.stray)
            .where(stray.system == bindparam("s"), stray.intent_id == bindparam("i"), stray.settled_at.is_(None))
            .values(settled_at=bindparam("settled_at")),
            dialect,
        )


known_calls = select(s.call.c.intent_id, s.call.c.fingerprint).where(
    s.call.c.intent_id.in_(bindparam("keys", expanding=True))
)
