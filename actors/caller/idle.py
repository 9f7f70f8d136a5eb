"""Waiting for whatever comes first."""

from __future__ import annotations

import asyncio

from actors.runtime.actor import Context


async def idle(wake: asyncio.Event, seconds: float, context: Context) -> None:
    """Return when `wake` is set, a stop is asked for, or the time is over; `wake` is clear then.

    Cancelling leaves nothing behind.
    """
    if not wake.is_set():
        waiter = asyncio.ensure_future(wake.wait())
        stop = asyncio.ensure_future(context.stop_asked.wait())
        alarm = asyncio.ensure_future(context.clock.sleep(seconds))
        try:
            await asyncio.wait({waiter, stop, alarm}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiter, stop, alarm):
                task.cancel()
    wake.clear()
