"""What is asked of the store about messages that a broker gave up on."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from broker.store import schema as s
from broker.store.reads import Reads


async def accepted(reads: Reads, dedupes: Collection[str]) -> dict[str, bool]:
    """Of those that were accepted here: whether they have had their effects. Raises TimeoutError."""
    c = s.message.c
    return {
        dedupe: handled_at is not None
        for dedupe, handled_at in await reads.rows(select(c.dedupe, c.handled_at).where(c.dedupe.in_(dedupes)))
    }


async def with_a_person(reads: Reads, keys: Collection[str]) -> set[tuple[str, bytes | None]]:
    """Open exceptions of these business keys: key and kept message. Raises TimeoutError."""
    c = s.exception.c
    query = select(c.key, c.body).where(c.key.in_(keys), c.closed_at.is_(None))
    return {(key, body) for key, body in await reads.rows(query)}
