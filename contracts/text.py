"""Annotated types for text, identifiers, integers and moments, shared by every contract.

The `code` in a field's `extra` is the code of the error when the value does not fit.
"""

from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta

from contracts.errors import ContractError

ID_CHARACTERS_MAX: Final = 128
INTEGER_MAX: Final = 2**53  # beyond it a double, and so JavaScript and many ERPs, loses units
YEAR_MIN: Final = 2000
YEAR_MAX: Final = 2100

# `$` would also match before a last line feed; the look-ahead says "the very end" to Python and ECMAScript.
_END: Final = r"$(?!\n)"

Id = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}" + _END,
        max_length=ID_CHARACTERS_MAX,
        description="Identifier: 1 to 128 of A-Z a-z 0-9 . _ : - starting with a letter or digit.",
        extra={"code": "id.format"},
    ),
]
IdempotencyKey = Annotated[
    str,
    Meta(
        pattern=r"^[!-~]{1,255}" + _END,
        description="1 to 255 visible ASCII characters without space.",
        extra={"code": "idempotency.format"},
    ),
]
ShortText = Annotated[str, Meta(min_length=1, max_length=200, description="At most 200 code points.")]
LongText = Annotated[str, Meta(max_length=4000, description="At most 4000 code points.")]
Moment = Annotated[
    datetime,
    Meta(tz=True, description="RFC 3339 with an offset, 2000 to 2100.", extra={"code": "date.format"}),
]
Integer = Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]

DATE_EXPECTED: Final = "Expected a real moment from 2000 to 2100 with offset, such as 2026-03-01T09:30:00Z."


def check_moment(value: datetime, path: str = "") -> None:
    """Raise date.format unless `value` is aware and falls, in UTC, into the years 2000 to 2100."""
    # A year beside the edge may still fall inside it in UTC, or overflow datetime when converted.
    if value.tzinfo is None or not YEAR_MIN <= _utc_year(value) <= YEAR_MAX:
        raise ContractError("date.format", DATE_EXPECTED, path)


def _utc_year(value: datetime) -> int:
    return value.astimezone(UTC).year if 1 < value.year < 9999 else value.year
