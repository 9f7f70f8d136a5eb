"""The ERP's OpenAPI 3.1 document: openapi.json, completed with the schemas of our own types."""

import json
from pathlib import Path
from typing import Any

import msgspec

from ops.sandbox.documents import Document
from ops.sandbox.faults import FaultSet, FaultState
from ops.sandbox.limits import Profile
from ops.sandbox.listing import describe
from ops.sandbox.systems import Posting, System

_REF = "#/components/schemas/"
_BASE_PATH = Path(__file__).with_name("openapi.json")


def openapi(system: System) -> bytes:
    """The document as JSON. Documents, limits and faults are described by the types that carry them."""
    document = json.loads(_BASE_PATH.read_bytes())
    types = (Document, Profile, FaultSet, FaultState, Posting)
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    document["components"]["schemas"].update(schemas)
    if system.kinds:
        _describe(document, system)
    describe(document, system.path)
    return msgspec.json.encode(document)


def _describe(document: dict[str, Any], system: System) -> None:
    """The same operations under the system's own path, with its own request."""
    document["info"]["title"] = system.title
    document["info"]["description"] = document["info"]["description"].replace(
        "Adjustments of customer accounts.", f"Documents of kind {', '.join(system.kinds)}."
    )
    operations = document["paths"][system.path] = document["paths"].pop("/adjustments")
    body = {"schema": {"$ref": f"{_REF}Posting"}}
    if system.account is not None:
        document["paths"]["/accounts"] = {"get": _account(operations["get"])}
    operations["post"]["requestBody"]["content"]["application/json"] = body


def _account(find: dict[str, Any]) -> dict[str, Any]:
    """Looking at an account is a call like looking for a document."""
    parameter = {"name": "account_id", "in": "query", "required": True, "schema": {"type": "string"}}
    found = {"description": "What is known of it", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        **find,
        "operationId": "getAccount",
        "summary": "Read an account",
        "parameters": [parameter],
        "responses": {**find["responses"], "200": found},
    }
