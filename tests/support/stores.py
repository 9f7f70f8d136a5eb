"""A store with its writer running, as the supervision tree would run it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from broker.store.store import Store


@asynccontextmanager
async def running_store(directory: Path) -> AsyncIterator[Store]:
    """Open the store of a directory and run its writer for the length of the block."""
    async with Store(directory) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.writer.run)
        try:
            yield store
        finally:
            tasks.cancel_scope.cancel()


async def explain(store: Store, sql: str, compiled: Any, parameters: Mapping[str, Any] | None) -> list[str]:
    """What SQLite says it does for a query."""
    given = compiled.construct_params(parameters)
    async with store._engines[1].connect() as connection:
        found = await connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {sql}", tuple(given[name] for name in compiled.positiontup)
        )
        return [row[3] for row in found]
