"""The accepted list: what clients of the middleware were told, written from the HTTP answers they got.

JSON Lines: {"id":..,"key":..,"account":..,"tenant":..,"lane":"urgent","sequence":12,"accepted_ns":..,
"outcome":"posted|refused|approval|pending","reason":..,"reference":..,"amount":"12.50","currency":"EUR",
"expected":"post|refuse|either"}. `key` is what the ERP documents carry as `source_document`; `accepted_ns` is
on the clock of the ERP's log. A line for an `id` that was there before is the answer to a duplicate: it
brings the outcome up to date and moves nothing else.

What the clients know besides, one line each, `event` first:
{"event":"held","from_ns":..,"to_ns":..,"tenant":"acme","lane":..,"account":..,"why":..}: an order to start nothing of
that kind was acknowledged at `from_ns` and lifted at `to_ns` (absent: never); no selector: everything.
{"event":"away","from_ns":..,"to_ns":..,"why":..}: nobody answered at the door.
{"event":"steered","from_ns":..,"to_ns":..,"why":..}: limits were being changed, at the ERP and in the middleware.
{"event":"other","id":..,"key":..,"accepted_ns":..,"outcome":..,"reference":..,"amount":..,"currency":..}: a message of
another producer, by the middleware's own list of what it accepted from whom it does not know.
"""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ops.certificate.model import Unreadable

Outcome = Literal["posted", "refused", "approval", "pending"]


class AcceptedRow(Struct, frozen=True):
    """One accepted message. `sequence` orders the messages of one account within a lane; `system` names the log
    that it belongs to (its profile), where several are examined together; `ready_ns`: it was approved, released or
    due only then."""

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
    system: str = ""
    ready_ns: int | None = None


class Spell(Struct, frozen=True, tag_field="event"):
    """A time in which something was held, or nobody was there. Empty selectors select everything."""

    from_ns: int
    to_ns: int | None = None
    tenant: str = ""
    lane: str = ""
    account: str = ""
    why: str = ""

    @property
    def until_ns(self) -> int:
        """The end; far away if there is none."""
        return 1 << 62 if self.to_ns is None else self.to_ns

    def covers(self, row: AcceptedRow) -> bool:
        """Whether the row is of the kind that was held."""
        return self.tenant in ("", row.tenant) and self.lane in ("", row.lane) and self.account in ("", row.account)


class Held(Spell, frozen=True, tag="held"):
    """Nothing of the kind was to start."""


class Away(Spell, frozen=True, tag="away"):
    """Nobody was there."""


class Steered(Spell, frozen=True, tag="steered"):
    """Limits were being changed: the ERP had others than the middleware had been told."""


class Other(Struct, frozen=True, tag_field="event", tag="other"):
    """A message that somebody else sent meanwhile. It accounts for documents that were made after it was accepted."""

    id: str
    key: str
    accepted_ns: int
    outcome: Outcome = "pending"
    reference: str | None = None
    amount: str | None = None
    currency: str | None = None

    def row(self) -> AcceptedRow:
        """The same as a row, to compare it with its document; of what is not known here nothing is said."""
        return AcceptedRow(
            id=self.id,
            key=self.key,
            account="",
            lane="",
            sequence=0,
            accepted_ns=self.accepted_ns,
            outcome=self.outcome,
            reference=self.reference,
            amount=self.amount,
            currency=self.currency,
        )


class AcceptedList(Struct, frozen=True):
    """The rows, one per message id in order of acceptance, and the hash of the bytes they were read from."""

    rows: list[AcceptedRow]
    sha256: str
    bytes: int
    spells: list[Spell] = []
    others: list[Other] = []


def read_accepted(path: Path) -> AcceptedList:
    """Read the list in one pass. Raises Unreadable with the line and what was expected there."""
    rows: dict[str, AcceptedRow] = {}
    digest = hashlib.sha256()
    size = 0
    spells: list[Spell] = []
    others: list[Other] = []
    decode = msgspec.json.Decoder(AcceptedRow).decode
    decode_event = msgspec.json.Decoder(Held | Away | Steered | Other).decode
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            digest.update(raw)
            size += len(raw)
            if not raw.endswith(b"\n"):
                raise Unreadable(path.name, number, "the line has no end, so the list is cut short")
            try:
                if raw.startswith(b'{"event"'):
                    match decode_event(raw):
                        case Other() as other:
                            others.append(other)
                        case spell:
                            spells.append(spell)
                    continue
                row = decode(raw)
            except msgspec.MsgspecError as error:
                raise Unreadable(path.name, number, f"expected one accepted message; {error}") from None
            rows[row.id] = _newer(rows.get(row.id), row)
    return AcceptedList(list(rows.values()), digest.hexdigest(), size, spells, others)


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
        ready_ns=row.ready_ns or known.ready_ns,
    )
