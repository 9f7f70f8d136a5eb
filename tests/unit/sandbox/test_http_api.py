"""The ERP's HTTP API, as any client would see it."""

import json
import re
from pathlib import Path

import pytest

from .client import Client, Start, ends, request


def test_a_post_answers_201_with_the_document(erp: Client, key: str) -> None:
    answer = erp.post(key)
    assert answer.status == 201
    assert answer.json["document_id"].startswith("ADJ-")
    sent = request(key)
    assert {name: answer.json[name] for name in ("reference", "amount", "currency")} == {
        name: sent[name] for name in ("reference", "amount", "currency")
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", answer.json["posted_at"])


def test_the_same_key_and_body_answer_the_same_document_again(erp: Client, key: str) -> None:
    first, second = erp.post(key), erp.post(key)
    assert (second.status, second.headers["idempotent-replay"]) == (200, "true")
    assert second.json == first.json
    assert "idempotent-replay" not in first.headers


def test_the_order_of_keys_and_white_space_do_not_make_another_body(erp: Client, key: str) -> None:
    erp.post(key)
    turned = json.dumps(dict(reversed(request(key).items())), indent=3).encode()
    assert erp.call("POST", "/adjustments", turned, idempotency_key=key).status == 200


def test_the_same_key_with_another_body_is_refused(erp: Client, key: str) -> None:
    erp.post(key)
    answer = erp.post(key, amount="12.51")
    assert (answer.status, answer.json["code"]) == (422, "idempotency.mismatch")
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(erp.find(key)) == 1


def test_find_lists_the_documents_of_a_reference(erp: Client, key: str) -> None:
    assert erp.find(key) == []
    document = erp.post(key).json
    assert erp.find(key) == [document]


def test_every_answer_of_a_call_tells_its_duration(erp: Client, key: str) -> None:
    answers = [erp.post(key), erp.call("GET", "/limits"), erp.call("GET", "/nowhere")]
    assert all(re.fullmatch(r"total;dur=\d+\.\d{3}", answer.headers["server-timing"]) for answer in answers)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 12.5}, "amount.invalid"),
        ({"amount": "12.505"}, "amount.invalid"),
        ({"amount": "-1.00"}, "amount.invalid"),
        ({"amount": "0.00"}, "amount.invalid"),
        ({"amount": "1e3"}, "amount.invalid"),
        ({"amount": " 1"}, "amount.invalid"),
        ({"amount": "\u0661"}, "amount.invalid"),
        ({"amount": "1.5", "currency": "JPY"}, "amount.invalid"),
        ({"currency": "eur"}, "currency.invalid"),
        ({"currency": None}, "currency.invalid"),
        ({"kind": "debit"}, "field.invalid"),
        ({"account_id": ""}, "field.invalid"),
        ({"account_id": "a\u0000b"}, "field.invalid"),
        ({"reason_code": 7}, "field.invalid"),
    ],
)
def test_a_request_with_a_mistake_is_refused_by_code(
    erp: Client, key: str, changes: dict[str, object], code: str
) -> None:
    answer = erp.post(key, **changes)
    assert (answer.status, answer.json["code"]) == (422, code)
    assert erp.find(key) == []


def test_amounts_up_to_the_scale_of_the_currency_are_taken(erp: Client, key: str) -> None:
    amounts = {"JPY": "1200", "EUR": "0.5", "BHD": "1.005"}
    answers = [erp.post(f"{key}-{code}", amount=amounts[code], currency=code) for code in amounts]
    assert [answer.json["amount"] for answer in answers] == list(amounts.values())


@pytest.mark.parametrize("name", list(request()))
def test_a_missing_field_is_named(erp: Client, key: str, name: str) -> None:
    body = {field: value for field, value in request(key).items() if field != name}
    answer = erp.call("POST", "/adjustments", json.dumps(body).encode(), idempotency_key=key)
    assert (answer.status, answer.json["code"]) == (422, "field.missing")
    assert answer.json["detail"].startswith(f"{name}:")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":NaN}'])
def test_a_body_that_is_not_an_object_is_refused(erp: Client, key: str, body: bytes) -> None:
    answer = erp.call("POST", "/adjustments", body, idempotency_key=key)
    assert (answer.status, answer.json["code"]) == (400, "body.invalid")


def test_a_post_without_a_key_is_refused(erp: Client) -> None:
    answer = erp.call("POST", "/adjustments", b"{}")
    assert (answer.status, answer.json["code"]) == (400, "idempotency.key_missing")


def test_a_body_that_is_too_large_is_refused(erp: Client, key: str) -> None:
    answer = erp.post(key, padding="x" * 1_000_000)
    assert (answer.status, answer.json["code"]) == (413, "body.too_large")


def test_the_limits_can_be_read(start: Start) -> None:
    answer = start("small", limits=["1200 execution-seconds/300s"]).call("GET", "/limits")
    assert answer.json == {
        "profile": "small",
        "limits": [
            {"kind": "rate", "limit": 10, "seconds": 1},
            {"kind": "concurrent", "limit": 5},
            {"kind": "execution", "limit": 1200, "seconds": 300},
        ],
    }


def test_the_call_over_the_rate_is_refused_with_a_retry_after(start: Start) -> None:
    erp = start("custom", limits=["3/day"])
    statuses = [erp.call("GET", "/limits").status for _ in range(3)]
    refused = erp.post()
    assert (statuses, refused.status, refused.json["code"]) == ([200] * 3, 429, "rate.exceeded")
    assert 86_000 < int(refused.headers["retry-after"]) <= 86_400
    assert ends(erp.erp)[-1]["verdict"] == "refused"


def test_an_account_over_its_own_limit_is_refused_and_others_are_not(start: Start) -> None:
    erp = start("custom", limits=["2/day per object", "post: 5/day"])
    statuses = [erp.post(f"key-{n}", account_id="A").status for n in range(3)]
    refused = erp.post("key-4", account_id="A")
    assert statuses == [201, 201, 429]
    assert (refused.json["code"], refused.headers["x-ratelimit-rule"]) == ("rate.exceeded", "object")
    assert erp.post("key-5", account_id="B").status == 201
    assert erp.post("key-6", account_id="B").headers["x-ratelimit-rule"] == "post"
    assert ends(erp.erp)[2]["account"] == "A"


def test_control_paths_are_neither_logged_nor_limited(start: Start) -> None:
    erp = start("custom", limits=["1/day"])
    for path in ("/healthz", "/openapi.json", "/sandbox/faults"):
        assert [erp.call("GET", path).status for _ in range(3)] == [200] * 3
    assert len(erp.erp.log_lines()) == 1
    assert erp.call("GET", "/limits").status == 200


def test_calls_need_the_token_of_the_file_and_follow_its_rotation(start: Start, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    erp = start(options=["--token-file", str(token)])
    assert erp.call("GET", "/limits").status == 401
    assert erp.call("GET", "/limits", authorization="Bearer old").status == 200
    token.write_text("new\n")
    assert erp.call("GET", "/limits", authorization="Bearer old").json["code"] == "auth.required"
    assert erp.call("GET", "/limits", authorization="Bearer new").status == 200
    assert [line["status"] for line in ends(erp.erp)] == [401, 200, 401, 200]


def test_the_openapi_document_describes_every_path_and_resolves(erp: Client) -> None:
    answer = erp.call("GET", "/openapi.json")
    document = answer.json
    assert document["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        for method in operations:
            target = f"{path}?reference=none" if method == "get" and path == "/adjustments" else path
            status = erp.call(method.upper(), target, b'{"faults":[]}').status
            assert str(status) in operations[method]["responses"]
    for reference in re.findall(r'"#/([^"]+)"', answer.body.decode()):
        found = document
        for part in reference.split("/"):
            found = found[part]
