"""What a decider may ask for, and what can become of a message: closed sets, so that every branch is visible.

A decider touches nothing itself. It returns an outcome; all its effects become true in one transaction or none does.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from broker.store.rows import ProcessRow
from contracts.contract import OnStuck
from contracts.money import Money


class Emit(msgspec.Struct, frozen=True):
    """Send a message: a command to the domain that handles its type, an event to the exchange `tidegate.out`."""

    type: str
    data: msgspec.Struct
    lane: str | None = None


class SaveState(msgspec.Struct, frozen=True):
    """Replace the state of the message's key."""

    state: msgspec.Struct


class Milestone(msgspec.Struct, frozen=True):
    """The business object passed a named point, with the facts that somebody will ask about."""

    process: str
    name: str
    facts: dict[str, str]


class StartTimer(msgspec.Struct, frozen=True):
    """Deliver a message to this domain at a moment. One of the same `name` for the same key of a tenant is replaced."""

    name: str
    due: datetime
    type: str
    data: msgspec.Struct


class OpenException(msgspec.Struct, frozen=True):
    """Hand over to a person, with the message kept whole."""

    failure: str
    owner: str
    cause: str


class RequestCall(msgspec.Struct, frozen=True):
    """Have an outside system do something, once for this intent id, in order with the other calls of `order_key`.

    `cause` and `policy` (who led to it, which rules it was decided by) are those of the message where they are empty.
    `on_stuck`: whether those wait if this one gets stuck; None: as the registry has it for the message.
    """

    system: str
    operation: str
    intent_id: str
    order_key: str
    body: msgspec.Struct
    money: Money | None = None
    not_before: datetime | None = None
    cause: str = ""
    policy: str = ""
    on_stuck: OnStuck | None = None


class Track(msgspec.Struct, frozen=True):
    """Let a process be found: by its key, its phase, its incident."""

    row: ProcessRow


Effect: TypeAlias = Emit | SaveState | Milestone | StartTimer | OpenException | RequestCall | Track


class Done(msgspec.Struct, frozen=True):
    """Handled; these are the effects, in order."""

    effects: tuple[Effect, ...] = ()


class Reject(msgspec.Struct, frozen=True):
    """Not to be handled, ever, as it is: an exception with the whole message, for its owner."""

    failure: str
    owner: str
    cause: str


class Duplicate(msgspec.Struct, frozen=True):
    """Its effects exist already; there is nothing to do."""


Outcome: TypeAlias = Done | Reject | Duplicate
