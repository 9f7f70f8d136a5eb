"""Who this is about, by the systems of record: account, contract, tier, entitlement, invoices; may it go on?"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

READS: Final[Mapping[str, str]] = {"account.read": "account", "invoices.read": "invoices"}
"""Operations that only read, and what they read."""


class AccountRecord(Struct, frozen=True):
    """What the CRM says of an account."""

    contract: str
    status: str
    tier: str
    entitled: bool


class InvoicesRecord(Struct, frozen=True):
    """What billing says of an account: open and overdue invoices."""

    open: int
    overdue: int


_KINDS: Final[Mapping[str, type[Struct]]] = {"account.read": AccountRecord, "invoices.read": InvoicesRecord}


def record_text(operation: str, raw: bytes) -> str:
    """The part of an answer that is kept, as canonical JSON. Raises msgspec.MsgspecError when it is no such record."""
    record = msgspec.json.decode(raw, type=_KINDS[operation])
    return msgspec.json.encode(record, order="deterministic").decode()


def refusal(operation: str, text: str, kind: str) -> str | None:
    """Why a process of this kind must not go on for what was read; None when it may. An unreadable text is a reason."""
    try:
        record: Any = msgspec.json.decode(text, type=_KINDS[operation])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return f"what {operation} has read makes no sense"
    if not isinstance(record, AccountRecord):
        return None
    if record.status != "active":
        return f"contract {record.contract} is {record.status}"
    if kind == "credit" and not record.entitled:
        return f"contract {record.contract} ({record.tier}) is not entitled to service credits"
    return None


def words(operation: str, text: str) -> str:
    """A record in words, for people."""
    try:
        record: Any = msgspec.json.decode(text, type=_KINDS[operation])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return text
    if isinstance(record, AccountRecord):
        entitled = "entitled" if record.entitled else "not entitled"
        return f"contract {record.contract}, {record.status}, tier {record.tier}, {entitled}"
    return f"{record.open} open invoices, {record.overdue} overdue"
