"""Storing what exists nowhere else, however long the store is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from actors.runtime.actor import Context
from broker.store.store import StoreUnavailable

RETRY_SECONDS = 0.5
"""How long to wait before the store is asked again."""


async def insist(store: Callable[[], Awaitable[object]], what: str, context: Context) -> bool:
    """Store it, however long the store takes to be well again; whether it was stored.

    Asked to stop, it gives up instead: the store may be waiting for our end before its writer is started again.
    """
    while True:
        try:
            await store()
            return True
        except StoreUnavailable as problem:
            context.notice(f"{what} waits to be stored: {problem}")
            if context.stopping:
                return False
            await context.clock.wait(context.stop_asked, RETRY_SECONDS)
