"""Folding what operators do: standing orders, moves of waiting calls, purges, and the record of operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.store import schema as s
from broker.store import statements as q
from broker.store.chain import Entry
from broker.store.rows import CallMove
from broker.store.unit import Unit

_astuple = msgspec.structs.astuple
_json = msgspec.json.Encoder(order="deterministic")
Audits = list[Entry]
Take = Callable[[Table, int], range]


class Conflict(Exception):
    """Somebody else has moved this on already: a message handled twice, or a call no longer in the expected state.

    Nothing of the unit was written. The receiver of a message may drop it: its effects exist.
    """


def audit_facts(**facts: Any) -> str:
    """The facts of an audit entry as JSON text; those that are None are left out."""
    return _json.encode({name: value for name, value in facts.items() if value is not None}).decode()


async def run_many(connection: AsyncConnection, statement: q.Compiled, rows: list[tuple[Any, ...]]) -> int:
    """Run a statement for each row; how many rows of the table it concerned."""
    if not rows:
        return 0
    return (await connection.exec_driver_sql(statement.sql, rows)).rowcount


async def fold(
    connection: AsyncConnection, compiled: q.Statements, units: Sequence[Unit], take: Take, audits: Audits
) -> None:
    """Standing orders (ends first), closed exceptions, and operations shown, done and undone.

    Raises:
        Conflict: something was closed, done or undone before.
    """
    await _end_orders(connection, compiled, units, audits)
    await _give_orders(connection, compiled, units, take, audits)
    ends = [{"of": end.seq, "closed_at": end.at, "body": None} for unit in units for end in unit.exception_ends]
    if await run_many(connection, compiled.exception_end, compiled.exception_end.arrange(ends)) != len(ends):
        raise Conflict("an exception of this unit is closed already")
    shown = [{**msgspec.structs.asdict(row), "undone_at": None} for unit in units for row in unit.operations]
    await run_many(connection, compiled.operation, compiled.operation.arrange(shown))
    done = [
        {"of": row.id, "done_at": row.at, "effect": row.effect, "undo": row.undo}
        for unit in units
        for row in unit.operations_done
    ]
    if await run_many(connection, compiled.operation_done, compiled.operation_done.arrange(done)) != len(done):
        raise Conflict("this operation was carried out already")
    undone = [(row.at, row.id) for unit in units for row in unit.operations_undone]
    if await run_many(connection, compiled.operation_undone, undone) != len(undone):
        raise Conflict("this operation was undone already")


async def _end_orders(
    connection: AsyncConnection, compiled: q.Statements, units: Sequence[Unit], audits: Audits
) -> None:
    for end in (end for unit in units for end in unit.control_ends):
        row: dict[str, Any] = {"ended_at": end.at, "ended_by": end.who, "of_verb": end.verb, "of_target": end.target}
        statement = compiled.control_end if end.past is None else compiled.control_past
        if await run_many(connection, statement, statement.arrange([{**row, "past": end.past}])):
            what = (end.at, end.who, f"{end.verb}.ended", end.target, audit_facts(reason=end.reason))
            audits.append(Entry(*what, cause=end.reason))


async def _give_orders(
    connection: AsyncConnection, compiled: q.Statements, units: Sequence[Unit], take: Take, audits: Audits
) -> None:
    given = [row for unit in units for row in unit.controls]
    numbers = take(s.control, len(given))
    rows = [(n, *_astuple(row), None, None) for n, row in zip(numbers, given, strict=True)]
    await run_many(connection, compiled.control, rows)
    for order in given:
        facts = audit_facts(reason=order.reason, until=order.until, begins=order.begins, value=order.value)
        audits.append(Entry(order.since, order.who, order.verb, order.target, facts, cause=order.reason))


async def move_calls(connection: AsyncConnection, compiled: q.Statements, units: Sequence[Unit], audits: Audits) -> int:
    """Give waiting calls another lane or time, and let those that stood behind them go on; how many those are.

    Raises:
        Conflict: one of them is no longer waiting as it was.
    """
    moves = [(unit.at, move) for unit in units for move in unit.call_moves]
    rows = compiled.call_move.arrange([_values(move) for _, move in moves])
    if await run_many(connection, compiled.call_move, rows) != len(rows):
        raise Conflict("a call of this unit is no longer waiting as it was")
    left = [{"ref": move.call.order_ref} for _, move in moves]
    promoted = await run_many(connection, compiled.promote, compiled.promote.arrange(left))
    for at, move in moves:
        before = {"lane": move.call.lane, "not_before": move.call.not_before}
        after = {"lane": move.lane, "not_before": move.not_before}
        facts = audit_facts(before=before, after=after, reason=move.reason)
        inputs = f"message {move.call.message_id} body {move.call.fingerprint}"
        audits.append(Entry(at, move.actor, "call.moved", move.call.intent_id, facts, move.reason, "", inputs))
    return promoted


def _values(move: CallMove) -> dict[str, Any]:
    return {
        "of_seq": move.call.seq,
        "self_seq": move.call.seq,
        "ref": move.order_ref,
        "same_ref": move.order_ref,
        "order_ref": move.order_ref,
        "lane": move.lane,
        "not_before": move.not_before,
        "was_changed_at": move.call.changed_at,
    }
