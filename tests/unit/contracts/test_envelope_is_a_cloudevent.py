"""Envelopes: CloudEvents 1.0 in structured and binary mode, nothing lost on a round trip."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from contract_samples import CASE, event

from contracts.envelope import decode_envelope, encode_envelope, from_attributes, from_binary
from contracts.errors import ContractError

DATA = json.dumps(CASE).encode()
HEADERS = {
    "CE-Id": "evt-1",
    "ce-source": "urn:test",
    "ce-type": "support.case.opened",
    "ce-specversion": "1.0",
}


def refused(call: Any, *arguments: Any) -> ContractError:
    with pytest.raises(ContractError) as caught:
        call(*arguments)
    return caught.value


def test_a_round_trip_keeps_every_attribute_and_the_raw_data() -> None:
    raw = event(time="2026-03-01T10:00:00Z", tenant="acme", lane="bulk", sequence="7", vendorflag=True, vendornumber=3)
    env = decode_envelope(raw)
    assert decode_envelope(encode_envelope(env)) == env
    assert json.loads(encode_envelope(env)) == json.loads(raw)


def test_data_stays_the_bytes_that_came() -> None:
    raw = event().replace(b'"data": {', b'"data": {  "newer" : 1.10 ,')
    assert b'{  "newer" : 1.10 ,' in bytes(decode_envelope(raw).data)


def test_the_deadline_is_a_moment_and_the_workload_a_name() -> None:
    env = decode_envelope(event(deadline="2026-03-01T10:00:00+01:00", workload="billing-cycle"))
    assert env.deadline == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert env.workload == "billing-cycle"
    assert decode_envelope(encode_envelope(env)) == env
    for wrong in ({"deadline": "soon"}, {"deadline": "1999-03-01T10:00:00Z"}, {"deadline": 5}, {"workload": "a b"}):
        assert refused(decode_envelope, event(**wrong)).path == f"/{next(iter(wrong))}"


def test_the_tenant_is_default_unless_named() -> None:
    assert decode_envelope(event()).tenant == "default"


def test_null_attributes_count_as_absent() -> None:
    env = decode_envelope(event(subject=None, tenant=None, vendor=None))
    assert (env.tenant, env.subject, env.extensions) == ("default", None, {})


@pytest.mark.parametrize(
    ("attributes", "code", "path"),
    [
        ({"Bad_Name": "x"}, "envelope.attribute", "/Bad_Name"),
        ({"x" * 21: "x"}, "envelope.attribute", "/" + "x" * 21),
        ({"-extensions": {"a": "b"}}, "envelope.attribute", "/-extensions"),
        ({"vendor": {"a": 1}}, "field.type", "/vendor"),
        ({"vendor": 1.5}, "field.type", "/vendor"),
        ({"vendor": 2**53 + 1}, "field.range", "/vendor"),
        ({"vendor": "é" * 513}, "text.too_long", "/vendor"),
        ({f"vendor{number}": "x" for number in range(17)}, "envelope.attribute", ""),
        ({"datacontenttype": "application/xml"}, "media.type", "/datacontenttype"),
        ({"datacontenttype": "application/json; charset=utf-7"}, "media.type", "/datacontenttype"),
        ({"data_base64": "AA=="}, "envelope.attribute", "/data_base64"),
        ({"sequence": 7}, "field.type", "/sequence"),
    ],
)
def test_bad_attributes_are_refused(attributes: dict[str, Any], code: str, path: str) -> None:
    error = refused(decode_envelope, event(**attributes))
    assert (error.code, error.path) == (code, path)


def test_data_in_base64_is_told_to_come_as_json() -> None:
    raw = json.dumps({"specversion": "1.0", "id": "a", "source": "b", "type": "c", "data_base64": "AA=="}).encode()
    assert refused(decode_envelope, raw).code == "media.type"


def test_an_attribute_cannot_pose_as_the_extensions() -> None:
    assert refused(decode_envelope, event(**{"-extensions": "x"})).code == "envelope.attribute"
    assert decode_envelope(event(extensions="x")).extensions == {"extensions": "x"}


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=UTF-8", "application/problem+json"])
def test_json_media_types_are_taken(media: str) -> None:
    assert decode_envelope(event(datacontenttype=media)).datacontenttype == media


def test_binary_mode_reads_headers_in_any_case() -> None:
    env = from_binary({**HEADERS, "Content-Type": "application/json", "Host": "x", "CE-Vendor": "y"}, DATA)
    assert (env.id, env.datacontenttype, env.extensions) == ("evt-1", "application/json", {"vendor": "y"})
    assert bytes(env.data) == DATA
    assert decode_envelope(encode_envelope(env)) == env


def test_binary_mode_undoes_quotes_and_one_round_of_percent_encoding() -> None:
    env = from_binary({**HEADERS, "ce-subject": '"Euro%20%E2%82%AC \\"x\\" %2520"'}, DATA)
    assert env.subject == 'Euro € "x" %20'


@pytest.mark.parametrize(
    ("headers", "code", "path"),
    [
        ({"ce-subject": "%"}, "envelope.attribute", "/subject"),
        ({"ce-subject": "%zz"}, "envelope.attribute", "/subject"),
        ({"ce-subject": "%ff"}, "envelope.attribute", "/subject"),
        ({"ce-subject": "a%00b"}, "text.control_character", "/subject"),
        ({"ce-subject": "a%0D%0Ab"}, "text.control_character", "/subject"),
        ({"CE-Id": "a%2Fb"}, "id.format", "/id"),
        ({"CE-Id": ""}, "id.format", "/id"),
        ({"ce-specversion": "0.3"}, "field.value", "/specversion"),
        ({"ce-data": "{}"}, "envelope.attribute", "/data"),
        ({"content-type": "text/plain"}, "media.type", "/datacontenttype"),
    ],
)
def test_bad_headers_are_refused(headers: dict[str, str], code: str, path: str) -> None:
    error = refused(from_binary, {**HEADERS, **headers}, DATA)
    assert (error.code, error.path) == (code, path)


def test_a_missing_header_is_a_missing_attribute() -> None:
    assert refused(from_binary, {"ce-id": "a"}, DATA).path == "/source"


@pytest.mark.parametrize("value", [float("nan"), 2**70, b"\xff", [], {"a": 1}])
def test_strange_amqp_header_values_are_refused(value: Any) -> None:
    attributes = {"id": "a", "source": "b", "type": "c", "vendor": value}
    assert refused(from_attributes, attributes, DATA).path == "/vendor"


def test_an_attribute_that_is_not_unicode_is_refused() -> None:
    assert refused(from_attributes, {"id": "a", "source": "\ud800", "type": "c"}, DATA).status == 422
