"""A store with its writer running, as the supervision tree would run it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

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
