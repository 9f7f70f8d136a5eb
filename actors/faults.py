"""Faults for tests only: actors that misbehave in a running daemon. Nothing else reads the switch.

`TIDEGATE_TEST_FAULT=KIND:ACTOR[:STARTS]` lets the actor of that name live for a moment and then ends it badly, at each
of its first STARTS starts (without a number: at every start). Kinds:

crash   raises an exception
cancel  ends by a CancelledError that nobody sent, as a library's does
return  returns although nobody asked it to
hang    gives no more sign of life, but can be cancelled
deaf    gives no more sign of life and ignores cancellation
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from loguru import logger

from actors.runtime.actor import Actor, Context
from actors.tree import Make

SWITCH = "TIDEGATE_TEST_FAULT"
KINDS = ("crash", "cancel", "return", "hang", "deaf")
LIFE_SECONDS = 0.3


class UnknownFault(ValueError):
    """The switch names no fault that there is, or no actor of the tree."""


class InjectedCrash(Exception):
    """The crash that a test asked for."""


class FaultyActor:
    """The real actor for a moment; then the fault."""

    def __init__(self, actor: Actor, kind: str) -> None:
        self._actor = actor
        self._kind = kind

    async def run(self, context: Context) -> None:
        """Live, be cut off in the middle of whatever is being done, misbehave.

        Raises:
            InjectedCrash: the fault is `crash`.
        """
        life = asyncio.ensure_future(self._actor.run(context))
        try:
            await context.clock.wait(context.stop_asked, LIFE_SECONDS)
        finally:
            life.cancel()
            await asyncio.wait({life})
        match self._kind:
            case "crash":
                raise InjectedCrash("a test asked for this crash")
            case "cancel":
                raise asyncio.CancelledError
            case "hang":
                await asyncio.Event().wait()
            case "deaf":
                await _ignore_everything()


async def _ignore_everything() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


def with_faults(makers: Mapping[str, Make], environ: Mapping[str, str] = os.environ) -> dict[str, Make]:
    """The makers of the tree's leaves; those that the switch names make actors that misbehave.

    Raises:
        UnknownFault: the switch cannot be understood.
    """
    told = environ.get(SWITCH)
    if not told:
        return dict(makers)
    kind, _, rest = told.partition(":")
    name, _, count = rest.partition(":")
    if kind not in KINDS or name not in makers or (count and not count.isdecimal()):
        raise UnknownFault(
            f"{SWITCH}={told}: expected KIND:ACTOR or KIND:ACTOR:STARTS, with one of {', '.join(KINDS)} "
            f"and one of {', '.join(makers)}"
        )
    logger.warning("a fault for tests is switched on: {}", told)
    return {**makers, name: _Faulty(makers[name], kind, int(count) if count else None)}


class _Faulty:
    def __init__(self, make: Make, kind: str, starts: int | None) -> None:
        self._make = make
        self._kind = kind
        self._left = starts

    def __call__(self) -> Actor:
        if self._left == 0:
            return self._make()
        if self._left is not None:
            self._left -= 1
        return FaultyActor(self._make(), self._kind)
