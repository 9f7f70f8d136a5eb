"""The accepted list: what clients of the middleware were told, written from the HTTP answers they got.

JSON Lines: {"id":..,"key":..,"account":..,"tenant":..,"lane":"urgent","sequence":12,"accepted_ns":..,
"outcome":"posted|refused|approval|pending","reason":..,"reference":..,"amount":"12.50","currency":"EUR",
"expected":"post|refuse|either"}. `key` is what the ERP documents carry as `source_document`; `accepted_ns` is
on the clock of the ERP's log. A line for an `id` that was there before is the answer to a duplicate: it
brings the outcome up to date and moves nothing else.
"""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ops.certificate.model import Unreadable

Outcome = Literal["posted", "refused", "approval", "pending"]


class AcceptedRow(Struct, frozen=True):
    """One accepted message. `sequence` orders the messages of one account within a lane."""

    id: str
    key: str
    account: str
    lane: str
    sequence: int
    accepted_ns: int
    tenant: str = ""
    outcome: Outcome | None = None
    reason: str | None = None
    reference: str | None = None
    amount: str | None = None
    currency: str | None = None
    expected: Literal["post", "refuse", "either"] = "either"


class AcceptedList(Struct, frozen=True):
    """The rows, one per message id in order of acceptance, and the hash of the bytes they were read from."""

    rows: list[AcceptedRow]
    sha256: str
    bytes: int


def read_accepted(path: Path) -> AcceptedList:
    """Read the list in one pass. Raises Unreadable with the line and what was expected there."""
    rows: dict[str, AcceptedRow] = {}
    digest = hashlib.sha256()
    size = 0
    decode = msgspec.json.Decoder(AcceptedRow).decode
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            digest.update(raw)
            size += len(raw)
            if not raw.endswith(b"\n"):
                raise Unreadable(path.name, number, "the line has no end, so the list is cut short")
            try:
                row = decode(raw)
            except msgspec.MsgspecError as error:
                raise Unreadable(path.name, number, f"expected one accepted message; {error}") from None
            rows[row.id] = _newer(rows.get(row.id), row)
    return AcceptedList(list(rows.values()), digest.hexdigest(), size)


def _newer(known: AcceptedRow | None, row: AcceptedRow) -> AcceptedRow:
    if known is None:
        return row
    return msgspec.structs.replace(
        known,
        outcome=row.outcome or known.outcome,
        reason=row.reason or known.reason,
        reference=row.reference or known.reference,
        amount=row.amount or known.amount,
        currency=row.currency or known.currency,
    )
