"""The contract rows of the bad-input catalogue: each input has one stable code, one place, one status."""

from typing import Any

import pytest
from contract_samples import GONE, adjustment, case, event

from contracts.catalogue import REGISTRY
from contracts.envelope import decode_envelope
from contracts.errors import ContractError

LEGAL = case()


def refused(raw: bytes) -> ContractError:
    with pytest.raises(ContractError) as caught:
        REGISTRY.decode_data(decode_envelope(raw))
    return caught.value


def eur(amount: Any) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


def within(text: bytes) -> bytes:
    """The legal event with raw JSON in place of the outage minutes."""
    return LEGAL.replace(b": 240", b": " + text)


BYTES = [
    ("B1", b"", "body.empty", ""),
    ("B1", b" \n", "body.empty", ""),
    ("B2", b"hello", "json.syntax", ""),
    ("B2", LEGAL + b"x", "json.syntax", ""),
    ("B2", LEGAL + LEGAL, "json.syntax", ""),
    ("B2", LEGAL[:-1], "json.syntax", ""),
    ("B2", b'{"a":1,}', "json.syntax", ""),
    ("B3", LEGAL.decode().encode("utf-16"), "json.encoding", ""),
    ("B3", LEGAL.decode().encode("utf-16-le"), "json.encoding", ""),
    ("B3", b"\xef\xbb\xbf" + LEGAL, "json.encoding", ""),
    ("B3", '{"id":"caf\xe9"}'.encode("latin-1"), "json.encoding", ""),
    ("B5", within(b"NaN"), "json.number", "/data/outage_minutes"),
    ("B5", within(b"Infinity"), "json.number", "/data/outage_minutes"),
    ("B5", within(b"-Infinity"), "json.number", "/data/outage_minutes"),
    ("B5", within(b"1e400"), "json.number", "/data/outage_minutes"),
    ("B5", within(b"-1e400"), "json.number", "/data/outage_minutes"),
    ("B6", within(b"1" * 200_000), "json.number_too_long", "/data/outage_minutes"),
    ("B6", within(b"1" * 41), "json.number_too_long", "/data/outage_minutes"),
    ("B7", b"[" * 900 + b"]" * 900, "json.too_deep", ""),
    ("B7", b"[" * 200_000, "json.too_deep", ""),
    ("B7", b"[" * 5_000_000, "body.too_large", ""),
    ("B8", b"[]" * 5_000_000, "body.too_large", ""),
    ("B9", b"[" + b"[]," * 85_000 + b"[]]", "json.too_many_values", ""),
    ("B9", b"[]" * 130_560, "json.too_many_values", ""),
    ("M6", within(b'1,"outage_minutes":2'), "json.duplicate_key", "/data/outage_minutes"),
    ("M6", within(b'1,"outage_minute\\u0073":2'), "json.duplicate_key", "/data/outage_minutes"),
    ("M6", b'{"id":"a","id":"a"}', "json.duplicate_key", "/id"),
    ("M7", within(b'"\\ud800"'), "json.surrogate", "/data/outage_minutes"),
    ("B11", within(b'1,"__proto__":2'), "field.unknown", "/data/__proto__"),
    ("B11", within(b'1,"":2'), "field.unknown", "/data/"),
    ("B11", within(b'1,"' + b"k" * 10_000 + b'":2'), "field.unknown", "/data/" + "k" * 39 + "…"),
    ("B12", within(b'"\\u0000"'), "text.control_character", "/data/outage_minutes"),
    ("B12", within(b'"\x01"'), "text.control_character", "/data/outage_minutes"),
    ("B12", within(b'"\\u001b[31m"'), "text.control_character", "/data/outage_minutes"),
    ("B12", within(b'"\\b"'), "text.control_character", "/data/outage_minutes"),
    ("B12", within(b'"a\x7f"'), "text.control_character", "/data/outage_minutes"),
    ("B12", within('"\x9b"'.encode()), "text.control_character", "/data/outage_minutes"),
]
FIELDS = [
    ("B14", case(contact_email="x" * 255), "text.too_long", "/data/contact_email"),
    ("B14", case(contact_email="😀" * 255), "text.too_long", "/data/contact_email"),
    ("B16", case(case_id=GONE), "field.missing", "/data/case_id"),
    ("B16", event(id=GONE), "field.missing", "/id"),
    ("B17", adjustment(acount_id="A"), "field.unknown", "/data/acount_id"),
    ("B54", adjustment(status="posted"), "field.read_only", "/data/status"),
    ("B18", case(outage_minutes=None), "field.type", "/data/outage_minutes"),
    ("B18", case(outage_minutes=True), "field.type", "/data/outage_minutes"),
    ("B18", case(outage_minutes="1"), "field.type", "/data/outage_minutes"),
    ("B18", case(outage_minutes=1.0), "field.type", "/data/outage_minutes"),
    ("B18", case(outage_minutes=2**64), "field.range", "/data/outage_minutes"),
    ("B18", case(outage_minutes=-1), "field.range", "/data/outage_minutes"),
    ("B18", case(escalated="yes"), "field.type", "/data/escalated"),
    ("B19", event("support.case.opned"), "contract.unknown_type", "/type"),
    (
        "B19",
        event(dataschema="urn:tidegate:support.case.opened:2"),
        "contract.unknown_version",
        "/dataschema",
    ),
    ("B19", event(dataschema="https://elsewhere"), "contract.unknown_version", "/dataschema"),
    ("B20", event(data=[]), "field.type", "/data"),
    ("B20", b"[]", "field.type", ""),
    ("B20", case(monthly_fee=[]), "field.type", "/data/monthly_fee"),
    ("B20", case(case_id={}), "field.type", "/data/case_id"),
    ("B21", case(tier="Premium"), "field.value", "/data/tier"),
    ("B21", event(lane="URGENT"), "field.value", "/lane"),
    ("B21", event(specversion="0.3"), "field.value", "/specversion"),
    ("B30", case(opened_at="2026-03-01T09:58:00"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at="2026-02-30T09:58:00Z"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at="2026-03-01T09:58:60Z"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at="0000-03-01T09:58:00Z"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at="0001-01-01T00:00:00+10:00"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at="1999-12-31T23:59:59Z"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at="2101-01-01T00:00:00Z"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at="2026-03-01T09:58:00+99:00"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at="yesterday"), "date.format", "/data/opened_at"),
    ("B30", case(opened_at=1), "field.type", "/data/opened_at"),
    ("B30", event(time="2026-03-01T09:58:00"), "date.format", "/time"),
    ("B30", event(time="1970-01-01T00:00:00Z"), "date.format", "/time"),
    ("B30", adjustment(not_before="1999-12-31T23:59:59Z"), "date.format", "/data/not_before"),
    ("B58", event(idempotencykey="x" * 256), "idempotency.format", "/idempotencykey"),
    ("B58", event(idempotencykey=""), "idempotency.format", "/idempotencykey"),
    ("B58", event(idempotencykey="é"), "idempotency.format", "/idempotencykey"),
]
BAD_IDS = ["a/b", "..", "%2f", "a%2fb", "a'b", 'a"b', "a#b", "x" * 129, "x" * 256, "", " a", "a\n", "é", "-a"]
BAD_AMOUNTS = [
    "NaN", "sNaN", "Infinity", "1E+999999", "1_000", " 1 ", "١٢٣", "1,000.00", "-0", "-0.00", "", "+1", "01",
    "1.", ".5", "1e2", "0x1", "1\n", "１", 12.5, 12, True, None, [],
]  # fmt: skip
BAD_CURRENCIES = [
    ("XXX", "currency.unknown"), ("ZZZ", "currency.unknown"), ("eur", "currency.format"),
    ("Eur", "currency.format"), ("EURO", "currency.format"), ("€", "currency.format"),
    ("DEM", "currency.retired"), ("HRK", "currency.retired"), ("BGN", "currency.retired"),
    ("", "currency.missing"), (None, "currency.missing"), (978, "currency.format"),
]  # fmt: skip
MONEY = [
    ("B24", {"amount": "1.005", "currency": "EUR"}, "money.scale", "/amount"),
    ("B24", {"amount": "1.0", "currency": "JPY"}, "money.scale", "/amount"),
    ("B24", {"amount": "1.0001", "currency": "KWD"}, "money.scale", "/amount"),
    ("B25", eur("0"), "money.range", "/amount"),
    ("B25", eur("0.00"), "money.range", "/amount"),
    ("B25", eur("-5.00"), "money.range", "/amount"),
    ("B25", eur("90071992547409.93"), "money.range", "/amount"),
    ("B25", eur("9" * 100_000), "money.range", "/amount"),
    ("B27", {"amount": "1"}, "currency.missing", "/currency"),
    ("B29", eur(0.1 + 0.2), "money.format", "/amount"),
    ("B29", 12.5, "field.type", ""),
    ("B29", "12.50 EUR", "field.type", ""),
    ("B16", {"currency": "EUR"}, "field.missing", "/amount"),
    ("B17", {**eur("1"), "curency": "EUR"}, "field.unknown", "/curency"),
    *(("B23", eur(amount), "money.format", "/amount") for amount in BAD_AMOUNTS),
    *(("B27", {"amount": "1", "currency": code}, error, "/currency") for code, error in BAD_CURRENCIES),
]
ROWS = [
    *BYTES,
    *FIELDS,
    *((row, adjustment(amount=value), code, "/data/amount" + path) for row, value, code, path in MONEY),
    *(("B33", case(account_id=bad), "id.format", "/data/account_id") for bad in BAD_IDS),
    *(("B33", event(id=bad), "id.format", "/id") for bad in BAD_IDS),
]


@pytest.mark.parametrize(
    ("raw", "code", "path"),
    [pytest.param(*row[1:], id=f"{row[0]}-{row[2]}-{number}") for number, row in enumerate(ROWS)],
)
def test_bad_input_has_one_code_and_one_place(raw: bytes, code: str, path: str) -> None:
    error = refused(raw)
    assert (error.code, error.path) == (code, path)
    assert 400 <= error.status < 500
    assert error.detail
    assert len(error.detail) < 400


def test_a_syntax_error_names_the_byte() -> None:
    assert refused(b'{"a":1 "b":2}').extra["position"] == 7


def test_a_too_large_body_is_413_with_limit_and_actual() -> None:
    error = refused(b" " * 262_145)
    assert (error.status, error.extra) == (413, {"limit": 262_144, "actual": 262_145})


def test_a_text_one_over_its_limit_is_told_limit_and_actual() -> None:
    error = refused(case(contact_email="😀" * 255))
    assert (error.extra["limit"], error.extra["actual"]) == (254, 255)


def test_a_text_at_its_limit_is_counted_in_code_points() -> None:
    assert REGISTRY.decode_data(decode_envelope(case(contact_email="😀" * 254))).contact_email == "😀" * 254


def test_a_misspelt_field_is_told_the_nearest() -> None:
    assert refused(adjustment(acount_id="A")).extra["nearest"] == "account_id"


def test_a_misspelt_type_is_told_the_nearest_and_the_known_ones() -> None:
    error = refused(event("support.case.opned"))
    assert error.extra["nearest"] == "support.case.opened"
    assert error.extra["known"] == REGISTRY.types()


def test_an_unknown_version_is_told_the_known_ones() -> None:
    error = refused(event(dataschema="urn:tidegate:support.case.opened:9"))
    assert error.extra["known"] == ["urn:tidegate:support.case.opened:1"]


def test_a_wrong_type_is_told_expected_and_got() -> None:
    error = refused(case(outage_minutes="1"))
    assert (error.extra["expected"], error.extra["got"]) == ("whole number", "text")


def test_an_enum_in_the_wrong_case_is_told_the_allowed_values() -> None:
    error = refused(case(tier="Premium"))
    assert error.extra["nearest"] == "premium"
    assert sorted(error.extra["allowed"]) == ["basic", "premium", "standard"]


@pytest.mark.parametrize("text", ['=HYPERLINK("x")', "'; DROP TABLE x", "${jndi:x}", "{{7*7}}", "<script>", "a\nb\tc"])
def test_text_that_other_systems_would_run_is_kept_as_data(text: str) -> None:
    assert REGISTRY.decode_data(decode_envelope(case(contact_email=text))).contact_email == text


def test_a_sensitive_value_is_never_in_the_error() -> None:
    canary = "canary-7f3a@example.com"
    for raw in (
        case(contact_email=canary * 20),
        case(contact_email=[canary]),
        case(contact_email={canary: 1}),
    ):
        error = refused(raw)
        assert canary[:10] not in f"{error} {error.detail} {error.extra} {error.path}"


def test_a_long_value_is_cut_in_the_error() -> None:
    assert "z" * 40 not in str(refused(case(tier="z" * 500)))
