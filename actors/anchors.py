"""The keeper of anchors: tells a file outside the database, now and then, what the audit's chain has come to."""

from __future__ import annotations

import asyncio

from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.store.anchoring import Anchoring
from broker.store.store import StoreUnavailable

_RETRY_SECONDS = 0.5
_BEAT_SECONDS = 1.0


class AnchorKeeper:
    """Up before anybody else writes and down after everybody else, so that a stop leaves nothing unanchored."""

    def __init__(self, anchoring: Anchoring, every_seconds: float) -> None:
        self._anchoring = anchoring
        self._every_seconds = every_seconds

    async def run(self, context: Context) -> None:
        """An anchor at the start, one at each interval in which something happened, one at the end.

        A place that cannot be written is told to the log and tried again; nothing else waits for it.
        """
        marked = await self._mark(context, "start")
        context.ready()  # also without: the store's trouble is its writer's, and a start must not wait for it for ever
        while not marked and not await context.pause(context.stop_asked, _RETRY_SECONDS):
            marked = await self._mark(context, "start")
        while not await context.pause(context.stop_asked, self._every_seconds):
            await self._mark(context, "regular")
        await self._mark(context, "stop")

    async def _mark(self, context: Context, event: str) -> bool:
        """Whether the store has the announcement."""
        marking = asyncio.ensure_future(self._anchoring.mark(event, microseconds(context.clock.now())))
        try:
            while not marking.done():
                context.beat()
                await asyncio.wait({marking}, timeout=_BEAT_SECONDS)
            marking.result()
        except (StoreUnavailable, TimeoutError) as problem:
            context.notice(f"no anchor: {problem}")
            return False
        except OSError as problem:
            context.notice(f"the anchor file cannot be written: {problem}")
        finally:
            marking.cancel()
        return True
