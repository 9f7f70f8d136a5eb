"""A call on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from actors.caller.first_looks import to_look_up
from actors.caller.gate import Admission
from actors.caller.steps import in_flight
from broker.store.rows import Call, CallChange, SpendRow
from broker.store.unit import Unit


class Flight(msgspec.Struct):
    """A call on its way: `post`, `find`, or `look` (a waiting call that is looked up instead of sent).

    It leaves at the moment of its admission, or as soon after as it can.
    """

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


def begin(flights: Sequence[Flight], system: str, domain: str, boot: str, now: int) -> Unit:
    """What has to be durable before they leave: intents and spent budget. The flights' calls become what is stored."""
    unit = Unit(now)
    for flight in flights:
        if flight.kind != "find":
            flight.call = in_flight(flight.call, now) if flight.kind == "post" else to_look_up(flight.call, now)
            unit.call_changes.append(CallChange(flight.call, "waiting", domain))
        lease = flight.admission.lease
        kind = "post" if flight.kind == "post" else "find"
        intent, started = flight.call.intent_id, lease.admitted_ns
        unit.spends.append(SpendRow(flight.spend, system, kind, intent, boot, started, now, lease.object))
    return unit
