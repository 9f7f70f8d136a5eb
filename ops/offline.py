"""Operator verbs when no daemon runs: written into the store, in force from the next start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from actors.controls import OPPOSITE, VERBS, Controls, Order
from actors.operator_records import Command
from actors.runtime.clock import SystemClock, microseconds
from broker.store.anchoring import Anchoring
from broker.store.anchors import AnchorFile
from broker.store.migrate import StoreRefused
from broker.store.store import Store


def operate(directory: Path, anchors: Path, verb: str, target: str, command: Command) -> dict[str, Any]:
    """Give or end an order in the store itself; `anchors` is the anchor file, which is told as a daemon tells it.

    Raises:
        StoreRefused: a daemon has the store after all, or it cannot be used.
    """
    try:
        return asyncio.run(_operate(directory, anchors, verb, target, command))
    except OSError as error:
        raise StoreRefused(f"the anchor file {anchors} cannot be written ({error.strerror})") from None


async def _operate(directory: Path, anchors: Path, verb: str, target: str, command: Command) -> dict[str, Any]:
    clock = SystemClock()
    async with Store(directory) as store:
        writing = asyncio.ensure_future(store.writer.run())
        try:
            anchoring = Anchoring(store, AnchorFile(anchors))
            await anchoring.mark("offline", microseconds(clock.now()))
            controls = Controls(store, clock)
            await controls.load()
            done = True
            if verb in VERBS:
                until, begins = (None if at is None else microseconds(at) for at in (command.until, command.begins))
                await controls.give(Order(verb, target, command.who, command.reason, until, begins))
            else:
                done = await controls.end(OPPOSITE[verb], target, command.who, command.reason)
            await anchoring.mark("stop", microseconds(clock.now()))
        finally:
            writing.cancel()
            await asyncio.wait({writing})
    note = "no daemon is running; it is in the store and holds from the next start"
    return {"verb": verb, "target": target, "done": done, "note": note if done else "there was nothing to end"}
