"""What is written when the ledger is held against a system, in the order of the tables' columns."""

from __future__ import annotations

import msgspec


class ReconciliationRow(msgspec.Struct, frozen=True, kw_only=True):
    """The store was held against a system (`look`, `cycle`, `verify`), or was found to be older than it once was
    (`restore`, with no system). `of`: the restore after which it was looked. `facts`: a JSON object.
    """

    kind: str
    system: str
    of: int | None = None
    why: str
    started_at: int
    ended_at: int
    facts: str


class StrayRow(msgspec.Struct, frozen=True, kw_only=True):
    """A document at a system that no call of ours explains: a call of this intent is looked up before it is sent."""

    system: str
    intent_id: str
    document: str
    amount: str
    currency: str
    account: str
    found_at: int


class StrayEnd(msgspec.Struct, frozen=True):
    """The documents of this intent are explained now, or are gone."""

    system: str
    intent_id: str
    at: int
