"""What calls have used of the limits, as the store keeps it. `ns` is a boot's clock, `at` the wall clock."""

from __future__ import annotations

import msgspec


class SpendRow(msgspec.Struct, frozen=True):
    """A call that the system will have experienced: written before it starts, so that no crash forgets it."""

    id: int
    system: str
    kind: str
    intent_id: str
    boot: str
    started_ns: int
    started_at: int
    object: str | None = None


class SpendEnd(msgspec.Struct, frozen=True):
    """The latest instant at which the system can have seen the call, and how long it executed at most."""

    id: int
    arrived_by_ns: int
    arrived_by_at: int
    execution_ns: int | None = None


class SpendSum(msgspec.Struct, frozen=True):
    """What old spends add up to: calls that were over by a moment, on the clock of a boot and by the wall clock.

    `seq` is the highest id of a spend that it stands for.
    """

    seq: int
    system: str
    kind: str
    object: str | None
    boot: str
    until_ns: int
    until_at: int
    calls: int
    execution_ns: int
