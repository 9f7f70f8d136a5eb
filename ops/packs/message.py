"""One message of a pack, and the parts that all packs share."""

from bisect import bisect
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Literal

from msgspec import Struct

Lane = Literal["urgent", "standard", "bulk"]
Expected = Literal["post", "refuse", "either"]

# The last day of a month, from midnight on. Packs have no clock: every time is this instant plus an offset.
BASE = datetime(2026, 3, 31, tzinfo=UTC)
TENANTS = (
    "northwind",
    "contoso",
    "fabrikam",
    "tailspin",
    "litware",
    "adatum",
    "wingtip",
    "proseware",
    "lucerne",
    "margie",
    "alpine",
    "coho",
)
TENANT_EXPONENT = 1.0
_REACH = list(accumulate((rank + 1) ** -TENANT_EXPONENT for rank in range(len(TENANTS))))
_SPREAD, _MODULUS = 2_654_435_769, 2**32


class PackMessage(Struct, frozen=True):
    """What to send and what must come of it.

    event: a CloudEvents 1.0 event in structured mode. key: the source document of the ERP posting.
    workload: the business occasion that it belongs to, the name of its pack; the event carries it as well.
    sequence: place in the account's lane, from 1, in send order; a duplicate has the sequence of the first.
    offset_ms: when to send, in milliseconds from the start of the pack.
    expected: derived only from facts that do not depend on order; "either" where order decides.
    """

    event: dict[str, Any]
    account: str
    tenant: str
    workload: str
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
    """The tenant that owns an account; the accounts are shared out by Zipf's law, the first tenant has most.

    Multiplying by 2^32 over the golden ratio spreads consecutive numbers evenly (Knuth, The Art of Computer
    Programming 3, section 6.4), so that any run of accounts has all tenants in it.
    """
    place = account_number * _SPREAD % _MODULUS / _MODULUS
    return TENANTS[min(bisect(_REACH, place * _REACH[-1]), len(TENANTS) - 1)]


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
