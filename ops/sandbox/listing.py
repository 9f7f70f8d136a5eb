"""Listing documents page by page, in the order of their references: a call like any other.

`GET <documents>/list?after=CURSOR&since=MOMENT&limit=N` answers {"items": [...], "next": CURSOR or null}. The order is
that of the references as bytes in UTF-8, and of document ids within a reference; a document that is posted meanwhile
is in the listing if its place is still ahead. The cursor is opaque. `since` leaves out what was posted before it
(RFC 3339, by the ERP's clock).
"""

import re
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ops.sandbox.call import Reply, problem
from ops.sandbox.ledger import Ledger

LIMIT_MAX = 1_000
LIMIT_DEFAULT = 100
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_PARAMETERS = ("after", "since", "limit")


async def listing(ledger: Ledger, query: bytes) -> Reply:
    """One page. Raises sqlite3.Error when the ledger failed."""
    given = {name: values[0] for name, values in parse_qs(query.decode("latin-1"), encoding="utf-8").items()}
    if unknown := [name for name in given if name not in _PARAMETERS]:
        return problem(400, "parameter.unknown", f"{unknown[0]}: expected {', '.join(_PARAMETERS)}")
    limit, since = given.get("limit", str(LIMIT_DEFAULT)), given.get("since", "")
    if not limit.isdecimal() or not 1 <= int(limit) <= LIMIT_MAX:
        return problem(400, "parameter.invalid", f"limit: expected a whole number from 1 to {LIMIT_MAX}")
    if since and not _MOMENT.fullmatch(since):
        return problem(400, "parameter.invalid", "since: expected a moment such as 2026-01-31T09:00:00Z")
    document, _, reference = given.get("after", "").partition(" ")
    asked = msgspec.json.encode([reference, document, since.removesuffix("Z"), int(limit)]).decode()
    entries = await ledger.find("page", asked)
    last = entries[-1] if len(entries) == int(limit) else None
    page = {
        "items": [entry.document() for entry in entries],
        "next": f"{last.document_id} {last.reference}" if last is not None else None,
    }
    return Reply(200, "read", msgspec.json.encode(page))


def describe(document: dict[str, Any], path: str) -> None:
    """Add the listing to an OpenAPI document that has the documents under `path`."""
    find = document["paths"][path]["get"]
    texts = {"after": "`next` of the page before", "since": "Only what was posted since, such as 2026-01-31T09:00:00Z"}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "description": what, "schema": {"type": "string"}} for name, what in texts.items()
    ]
    number = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
    parameters.append({"name": "limit", "in": "query", "schema": number})
    page = {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/Document"}},
            "next": {"type": ["string", "null"]},
        },
    }
    found = {"description": "A page", "content": {"application/json": {"schema": page}}}
    document["paths"][f"{path}/list"] = {
        "get": {
            **find,
            "operationId": "listDocuments",
            "summary": "List documents page by page, in the order of their references",
            "parameters": parameters,
            "responses": {**find["responses"], "200": found},
        }
    }
