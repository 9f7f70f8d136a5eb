"""JSON Schemas of all contracts, and whether a new schema would break a sender or reader of the old one."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from contracts.contract import Contract
from contracts.money import DIGITS_MAX, Money

MONEY_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": f"Exact money; the amount is decimal text of at most {DIGITS_MAX} digits.",
    "properties": {
        "amount": {"type": "string", "pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?$", "examples": ["12.50"]},
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]},
    },
    "required": ["amount", "currency"],
    "additionalProperties": False,
}
_LIMITS: Final = (
    ("maxLength", 1),
    ("maximum", 1),
    ("maxItems", 1),
    ("minLength", -1),
    ("minimum", -1),
    ("minItems", -1),
)


def schema_hook(kind: type) -> dict[str, Any]:
    """msgspec `schema_hook`: the schema of Money."""
    if kind is Money:
        return MONEY_SCHEMA
    raise NotImplementedError(kind.__name__)


def schema_of(contract: Contract) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one contract's data, named by its `dataschema`."""
    body = msgspec.json.schema(contract.struct, schema_hook=schema_hook)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": contract.dataschema, **body}


def all_schemas(contracts: Iterable[Contract]) -> dict[str, dict[str, Any]]:
    """`dataschema` -> JSON Schema."""
    return {contract.dataschema: schema_of(contract) for contract in contracts}


def snapshot(contracts: Iterable[Contract]) -> str:
    """The text of contracts/snapshot.json: what was promised at the last release."""
    return json.dumps(all_schemas(contracts), indent=1, sort_keys=True) + "\n"


def breaking_changes(old_schema: dict[str, Any], new_schema: dict[str, Any]) -> list[str]:
    """What a sender or a reader of the old schema would trip over, each as "path: what"; [] when nothing."""
    return list(_compare(old_schema, new_schema, old_schema, new_schema))


def _compare(old: Any, new: Any, old_root: Any, new_root: Any, path: str = "") -> Iterator[str]:
    old, new = _resolve(old, old_root), _resolve(new, new_root)
    yield from _compare_values(old, new, path)
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for name in old_fields:
        if name in new_fields:
            yield from _compare(old_fields[name], new_fields[name], old_root, new_root, f"{path}/{name}")
        else:
            yield f"{path}/{name}: removed"
    for name in new.get("required", []):
        if name not in old.get("required", []):
            yield f"{path}/{name}: now required"
    for name in old.get("required", []):
        if name in new_fields and name not in new.get("required", []):
            yield f"{path}/{name}: no longer always there"
    for part in ("items", "additionalProperties"):
        if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
            yield from _compare(old[part], new[part], old_root, new_root, f"{path}/*")


def _compare_values(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[str]:
    if _types(old) != _types(new):
        yield f"{path}: type changed from {_types(old)} to {_types(new)}"
    if gone := [str(value) for value in _values(old) if value not in _values(new)] if _values(new) else []:
        yield f"{path}: no longer takes {', '.join(gone)}"
    if _values(new) and not _values(old):
        yield f"{path}: now takes only {', '.join(map(str, _values(new)))}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{path}: pattern changed"
    for limit, sign in _LIMITS:
        if limit in new and (limit not in old or sign * new[limit] < sign * old[limit]):
            yield f"{path}: {limit} narrowed from {old.get(limit, 'none')} to {new[limit]}"


def _types(schema: dict[str, Any]) -> list[str]:
    """The JSON types a schema takes, sorted; alternatives are flattened."""
    if "anyOf" in schema:
        return sorted({kind for part in schema["anyOf"] for kind in _types(part)})
    if "enum" in schema:
        return sorted({"null" if value is None else "string" for value in schema["enum"]})
    return [schema["type"]] if "type" in schema else []


def _values(schema: dict[str, Any]) -> list[Any]:
    """The values an enumeration takes; empty when the schema does not enumerate."""
    parts = schema.get("anyOf", [schema])
    return [value for part in parts for value in part.get("enum", [])]


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref`; of an optional value's alternatives, merge the one that is not null in."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    real = [part for part in schema.get("anyOf", []) if part.get("type") != "null"]
    if len(real) == 1:
        one = _resolve(real[0], root)
        return {**one, "anyOf": [{key: one[key] for key in ("type", "enum") if key in one}, {"type": "null"}]}
    return schema
