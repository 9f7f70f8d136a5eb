"""The OpenAPI 3.1 document of the door: paths by hand, schemas from the same structs that decode and encode."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from actors.doors.http.forecasts import PATHS as FORECASTS
from actors.doors.http.messages import BATCH, JSON, STRUCTURED
from actors.doors.http.messages import PATH as MESSAGES
from actors.doors.http.openapi_approvals import approval_paths
from actors.doors.http.openapi_incidents import incident_paths
from actors.doors.http.openapi_ops import SECURITY, operators
from actors.doors.http.openapi_schemas import schemas
from actors.doors.http.problems import MEDIA_TYPE
from actors.doors.http.reading import AFTER_MAX, KEY_CHARACTERS_MAX, PAGE_DEFAULT, PAGE_MAX
from contracts.caps import DEFAULT_CAPS
from contracts.contract import Contract
from contracts.errors import CODES
from contracts.registry import Registry

_ABOUT = """\
Messages are CloudEvents 1.0. A message is answered with 202 when it is durable, not before; sent again with the same
source and id (or, for commands, the same idempotency key) it is recognised and done once.

Errors are problem details (RFC 9457) with a stable `code` and, where it helps, a JSON pointer `path` into the body.
Answers are JSON whatever `Accept` says, but for /healthz and /metrics. Query parameters that are not listed, or are
given twice, are refused."""
_REF = "#/components/"


def document(registry: Registry, accepted: Collection[str], version: str, approvals: bool = False) -> dict[str, Any]:
    """The whole document. `accepted` are the message types that somebody here handles; `approvals`: whether any are."""
    contracts = [contract for contract in registry if contract.type in accepted]
    decisions = approval_paths(_json, _refusals, SECURITY) if approvals else {}
    decisions |= incident_paths(_json, _refusals, SECURITY) if approvals else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tidegate", "version": version, "description": _ABOUT},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "messages", "description": "Messages in, and what became of them."},
            {"name": "operators", "description": "Behind the operator token."},
            {"name": "machines", "description": "Liveness, readiness, figures, this document."},
        ],
        "paths": {
            **_messages(contracts),
            **_reading(),
            **operators(_refusals),
            **decisions,
            **FORECASTS,
            **_machines(),
        },
        "components": {
            "schemas": schemas(contracts),
            "responses": _problems(),
            "headers": {
                "RetryAfter": {"description": "Seconds after which to come back.", "schema": {"type": "integer"}},
                "Allow": {"description": "What may be done here.", "schema": {"type": "string"}},
                "WwwAuthenticate": {"description": "How to authenticate.", "schema": {"const": "Bearer"}},
            },
            "securitySchemes": {
                "operatorToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The operator token of this daemon; `tidegate token` tells where it is kept.",
                }
            },
        },
    }


# pieces ------------------------------------------------------------------------------------------------------


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"{_REF}schemas/{name}"}


def _json(name: str) -> dict[str, Any]:
    return {JSON: {"schema": _schema(name)}}


def _refusals(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"{_REF}responses/Problem{status}"} for status in (*statuses, 500)}


def _problems() -> dict[str, Any]:
    """One response for each status that a code of ours has."""
    found: dict[int, list[str]] = {}
    for code, (status, _) in CODES.items():
        found.setdefault(status, []).append(code)
    return {f"Problem{status}": _problem(status, codes) for status, codes in sorted(found.items())}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": "One of: " + ", ".join(codes) + ".",
        "content": {MEDIA_TYPE: {"schema": _schema("Problem")}},
    }
    header = {401: ("WWW-Authenticate", "WwwAuthenticate"), 405: ("Allow", "Allow")}
    header |= dict.fromkeys((429, 503), ("Retry-After", "RetryAfter"))
    if status in header:
        name, component = header[status]
        response["headers"] = {name: {"$ref": f"{_REF}headers/{component}"}}
    return response


def _header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


# paths -------------------------------------------------------------------------------------------------------


def _messages(contracts: list[Contract]) -> dict[str, Any]:
    caps = DEFAULT_CAPS
    commands = ", ".join(sorted({contract.type for contract in contracts if contract.kind == "command"}))
    key = (
        f"For one event: stands for the attribute idempotencykey, which commands need ({commands}). "
        "In a batch each event has its own attribute."
    )
    binary = {f"data.{c.type}.{c.version}": {"$ref": f"{_REF}schemas/{c.struct.__name__}"} for c in contracts}
    post = {
        "operationId": "postMessages",
        "tags": ["messages"],
        "summary": "Send messages",
        "description": (
            f"One event in structured mode ({STRUCTURED} or {JSON}) or in binary mode ({JSON} with ce- headers and the "
            f"data as body), at most {caps.bytes_max} bytes; or a batch of at most {caps.batch_events_max} events and "
            f"{caps.batch_bytes_max} bytes, which is taken whole or not at all. gzip is taken."
        ),
        "parameters": [
            _header("Idempotency-Key", key, pattern="^[!-~]{1,255}$"),
            _header("Content-Encoding", "How the body is packed.", enum=["identity", "gzip"]),
            _header("ce-specversion", "Present in binary mode, with the other attributes as ce- headers.", const="1.0"),
            *(_header(f"ce-{name}", "Binary mode; needed there.") for name in ("id", "source", "type")),
        ],
        "requestBody": {
            "required": True,
            "content": {
                STRUCTURED: {"schema": _schema("Message")},
                BATCH: {"schema": _schema("MessageBatch")},
                JSON: {"schema": {"anyOf": [_schema("Message"), *_distinct(binary)]}},
            },
        },
        "responses": {
            "202": {
                "description": "Durable. A receipt, or for a batch one for each event in order.",
                "content": {JSON: {"schema": {"anyOf": [_schema("Receipt"), _schema("BatchReceipt")]}}},
            },
            **_refusals(400, 408, 409, 413, 414, 415, 422, 429, 431, 503),
        },
    }
    return {MESSAGES: {"post": post}}


def _distinct(named: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    return [{"$ref": ref} for ref in sorted({schema["$ref"] for schema in named.values()})]


def _reading() -> dict[str, Any]:
    return {
        "/v1/messages/{message_id}": {
            "get": _by_key("getMessage", "What became of a message", "message_id", "Its CloudEvents id.", "MessageView")
        },
        "/v1/processes/{key}": {
            "get": _by_key(
                "getProcess",
                "The story of a business key",
                "key",
                "A case, an invoice, an intent id, a message id or a document at the ERP.",
                "ProcessView",
            )
        },
        "/v1/outcomes": {
            "get": {
                "operationId": "getOutcomes",
                "tags": ["messages"],
                "summary": "Outcomes in the order of acceptance",
                "description": "Follow `next` until it stands still.",
                "parameters": [
                    _number("after", "`next` of the page before.", 0, AFTER_MAX, 0),
                    _number("limit", "Entries on a page.", 1, PAGE_MAX, PAGE_DEFAULT),
                ],
                "responses": {"200": {"description": "A page.", "content": _json("OutcomePage")}, **_refusals(422)},
            }
        },
    }


def _by_key(operation: str, summary: str, name: str, what: str, schema: str) -> dict[str, Any]:
    characters = {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX}
    return {
        "operationId": operation,
        "tags": ["messages"],
        "summary": summary,
        "parameters": [{"name": name, "in": "path", "required": True, "description": what, "schema": characters}],
        "responses": {"200": {"description": "Found.", "content": _json(schema)}, **_refusals(404, 422)},
    }


def _number(name: str, what: str, least: int, most: int, default: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return {"name": name, "in": "query", "description": what, "schema": schema}


def _machines() -> dict[str, Any]:
    plain = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/healthz": _machine("getHealth", "Is the process alive?", {"200": {"description": "Yes.", "content": plain}}),
        "/readyz": _machine(
            "getReadiness",
            "Does it take and do work?",
            {
                "200": {"description": "Yes.", "content": _json("Readiness")},
                "503": {"description": "No, and why.", "content": _json("Readiness")},
            },
        ),
        "/metrics": _machine(
            "getMetrics", "Figures for Prometheus", {"200": {"description": "Text format.", "content": plain}}
        ),
        "/openapi.json": _machine(
            "getOpenapi",
            "This document",
            {"200": {"description": "OpenAPI 3.1.", "content": {JSON: {"schema": {"type": "object"}}}}},
        ),
    }


def _machine(operation: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation,
            "tags": ["machines"],
            "summary": summary,
            "responses": {**responses, **_refusals(422)},
        }
    }
