"""Types, versions, windows and routing; and the fields that no contract of the thin slice has yet."""

import json
from datetime import date
from typing import Annotated, Any

import msgspec
import pytest
from contract_samples import CASE, adjustment, case, event

from contracts.catalogue import REGISTRY
from contracts.contract import Contract
from contracts.envelope import decode_envelope
from contracts.errors import ContractError
from contracts.money import Money
from contracts.records import Command, Event
from contracts.registry import Registry
from contracts.text import Id, ShortText


class Line(Command, frozen=True, kw_only=True):
    amount: Money
    note: ShortText | None = None


class InvoiceV1(Command, frozen=True, kw_only=True):
    invoice_id: Id
    lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=10_000)]
    labels: dict[Id, ShortText] | None = None


class InvoiceV2(Event, frozen=True, kw_only=True):
    invoice_id: Id
    count: int


def contract(version: int, struct: type[msgspec.Struct], **more: Any) -> Contract:
    facts: dict[str, Any] = {
        "type": "test.invoice", "version": version, "struct": struct, "kind": "command", "owner": "tests",
        "domain": "tests", "summary": "", "opened": date(2026, 1, 1),
        "business_key": lambda data: data.invoice_id, "partition_key": lambda data: data.invoice_id,
    }  # fmt: skip
    return Contract(**{**facts, **more})


def to_v2(data: InvoiceV1) -> InvoiceV2:
    return InvoiceV2(invoice_id=data.invoice_id, count=len(data.lines))


V1 = contract(1, InvoiceV1, upcast=to_v2, closes=date(2026, 7, 1))
V2 = contract(2, InvoiceV2)
BOTH = Registry([V2, V1])
ONLY = Registry([contract(1, InvoiceV1)])
LINE = {"amount": {"amount": "1.00", "currency": "EUR"}}


def invoice(**data: Any) -> bytes:
    return event("test.invoice", data={"invoice_id": "I-1", **data})


def refused(registry: Registry, raw: bytes, on: date | None = None) -> ContractError:
    with pytest.raises(ContractError) as caught:
        registry.decode_data(decode_envelope(raw), on)
    return caught.value


@pytest.mark.parametrize(
    ("data", "code", "path"),
    [
        ({"lines": []}, "lines.count", "/data/lines"),
        ({"lines": [0] * 10_001}, "lines.count", "/data/lines"),
        ({"lines": [LINE, LINE, {"amount": {"amount": "1.001", "currency": "EUR"}}]}, "money.scale",
         "/data/lines/2/amount/amount"),
        ({"lines": [{**LINE, "notes": "x"}]}, "field.unknown", "/data/lines/0/notes"),
        ({"lines": [{**LINE, "note": "x" * 201}]}, "text.too_long", "/data/lines/0/note"),
        ({"lines": [LINE], "labels": {"a/b": "x"}}, "id.format", "/data/labels/a~1b"),
        ({"lines": [LINE], "labels": {"good": 1}}, "field.type", "/data/labels/good"),
        ({"lines": {"0": LINE}}, "field.type", "/data/lines"),
        ({"lines": [LINE], "labels": []}, "field.type", "/data/labels"),
    ],
)  # fmt: skip
def test_faults_below_the_top_level_are_found_exactly(data: dict[str, Any], code: str, path: str) -> None:
    error = refused(ONLY, invoice(**data))
    assert (error.code, error.path) == (code, path)


def test_an_older_version_is_lifted_to_the_newest() -> None:
    assert BOTH.decode_data(decode_envelope(invoice(lines=[LINE, LINE]))) == InvoiceV2(invoice_id="I-1", count=2)


def test_without_a_schema_the_first_open_version_is_meant() -> None:
    assert BOTH.resolve("test.invoice") is V1
    assert BOTH.resolve("test.invoice", on=date(2026, 6, 30)) is V1
    assert BOTH.resolve("test.invoice", on=date(2026, 7, 1)) is V2


def test_a_closed_version_is_refused_by_name() -> None:
    raw = event("test.invoice", dataschema="urn:tidegate:test.invoice:1")
    error = refused(BOTH, raw, date(2026, 7, 1))
    assert (error.code, error.extra["closed"]) == ("contract.closed", "2026-07-01")
    gone = Registry([contract(1, InvoiceV1, closes=date(2026, 7, 1))])
    assert refused(gone, invoice(lines=[LINE]), date(2026, 8, 1)).code == "contract.closed"


def test_a_registry_refuses_a_gap_in_its_upcasters_and_doubles() -> None:
    with pytest.raises(ValueError, match="no upcaster"):
        Registry([contract(1, InvoiceV1), V2])
    with pytest.raises(ValueError, match="twice"):
        Registry([V2, V2])


def test_an_event_with_unknown_fields_is_taken_and_keeps_them() -> None:
    env = decode_envelope(case(newer={"deep": [1]}))
    assert REGISTRY.decode_data(env).case_id == CASE["case_id"]
    assert b'"newer"' in bytes(env.data)


def test_routing_comes_from_the_data_and_an_explicit_lane_wins() -> None:
    for raw, lane in ((case(), "urgent"), (case(escalated=False), "standard"), (event(lane="bulk"), "bulk")):
        env = decode_envelope(raw)
        contract = REGISTRY.resolve(env.type, env.dataschema)
        data = REGISTRY.decode_data(env)
        assert contract.lane_of(env, data) == lane
        assert (contract.business_key(data), contract.partition_key(data)) == ("CASE-000123", "ACC-00042")


def test_an_adjustment_is_keyed_by_its_source_document() -> None:
    env = decode_envelope(adjustment(not_before="2026-03-01T00:00:00+02:00"))
    contract = REGISTRY.resolve(env.type)
    data = REGISTRY.decode_data(env)
    assert (contract.kind, contract.business_key(data), contract.partition_key(data)) == (
        "command", "CASE-000123", "ACC-00042",
    )  # fmt: skip


def test_every_contract_has_an_owner_and_a_summary() -> None:
    for one in REGISTRY:
        assert one.owner
        assert one.domain
        assert one.summary.endswith(".")
        assert REGISTRY.resolve(one.type, one.dataschema) is one


def test_every_moment_and_positive_amount_stands_where_it_is_checked() -> None:
    """Range checks are made on top-level fields; a contract that nests one must extend the registry first."""
    for one in REGISTRY:
        for name, schema in msgspec.json.schema_components([one.struct], schema_hook=lambda kind: {"type": "object"})[
            1
        ].items():
            if name != one.struct.__name__:
                assert "date-time" not in json.dumps(schema)
