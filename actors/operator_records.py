"""What operators ask for and are answered: the shapes of commands, effects and what takes them back."""

from __future__ import annotations

from datetime import datetime

import msgspec

from actors.controls import Order

CANCELLED = "operator.cancelled"
"""The code under which a call is refused that an operator has cancelled."""
KEYS_MAX = 1_000
"""Keys that one command may name."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Give or end a standing order; `begins` and `until` are RFC 3339 with an offset."""

    target: str
    reason: str
    who: str
    until: datetime | None = None
    begins: datetime | None = None
    dry_run: bool = False


class SettingCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Set something live, or with `unset` end that; `value` is written as in the settings."""

    name: str
    target: str
    reason: str
    who: str
    value: str = ""
    until: datetime | None = None
    dry_run: bool = False


class WorkCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Do something to waiting work: named by business keys (or intent ids), or by a scope, or both.

    `lane` and `not_before` say where it goes; `older_seconds` narrows to what has waited so long.
    """

    reason: str
    who: str
    keys: tuple[str, ...] = ()
    scope: str | None = None
    older_seconds: int | None = None
    lane: str | None = None
    not_before: datetime | None = None
    dry_run: bool = False


class CommitCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Carry out what a dry run has shown under this token."""

    token: str
    who: str


class UndoCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Take back a done operation."""

    operation: str
    reason: str
    who: str


class Effect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the command did, or would do: work that stands still or moves on because of it.

    `money` is the sum of the concerned calls by currency, as decimal text. `eta` is when the last of them is expected
    at its system as things stand, `eta_after` when with this command; absent when nobody can say. `operation` names
    it for `undo`; `token` carries out what a dry run has shown, until `expires`.
    """

    verb: str
    target: str
    done: bool
    waiting_calls: int
    queued_messages: int
    in_flight_calls: int
    note: str
    money: dict[str, str] = {}
    eta: str | None = None
    eta_after: str | None = None
    before: str | None = None
    after: str | None = None
    until: str | None = None
    keys: list[str] = []
    left_alone: list[str] = []
    export: str | None = None
    operation: str | None = None
    token: str | None = None
    expires: str | None = None


class Moved(msgspec.Struct, frozen=True):
    """Where a call stood before it was moved, and where it was put."""

    seq: int
    intent_id: str
    lane: str
    order_ref: str
    not_before: int
    lane_after: str
    not_before_after: int


class Given(msgspec.Struct, frozen=True):
    """An order that an operation gave, at this moment."""

    verb: str
    target: str
    since: int


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What takes an operation back: end what it gave, give back what it ended, move back what it moved."""

    ends: tuple[Given, ...] = ()
    orders: tuple[Order, ...] = ()
    moves: tuple[Moved, ...] = ()
