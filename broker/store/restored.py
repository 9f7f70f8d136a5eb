"""Noticing, when a store is opened, that it is not what it once was: restored from a backup, or gone."""

from __future__ import annotations

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from broker.store import schema as s
from broker.store.mark import Mark

RESTORE = "restore"
"""The kind of a reconciliation that says so."""


class Restored(msgspec.Struct, frozen=True):
    """What a restore is known to have cost. Times in microseconds since the epoch.

    `knows_until`: the last audit entry that the store has (None: it has none); `lived_until`: when the mark was made.
    `missing`: audit entries that are not there any more; None if nobody can say.
    """

    knows_until: int | None
    lived_until: int | None
    missing: int | None


async def notice(engine: AsyncEngine, epoch: str, mark: Mark | None, at: int, asked: bool) -> str | None:
    """Hold the store against its mark, and keep in the store that it is older; why, or None if it is as it was.

    Before the writer runs. `asked`: an operator says that it may be older, whatever the mark says. `at` in
    microseconds since the epoch. A kill right after it costs nothing: what was noticed is in the store.

    Raises:
        sqlalchemy.exc.DBAPIError: the store cannot be read or written.
    """
    async with engine.begin() as connection:
        newest = select(s.audit.c.seq, s.audit.c.at).order_by(s.audit.c.seq.desc()).limit(1)
        last_seq, last_at = (await connection.execute(newest)).first() or (0, None)
        why = await _why(connection, epoch, mark, last_seq)
        if why is None and asked:
            why = "the settings say that the store may be older than what was posted"
        if why is None:
            return None
        missing = None if mark is None else max(mark.audit - last_seq, 0)
        facts = Restored(last_at, mark.at if mark else None, missing)
        number = (await connection.execute(select(func.max(s.reconciliation.c.seq)))).scalar() or 0
        text = msgspec.json.encode(facts).decode()
        row = {"seq": number + 1, "kind": RESTORE, "system": "", "of": None, "why": why}
        await connection.execute(insert(s.reconciliation).values(**row, started_at=at, ended_at=at, facts=text))
    return why


async def _why(connection: AsyncConnection, epoch: str, mark: Mark | None, last_seq: int) -> str | None:
    if mark is None:
        return None
    if mark.epoch != epoch:
        return "the store is another one than the one that was here: it is new, or a copy of somebody else's"
    if last_seq < mark.audit:
        return f"the store is older than it once was: {mark.audit - last_seq} audit entries are missing at its end"
    if mark.audit == 0:
        return None
    query = select(s.audit.c.hash).where(s.audit.c.seq == mark.audit)
    if (await connection.execute(query)).scalar() != mark.head:
        return f"the store went another way than the one that was here: audit entry {mark.audit} is not the same"
    return None
