"""Operator verbs when no daemon runs: written into the store, in force from the next start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from actors.controls import OPPOSITE, VERBS, Controls, Order
from actors.operator_records import Command
from actors.runtime.clock import SystemClock, microseconds
from broker.store.store import Store


def operate(directory: Path, verb: str, target: str, command: Command) -> dict[str, Any]:
    """Give or end an order in the store itself.

    Raises:
        StoreRefused: a daemon has the store after all, or it cannot be used.
    """
    return asyncio.run(_operate(directory, verb, target, command))


async def _operate(directory: Path, verb: str, target: str, command: Command) -> dict[str, Any]:
    clock = SystemClock()
    async with Store(directory) as store:
        writing = asyncio.ensure_future(store.writer.run())
        try:
            controls = Controls(store, clock)
            await controls.load()
            done = True
            if verb in VERBS:
                until, begins = (None if at is None else microseconds(at) for at in (command.until, command.begins))
                await controls.give(Order(verb, target, command.who, command.reason, until, begins))
            else:
                done = await controls.end(OPPOSITE[verb], target, command.who, command.reason)
            await store.writer.idle()
        finally:
            writing.cancel()
            await asyncio.wait({writing})
    note = "no daemon is running; it is in the store and holds from the next start"
    return {"verb": verb, "target": target, "done": done, "note": note if done else "there was nothing to end"}
