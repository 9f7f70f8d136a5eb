"""Stores that are not true to their word, for planted bugs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from broker.store.store import Store
from broker.store.unit import Accepted, Committed, Unit

SECONDS = 0.3
"""How late what comes late is."""


class Late:
    """A store that says it has, and then does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads, self.counters = store.reads, store.counters

    async def commit(self, unit: Unit) -> Committed:
        """Later."""
        self.task = asyncio.create_task(self._commit(unit))
        return Committed([Accepted(0, False, False, a.row.id, a.row.type) for a in unit.accepts])

    async def _commit(self, unit: Unit) -> None:
        await asyncio.sleep(SECONDS)
        await self._store.commit(unit)


class Halves:
    """A store that writes a unit in two transactions: first what `part` takes out of it."""

    def __init__(self, store: Store, part: Callable[[Unit], Unit | None]) -> None:
        self._store, self._part = store, part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, unit: Unit) -> Committed:
        """Twice, when there is something to take out."""
        first = self._part(unit)
        if first is not None:
            await self._first(first)
        return await self._rest(unit)

    async def _first(self, unit: Unit) -> None:
        await self._store.commit(unit)

    async def _rest(self, unit: Unit) -> Committed:
        return await self._store.commit(unit)


class Without:
    """A store that forgets what was spent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def commit(self, unit: Unit) -> Committed:
        """All but the spends."""
        unit.spends.clear()
        return await self._store.commit(unit)
