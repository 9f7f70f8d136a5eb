"""A call on its way."""

from __future__ import annotations

import asyncio

import msgspec

from actors.caller.gate import Admission
from broker.store.rows import Call


class Flight(msgspec.Struct):
    """A call on its way: `post` or `find`. It leaves at the moment of its admission, or as soon after as it can."""

    admission: Admission
    kind: str
    call: Call
    spend: int
    held_ns: int = 0
    left: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    @property
    def leaves_ns(self) -> int:
        """Not before this (boot clock)."""
        return self.admission.lease.admitted_ns
