"""Fuzzing: whatever comes in, it is read or refused by a code; nothing else is ever raised."""

import json
from typing import Any

import pytest
from contract_samples import ADJUSTMENT, CASE
from hypothesis import given
from hypothesis import strategies as st

from contracts.catalogue import REGISTRY
from contracts.envelope import decode_envelope, encode_envelope, from_attributes, from_binary
from contracts.errors import ContractError
from contracts.fingerprint import fingerprint
from contracts.masking import mask
from contracts.scan import split_batch

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["EUR", "1.00", "urgent", "2026-03-01T00:00:00Z", "1.0", "9999-12-31T23:59:59-23:59"])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def varied(base: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    changes = st.dictionaries(st.sampled_from([*base, "other"]), values, max_size=3)
    return changes.map(lambda change: {**base, **change})


ENVELOPE = {"specversion": "1.0", "id": "a", "source": "b", "type": "c", "tenant": "t", "lane": "bulk",
            "time": "2026-03-01T00:00:00Z", "sequence": "1", "dataschema": None}  # fmt: skip
DATA = {"support.case.opened": CASE, "erp.adjustment.request": ADJUSTMENT}


def problem(error: ContractError) -> bytes:
    """The error as a door would write it."""
    facts = {"title": error.title, "status": error.status, "code": error.code, "detail": error.detail}
    return json.dumps({**error.extra, **facts, "path": error.path}, ensure_ascii=False).encode()


def walk(raw: bytes) -> None:
    try:
        env = decode_envelope(raw)
        assert decode_envelope(encode_envelope(env)) == env
        data = REGISTRY.decode_data(env)
    except ContractError as error:
        problem(error)
    else:
        contract = REGISTRY.resolve(env.type, env.dataschema)
        contract.lane_of(env, data)
        fingerprint(bytes(env.data), env.type)
        mask(data, contract)


@given(st.data())
def test_varied_data_is_read_or_refused(draw: st.DataObject) -> None:
    name = draw.draw(st.sampled_from(sorted(DATA)))
    data = draw.draw(varied(DATA[name]) | values)
    walk(json.dumps({**ENVELOPE, "type": name, "data": data}).encode())


@given(varied(ENVELOPE))
def test_varied_envelopes_are_read_or_refused(envelope: dict[str, Any]) -> None:
    walk(json.dumps({"data": CASE, **envelope, "type": "support.case.opened"}).encode())


@given(st.binary())
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    walk(raw)
    for call in (decode_envelope, split_batch):
        with pytest.raises(ContractError):
            call(raw + b"\xff")


@given(st.dictionaries(st.sampled_from(["ce-id", "ce-type", "Ce-Source", "ce-x", "ce-", "content-type"]), st.text()))
def test_any_headers_are_read_or_refused(headers: dict[str, str]) -> None:
    try:
        env = from_binary({"ce-id": "a", "ce-type": "b", **headers}, b"{}")
        assert decode_envelope(encode_envelope(env)) == env
    except ContractError as error:
        problem(error)


@given(st.dictionaries(st.text(max_size=8), values | st.binary(), max_size=4))
def test_any_attributes_are_read_or_refused(attributes: dict[str, Any]) -> None:
    try:
        from_attributes({"id": "a", "type": "b", "source": "c", **attributes}, b"{}")
    except ContractError as error:
        problem(error)
