"""What is known about one message type at one version."""

import builtins
from collections.abc import Callable
from datetime import date
from typing import Any, Literal

import msgspec

from contracts.envelope import Envelope, Lane

SCHEMA_PREFIX = "urn:tidegate:"
OnStuck = Literal["hold", "pass"]
"""What later calls of a key do while one of them is with a person: wait for it, or go on."""


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """One message type at one version, its owner and its window of compatibility.

    `opened` is the first day it is taken, `closes` the first day it is not (None: never). `upcast` turns
    its data into the next version's. `lane` is a fixed lane, or reads it from the data. `internal`: only we send it,
    so no door takes it. `on_stuck` is the workflow's rule for calls behind one that is with a person, or reads it from
    the data: where a later one builds on an earlier one they wait, else they go on.
    """

    type: str
    version: int
    struct: builtins.type[msgspec.Struct]
    kind: Literal["event", "command"]
    owner: str
    domain: str
    summary: str
    opened: date
    closes: date | None = None
    upcast: Callable[[Any], msgspec.Struct] | None = None
    business_key: Callable[[Any], str]
    partition_key: Callable[[Any], str]
    lane: Lane | Callable[[Any], Lane] = "standard"
    internal: bool = False
    on_stuck: OnStuck | Callable[[Any], OnStuck] = "pass"

    @property
    def dataschema(self) -> str:
        """The CloudEvents `dataschema` that names this contract."""
        return f"{SCHEMA_PREFIX}{self.type}:{self.version}"

    def lane_of(self, env: Envelope, data: msgspec.Struct) -> Lane:
        """The lane of a message: the one its envelope names, else the contract's."""
        if env.lane is not None:
            return env.lane
        return self.lane(data) if callable(self.lane) else self.lane

    def stuck_rule(self, data: msgspec.Struct) -> OnStuck:
        """Whether later calls of the key wait while a call of this message is with a person."""
        return self.on_stuck(data) if callable(self.on_stuck) else self.on_stuck

    def is_open(self, on: date | None) -> bool:
        """Whether messages are taken on that day; without a day, always."""
        return on is None or self.closes is None or on < self.closes
