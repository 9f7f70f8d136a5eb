"""The ERP's OpenAPI 3.1 document: openapi.json, completed with the schemas of our own types."""

import json
from pathlib import Path

import msgspec

from ops.sandbox.documents import Document
from ops.sandbox.faults import FaultSet, FaultState
from ops.sandbox.limits import Profile

_BASE_PATH = Path(__file__).with_name("openapi.json")


def openapi() -> bytes:
    """The document as JSON. Documents, limits and faults are described by the types that carry them."""
    document = json.loads(_BASE_PATH.read_bytes())
    _, schemas = msgspec.json.schema_components(
        (Document, Profile, FaultSet, FaultState), ref_template="#/components/schemas/{name}"
    )
    document["components"]["schemas"].update(schemas)
    return msgspec.json.encode(document)
