"""Whatever is sent to a running daemon, it answers with the catalogued code and place, lives on, and calls nobody."""

import gzip
import json
from typing import Any

import pytest

from tests.support.daemon import BATCH, CANARY, STRUCTURED, Site, adjustment, case, event, problem_of, until

GOOD = json.dumps(case("table", outage_minutes=240)).encode()


def within(text: bytes) -> bytes:
    """The good event with raw JSON in place of its outage minutes."""
    return GOOD.replace(b": 240", b": " + text)


def eur(amount: Any, currency: Any = "EUR") -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def fee(amount: Any, currency: Any = "EUR") -> dict[str, Any]:
    return case("fee", monthly_fee=eur(amount, currency))


BYTES = [
    ("B1", b"", 400, "body.empty", ""),
    ("B1", b" \n", 400, "body.empty", ""),
    ("B2", CANARY.encode(), 400, "json.syntax", ""),
    ("B2", GOOD + CANARY.encode(), 400, "json.syntax", ""),
    ("B2", GOOD + GOOD, 400, "json.syntax", ""),
    ("B2", GOOD[:-1], 400, "json.syntax", ""),
    ("B3", GOOD.decode().encode("utf-16"), 400, "json.encoding", ""),
    ("B3", b"\xef\xbb\xbf" + GOOD, 400, "json.encoding", ""),
    ("B3", '{"id":"caf\xe9"}'.encode("latin-1"), 400, "json.encoding", ""),
    ("B5", within(b"NaN"), 400, "json.number", "/data/outage_minutes"),
    ("B5", within(b"Infinity"), 400, "json.number", "/data/outage_minutes"),
    ("B5", within(b"-Infinity"), 400, "json.number", "/data/outage_minutes"),
    ("B5", within(b"1e400"), 400, "json.number", "/data/outage_minutes"),
    ("B6", within(b"1" * 250_000), 400, "json.number_too_long", "/data/outage_minutes"),
    ("B7", b"[" * 900 + b"]" * 900, 400, "json.too_deep", ""),
    ("B7", b"[" * 250_000, 400, "json.too_deep", ""),
    ("B7", b"[" * 5_000_000, 413, "body.too_large", ""),
    ("B8", b"[]" * 5_000_000, 413, "body.too_large", ""),
    ("B9", b"[" + b"[]," * 85_000 + b"[]]", 400, "json.too_many_values", ""),
    ("B11", within(b'1,"__proto__":2'), 422, "field.unknown", "/data/__proto__"),
    ("B11", within(b'1,"":2'), 422, "field.unknown", "/data/"),
    ("B11", within(b'1,"' + b"k" * 10_000 + b'":2'), 422, "field.unknown", "/data/" + "k" * 39 + "…"),
    ("B12", within(b'"\\u0000"'), 422, "text.control_character", "/data/outage_minutes"),
    ("B12", within(b'"\\u001b[31m"'), 422, "text.control_character", "/data/outage_minutes"),
    ("B35", within(b'"a\\r\\nINFO forged"'), 422, "text.control_character", "/data/outage_minutes"),
]
FIELDS = [
    ("B14", case("f", contact_email=CANARY + "x" * 255), "text.too_long", "/data/contact_email"),
    ("B14", case("f", contact_email="😀" * 255), "text.too_long", "/data/contact_email"),
    ("B16", case("f", case_id=None), "field.missing", "/data/case_id"),
    ("B16", {k: v for k, v in case("f").items() if k != "id"}, "field.missing", "/id"),
    ("B16", {**case("f"), "data": None}, "field.type", "/data"),
    ("B17", adjustment("f", "k", acount_id="A"), "field.unknown", "/data/acount_id"),
    ("B54", adjustment("f", "k", status="posted"), "field.read_only", "/data/status"),
    ("B18", within(b"null"), "field.type", "/data/outage_minutes"),
    ("B18", within(b"true"), "field.type", "/data/outage_minutes"),
    ("B18", within(b'"1"'), "field.type", "/data/outage_minutes"),
    ("B18", within(b"1.0"), "field.type", "/data/outage_minutes"),
    ("B19", event("support.case.opned", "e", {}), "contract.unknown_type", "/type"),
    (
        "B19",
        {**case("f"), "dataschema": "urn:tidegate:support.case.opened:9"},
        "contract.unknown_version",
        "/dataschema",
    ),
    ("B19", event("billing.credit.refused", "e", {}), "contract.not_accepted", "/type"),
    ("B20", {**case("f"), "data": []}, "field.type", "/data"),
    ("B20", case("f", case_id=[]), "field.type", "/data/case_id"),
    ("B20", [case("f")], "field.type", ""),
    ("B21", case("f", tier="PREMIUM"), "field.value", "/data/tier"),
    ("B21", {**case("f"), "lane": "Urgent"}, "field.value", "/lane"),
    ("B24", fee("12.505"), "money.scale", "/data/monthly_fee/amount"),
    ("B24", fee("12.5", "JPY"), "money.scale", "/data/monthly_fee/amount"),
    ("B24", fee("12.5055", "KWD"), "money.scale", "/data/monthly_fee/amount"),
    ("B25", fee("-5.00"), "money.range", "/data/monthly_fee/amount"),
    ("B25", adjustment("f", "k", amount=eur("0")), "money.range", "/data/amount/amount"),
    ("B25", adjustment("f", "k", amount=eur("90071992547409.93")), "money.range", "/data/amount/amount"),
    ("B27", case("f", monthly_fee={"amount": "1.00"}), "currency.missing", "/data/monthly_fee/currency"),
    ("B27", fee("1.00", "eur"), "currency.format", "/data/monthly_fee/currency"),
    ("B27", fee("1.00", "XXX"), "currency.unknown", "/data/monthly_fee/currency"),
    ("B27", fee("1.00", "DEM"), "currency.retired", "/data/monthly_fee/currency"),
    ("B29", fee(0.1 + 0.2), "money.format", "/data/monthly_fee/amount"),
    *(
        ("B23", fee(text), "money.format", "/data/monthly_fee/amount")
        for text in (
            "NaN",
            "sNaN",
            "Infinity",
            "1E+999999",
            "1_000",
            " 1 ",
            "١٢٣",
            "1,000.00",
            "-0",
            "",
        )
    ),
    *(
        ("B30", case("f", opened_at=text), "date.format", "/data/opened_at")
        for text in (
            "2026-03-01T09:30:00",
            "2026-02-30T09:30:00Z",
            "2026-03-01T09:30:60Z",
            "0000-03-01T09:30:00Z",
            "2026-03-01T09:30:00+99:00",
            "yesterday",
        )
    ),
    *(
        ("B33", case("f", account_id=text), "id.format", "/data/account_id")
        for text in ("a/b", "../a", "a%2fb", "a'b", 'a"b', "a#b", "a" * 256, "")
    ),
]
BATCHES = [
    ("B22", [], "batch.count", ""),
    ("B22", [case("b")] * 1001, "batch.count", ""),
    ("B20", case("b"), "field.type", ""),
    ("B16", [case("b1"), case("b2"), case("b3", case_id=None)], "field.missing", "/2/data/case_id"),
    ("B16", [case("b", case_id=None)], "field.missing", "/0/data/case_id"),
    ("B57", [case("b1"), adjustment("b2")], "idempotency.missing", "/1/idempotencykey"),
]
MEDIA = [
    ("B36", GOOD, {"Content_Type": ""}, 415, "media.type"),
    ("B36", GOOD, {"Content_Type": "text/plain"}, 415, "media.type"),
    ("B36", GOOD, {"Content_Type": "application/json; charset=utf-7"}, 415, "media.type"),
    ("B15", GOOD, {"Content_Encoding": "br"}, 415, "media.encoding"),
    ("B15", GOOD, {"Content_Encoding": "gzip, gzip"}, 415, "media.encoding"),
    ("B15", gzip.compress(bytes(50_000_000)), {"Content_Encoding": "gzip"}, 413, "body.too_large"),
    ("B15", gzip.compress(GOOD)[:-9], {"Content_Encoding": "gzip"}, 400, "body.encoding"),
    ("B15", gzip.compress(GOOD)[:-4] + b"\x01\x00\x00\x00", {"Content_Encoding": "gzip"}, 400, "body.encoding"),
    ("B15", gzip.compress(GOOD) + b"tail", {"Content_Encoding": "gzip"}, 400, "body.encoding"),
    ("B15", GOOD, {"Content_Encoding": "gzip"}, 400, "body.encoding"),
]
QUERIES = [
    ("limit=1&limit=2", "query.duplicate"),
    ("limt=1", "query.unknown"),
    ("limit=-1", "query.value"),
    ("limit=0", "query.value"),
    ("limit=1000000000", "query.value"),
    ("limit=1e3", "query.value"),
    ("limit=%31%30%30%31", "query.value"),
    ("limit=%FF", "query.value"),
    ("after=", "query.value"),
    (f"api_key={CANARY}", "query.unknown"),
]


def refused(site: Site, body: Any, media: str, status: int, code: str, path: str) -> dict[str, Any]:
    answer = site.post(body, media)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["path"]) == (status, code, path)
    assert CANARY not in answer.text
    return problem


@pytest.mark.parametrize(("row", "body", "status", "code", "path"), BYTES)
def test_bytes_that_are_no_event_are_refused(
    shared_site: Site, row: str, body: bytes, status: int, code: str, path: str
) -> None:
    refused(shared_site, body, STRUCTURED, status, code, path)


@pytest.mark.parametrize(("row", "body", "code", "path"), FIELDS)
def test_a_field_that_breaks_its_contract_is_named(
    shared_site: Site, row: str, body: Any, code: str, path: str
) -> None:
    refused(shared_site, body, STRUCTURED, 422, code, path)


@pytest.mark.parametrize(("row", "body", "code", "path"), BATCHES)
def test_a_batch_is_refused_whole_and_the_event_is_named(
    shared_site: Site, row: str, body: Any, code: str, path: str
) -> None:
    before = shared_site.accepted()
    refused(shared_site, body, BATCH, 400 if code == "idempotency.missing" else 422, code, path)
    assert shared_site.accepted() == before


@pytest.mark.parametrize(("row", "body", "headers", "status", "code"), MEDIA)
def test_a_body_in_a_form_that_we_do_not_read_is_refused(
    shared_site: Site, row: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = shared_site.post(body, **headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)


@pytest.mark.parametrize(("query", "code"), QUERIES)
def test_a_query_that_is_not_known_once_and_sensible_is_refused(shared_site: Site, query: str, code: str) -> None:
    answer = shared_site.get(f"/v1/outcomes?{query}")
    assert (answer.status_code, problem_of(answer)["code"]) == (422, code)
    assert CANARY not in answer.text


def test_a_misspelt_name_is_answered_with_the_nearest_one(shared_site: Site) -> None:
    body = adjustment("near", "k", acount_id="A")
    assert refused(shared_site, body, STRUCTURED, 422, "field.unknown", "/data/acount_id")["nearest"] == "account_id"
    body = event("support.case.opned", "e", {})
    problem = refused(shared_site, body, STRUCTURED, 422, "contract.unknown_type", "/type")
    assert problem["nearest"] == "support.case.opened"


def test_an_unknown_version_is_answered_with_the_known_ones(shared_site: Site) -> None:
    body = {**case("v"), "dataschema": "urn:tidegate:support.case.opened:9"}
    problem = refused(shared_site, body, STRUCTURED, 422, "contract.unknown_version", "/dataschema")
    assert problem["known"] == ["urn:tidegate:support.case.opened:1"]


def test_a_limit_is_told_with_what_was_sent(shared_site: Site) -> None:
    body = case("l", contact_email="x" * 255)
    problem = refused(shared_site, body, STRUCTURED, 422, "text.too_long", "/data/contact_email")
    assert (problem["limit"], problem["actual"]) == (254, 255)


def test_syntax_is_refused_at_its_byte(shared_site: Site) -> None:
    problem = refused(shared_site, b'{"id": }', STRUCTURED, 400, "json.syntax", "")
    assert problem["position"] == 7


def test_an_event_that_only_its_envelope_makes_too_large_is_refused(shared_site: Site) -> None:
    padding = {f"pad{n:02d}": "x" * 1000 for n in range(16)}
    extra = {"zz": "y" * (262_144 - len(json.dumps({**case("big", zz=""), **padding})) - 10)}
    body = json.dumps({**case("big", **extra), **padding}).encode()
    assert len(body) <= 262_144
    answer = shared_site.post(body)
    assert answer.status_code == 413
    assert problem_of(answer)["path"] == "/data"


def test_text_that_is_code_elsewhere_is_data_here(shared_site: Site) -> None:
    texts = [
        '=HYPERLINK("http://x")',
        "'; DROP TABLE message; --",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "<script>alert(1)</script>",
    ]
    events = [{**case(f"text-{n}", contact_email=text), "note": text} for n, text in enumerate(texts)]
    assert shared_site.post(events, BATCH).json()["accepted"] == len(texts)
    story = shared_site.get("/v1/processes/CASE-text-4").json()
    assert story["known"] is True


def test_a_number_of_a_quarter_million_digits_is_refused_by_its_length(shared_site: Site) -> None:
    refused(shared_site, within(b"1" * 250_000), STRUCTURED, 400, "json.number_too_long", "/data/outage_minutes")


def test_after_all_of_that_the_same_process_works_and_nobody_was_called_or_told(shared_site: Site) -> None:
    pid, before = shared_site.daemon.pid, len(shared_site.log())
    refused(shared_site, CANARY.encode(), STRUCTURED, 400, "json.syntax", "")
    assert shared_site.post(adjustment("fence", "fence")).status_code == 202
    until(lambda: shared_site.documents("DOC-fence"), "the adjustment is posted")
    assert shared_site.daemon.pid == pid
    assert shared_site.get("/readyz").status_code == 200
    assert len(shared_site.calls()) == len(shared_site.erp.documents())
    assert not shared_site.documents("DOC-f")
    assert CANARY not in shared_site.log()
    assert "json.syntax" in shared_site.log()[before:]
