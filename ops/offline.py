"""Operator verbs when no daemon runs: written into the store, in force from the next start."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

from actors.controls import OPPOSITE, VERBS, Controls, Order
from actors.runtime.clock import SystemClock, microseconds
from broker.store.store import Store


def operate(directory: Path, verb: str, target: str, who: str, reason: str, until: datetime | None) -> dict[str, Any]:
    """Give or end an order in the store itself.

    Raises:
        StoreRefused: a daemon has the store after all, or it cannot be used.
    """
    return asyncio.run(_operate(directory, verb, target, who, reason, until))


async def _operate(
    directory: Path, verb: str, target: str, who: str, reason: str, until: datetime | None
) -> dict[str, Any]:
    clock = SystemClock()
    async with Store(directory) as store:
        writing = asyncio.ensure_future(store.writer.run())
        try:
            controls = Controls(store, clock)
            await controls.load()
            done = True
            if verb in VERBS:
                end = microseconds(until) if until else None
                await controls.give(Order(verb, target, who, reason, end))
            else:
                done = await controls.end(OPPOSITE[verb], target, who, reason)
            await store.writer.idle()
        finally:
            writing.cancel()
            await asyncio.wait({writing})
    note = "no daemon is running; it is in the store and holds from the next start"
    return {"verb": verb, "target": target, "done": done, "note": note if done else "there was nothing to end"}
