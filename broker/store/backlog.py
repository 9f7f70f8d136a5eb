"""Questions about the calls that wait for a system, each answered by an index however many they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import ColumnClause, Select, bindparam, func, literal_column, select, tuple_

from broker.store import schema as s
from broker.store.reads import Reads
from broker.store.row_readers import read_call
from broker.store.rows import Call
from policies.order import Place

_READY: ColumnClause[int] = literal_column("ready = 1")


def _heads(fresh: bool) -> Select[Any]:
    """For each wanted line one look into the index `call_line`; the outer loop is the list of lines."""
    line = func.json_each(bindparam("wanted")).table_valued("value", name="line")
    of = s.call.alias("of")
    names = (of.c.lane, of.c.tenant, of.c.workload, of.c.operation, of.c.partition)
    first = (
        select(of.c.seq)
        .where(
            literal_column("of.ready = 1"),
            of.c.system == bindparam("of_system"),
            *(name == func.json_extract(line.c.value, f"$[{place}]") for place, name in enumerate(names)),
            of.c.not_before <= bindparam("until"),
            *([of.c.sent == 0] if fresh else []),
        )
        .order_by(of.c.deadline, of.c.seq)
        .limit(bindparam("most"))
        .correlate(line)
    )
    return select(s.call).select_from(line).join(s.call, s.call.c.seq.in_(first.scalar_subquery()))


_HEADS, _FRESH_HEADS = _heads(fresh=False), _heads(fresh=True)


class Backlog:
    """What waits for one system. Read-only; every method may be cancelled and may raise TimeoutError."""

    def __init__(self, reads: Reads, system: str) -> None:
        self._reads = reads
        self._system = system

    async def lines(self) -> list[Place]:
        """The lines that have calls which nothing of their own key holds back, delayed ones included."""
        c = s.call.c
        names = (c.lane, c.tenant, c.workload, c.operation, c.partition)
        query = select(*names).where(_READY, c.system == self._system).group_by(*names)
        return [Place(*row) for row in await self._reads.rows(query)]

    async def heads(self, lines: Iterable[Place], limit: int, now: int, fresh: bool = False) -> list[Call]:
        """The first calls of each line that may go now, at most `limit` of each; `fresh`: those never sent only."""
        wanted = msgspec.json.encode([tuple(line) for line in lines]).decode()
        given = {"wanted": wanted, "of_system": self._system, "until": now, "most": limit}
        return [read_call(row) for row in await self._reads.rows(_FRESH_HEADS if fresh else _HEADS, given)]

    async def due(self, after: int, until: int) -> list[Place]:
        """The lines of calls whose delay has ended within a span (microseconds), its end included."""
        c = s.call.c
        query = (
            select(c.lane, c.tenant, c.workload, c.operation, c.partition)
            .where(_READY, literal_column("not_before > 0"), c.system == self._system)
            .where(c.not_before > after, c.not_before <= until)
            .distinct()
        )
        return [Place(*row) for row in await self._reads.rows(query)]

    async def lines_of(self, order_refs: Collection[str]) -> list[Place]:
        """The lines of the calls of these keys that may go."""
        c = s.call.c
        names = (c.lane, c.tenant, c.workload, c.operation, c.partition)
        query = select(*names).where(c.order_ref.in_(order_refs), literal_column("open = 1"), c.ready == 1).distinct()
        return [Place(*row) for row in await self._reads.rows(query)]

    async def before(self, call: Call) -> int:
        """Waiting calls of the same lane, tenant and workload that go before this one."""
        c = s.call.c
        query = select(func.count()).where(
            c.system == self._system,
            _READY,
            c.lane == call.lane,
            c.tenant == call.tenant,
            c.workload == call.workload,
            tuple_(c.deadline, c.seq) < (call.deadline, call.seq),
        )
        return int((await self._reads.rows(query))[0][0])

    async def longest_keys(self, count: int) -> list[tuple[str, int]]:
        """The keys with the most open calls, more than one, and how many; the longest first."""
        c, of = s.call.c, s.call.alias("of")
        behind = (
            select(c.order_ref)
            .where(literal_column(s.BEHIND), c.order_ref.like(f"{self._system}|%"))
            .group_by(c.order_ref)
            .order_by(func.count().desc(), c.order_ref)
            .limit(count)
            .subquery()
        )
        number = select(func.count()).where(of.c.order_ref == behind.c.order_ref, literal_column("of.open = 1"))
        found = await self._reads.rows(select(behind.c.order_ref, number.scalar_subquery()))
        return sorted(((ref, int(calls)) for ref, calls in found), key=lambda pair: (-pair[1], pair[0]))
