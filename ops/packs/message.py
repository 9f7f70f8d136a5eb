"""One message of a pack, and the parts that all packs share."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

Lane = Literal["urgent", "standard", "bulk"]
Expected = Literal["post", "refuse", "either"]

# A Monday morning. Packs have no clock: every time is this instant plus an offset.
BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TENANTS = ("northwind", "contoso", "fabrikam", "tailspin", "litware")


class PackMessage(Struct, frozen=True):
    """What to send and what must come of it.

    event: a CloudEvents 1.0 event in structured mode. key: the source document of the ERP posting.
    sequence: place in the account's lane, from 1, in send order; a duplicate has the sequence of the first.
    offset_ms: when to send, in milliseconds from the start of the pack.
    expected: derived only from facts that do not depend on order; "either" where order decides.
    """

    event: dict[str, Any]
    account: str
    tenant: str
    key: str
    lane: Lane
    sequence: int
    offset_ms: int
    expected: Expected
    duplicate: bool = False


def at(offset_ms: int) -> str:
    """The pack's time at an offset, RFC 3339 UTC to the millisecond."""
    instant = BASE + timedelta(milliseconds=offset_ms)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tenant_of(account_number: int) -> str:
    """Tenants share the accounts unevenly: the first has half of them, the next half of the rest, and so on."""
    place = ((account_number + 1) & -(account_number + 1)).bit_length() - 1
    return TENANTS[min(place, len(TENANTS) - 1)]


def cloud_event(
    type_: str, id_: str, source: str, subject: str, offset_ms: int, data: dict[str, Any], **extensions: str
) -> dict[str, Any]:
    """A CloudEvents 1.0 event; `type_` names its contract, version 1."""
    return {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": type_,
        "subject": subject,
        "time": at(offset_ms),
        "datacontenttype": "application/json",
        "dataschema": f"urn:tidegate:{type_}:1",
        **extensions,
        "data": data,
    }
