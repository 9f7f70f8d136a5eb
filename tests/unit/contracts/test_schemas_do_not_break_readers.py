"""The committed snapshot of all schemas, and what counts as a breaking change."""

import json
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

import contracts
from contracts.catalogue import REGISTRY
from contracts.money import Money
from contracts.schemas import all_schemas, breaking_changes, schema_hook

SNAPSHOT = Path(contracts.__file__).with_name("snapshot.json")


class Old(msgspec.Struct):
    id: str
    tier: Literal["a", "b"]
    size: Annotated[int, msgspec.Meta(le=10)]
    fee: Money
    lines: list[Money]
    note: str | None = None


def variant(**fields: object) -> dict[str, object]:
    base = {"id": str, "tier": Literal["a", "b"], "size": Annotated[int, msgspec.Meta(le=10)], "fee": Money,
            "lines": list[Money], "note": (str | None, None)}  # fmt: skip
    merged = {name: kind for name, kind in {**base, **fields}.items() if kind is not ...}
    listed = [(name, *kind) if isinstance(kind, tuple) else (name, kind) for name, kind in merged.items()]
    return msgspec.json.schema(msgspec.defstruct("Old", listed, kw_only=True), schema_hook=schema_hook)


OLD = msgspec.json.schema(Old, schema_hook=schema_hook)


def test_the_snapshot_is_what_the_contracts_say() -> None:
    """Red after a change of contract: if it is intended, write the new snapshot with `schemas.snapshot`."""
    assert json.loads(SNAPSHOT.read_text()) == all_schemas(REGISTRY)


def test_no_contract_breaks_against_its_snapshot() -> None:
    now = all_schemas(REGISTRY)
    for name, old in json.loads(SNAPSHOT.read_text()).items():
        assert breaking_changes(old, now[name]) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"note": ...}, "/note: removed"),
        ({"extra": str}, "/extra: now required"),
        ({"id": int}, "/id: type changed from ['string'] to ['integer']"),
        ({"fee": str}, "/fee: type changed from ['object'] to ['string']"),
        ({"lines": list[str]}, "/lines/*: type changed from ['object'] to ['string']"),
        ({"tier": Literal["a"]}, "/tier: no longer takes b"),
        ({"id": Literal["x"]}, "/id: now takes only x"),
        ({"size": Annotated[int, msgspec.Meta(le=9)]}, "/size: maximum narrowed from 10 to 9"),
        ({"id": Annotated[str, msgspec.Meta(max_length=5)]}, "/id: maxLength narrowed from none to 5"),
        ({"id": Annotated[str, msgspec.Meta(pattern="x")]}, "/id: pattern changed"),
        ({"note": str}, "/note: now required"),
    ],
)
def test_a_breaking_change_is_told(fields: dict[str, object], told: str) -> None:
    assert told in breaking_changes(OLD, variant(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"extra": (str | None, None)},
        {"tier": Literal["a", "b", "c"]},
        {"size": Annotated[int, msgspec.Meta(le=11)]},
    ],
)
def test_a_widening_breaks_nobody(fields: dict[str, object]) -> None:
    assert breaking_changes(OLD, variant(**fields)) == []
