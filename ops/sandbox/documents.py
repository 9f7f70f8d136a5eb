"""Adjustment documents: what a request must say, and what makes two requests the same one."""

import hashlib
import re
from typing import Any

import msgspec

# ISO 4217 minor units other than 2, of the currencies in common use (SIX, "List one").
_MINOR_UNITS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "VND"), 0),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,14})(?:\.([0-9]+))?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_TEXT_FIELDS = ("reference", "account_id", "reason_code", "source_document", "kind")


class Document(msgspec.Struct, frozen=True):
    """A posted adjustment as the ERP answers it; `posted_at` is RFC 3339 in UTC by the ERP's wall clock."""

    document_id: str
    reference: str
    account_id: str
    amount: str
    currency: str
    source_document: str
    status: str
    posted_at: str


class Invalid(msgspec.Struct, frozen=True):
    """Why a request was not accepted."""

    code: str
    detail: str


def check(fields: dict[str, Any]) -> Invalid | None:
    """Say what is wrong with a request body, or None when it can be posted."""
    for name in (*_TEXT_FIELDS, "amount", "currency"):
        if name not in fields:
            return Invalid("field.missing", f"{name}: required, and not there")
    for name in _TEXT_FIELDS:
        if not isinstance(fields[name], str) or not _TEXT.fullmatch(fields[name]):
            return Invalid("field.invalid", f"{name}: expected 1 to 200 characters of text without controls")
    if fields["kind"] != "credit":
        return Invalid("field.invalid", "kind: expected 'credit'")
    return check_amount(fields["amount"], fields["currency"])


def check_amount(amount: object, currency: object) -> Invalid | None:
    """Say what is wrong with an amount, or None."""
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        return Invalid("currency.invalid", "currency: expected three capital letters as in ISO 4217")
    scale = _MINOR_UNITS.get(currency, 2)
    match = _AMOUNT.fullmatch(amount) if isinstance(amount, str) else None
    if match is None or len(match[1] or "") > scale or not match[0].strip("0."):
        expected = f"text such as '12', above 0, with at most {scale} decimals"
        return Invalid("amount.invalid", f"amount: expected {expected}")
    return None


def fingerprint(fields: dict[str, Any]) -> str:
    """A digest of the canonical JSON of a body: the order of keys and white space make no difference."""
    return hashlib.blake2b(msgspec.json.encode(fields, order="sorted"), digest_size=16).hexdigest()
