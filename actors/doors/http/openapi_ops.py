"""The operator paths of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.doors.http.ops import ALL_VERBS
from actors.doors.http.ops_reading import POSITION_MAX, STATUSES, TEXT_MAX
from actors.exceptions import PAGE_MAX as EXCEPTIONS_MAX
from actors.operator_views import PAGE_MAX
from actors.operator_work import WORK_VERBS
from actors.reconcil_words import NAMED_MAX

SECURITY: list[dict[str, list[str]]] = [{"operatorToken": []}]
Refusals = Callable[..., dict[str, Any]]
_SCOPE = "A system, domain, lane:NAME, tenant:NAME, partition:N, operation:NAME, or several joined by commas."
_SHOWN = " With dry_run nothing is changed: the effect is shown, with a token for commit."


def operators(refusals: Refusals) -> dict[str, Any]:
    """All paths under /v1/ops. `refusals` gives the responses for statuses."""
    paths = {**_looking(refusals), **_orders(refusals)}
    for verb, what in (("set", "Set something live: rate, weight, minimum, floor"), ("unset", "End what was set")):
        paths[f"/v1/ops/{verb}"] = _command(verb, what, "SettingCommand", refusals, _SHOWN)
    told = {
        "cancel": "Cancel waiting calls that were never sent; their senders are told that they were refused",
        "reprioritise": "Move waiting calls to another lane",
        "move": "Move waiting calls to another time",
        "purge": "Export and drop set-aside messages that are not about money",
    }
    for verb in WORK_VERBS:
        paths[f"/v1/ops/{verb}"] = _command(verb, told[verb], "WorkCommand", refusals, _SHOWN)
    again = "Send calls again that are with a person; many go behind a canary"
    paths["/v1/ops/retry"] = _command("retry", again, "WorkCommand", refusals, _SHOWN)
    word = "Say what has become of a call that no system can tell of"
    paths["/v1/ops/settle"] = _command("settle", word, "SettleCommand", refusals, _SHOWN)
    paths["/v1/ops/commit"] = _command("commit", "Carry out exactly what a dry run showed", "CommitCommand", refusals)
    paths["/v1/ops/undo"] = _command("undo", "Take back a done operation", "UndoCommand", refusals)
    compare = _command("compareLedger", "Hold the ledger against a system, or end that", "LedgerCommand", refusals)
    compare["post"]["responses"]["200"] = {"description": "The run as it stands.", "content": _json("RunView")}
    paths["/v1/ops/ledger"] |= compare
    return paths


def _orders(refusals: Refusals) -> dict[str, Any]:
    verb = {"type": "string", "enum": list(ALL_VERBS)}
    told = "Answered when it is durable and in force: no call that it forbids starts after that." + _SHOWN
    operation = _command("operate", "Give or end a standing order", "Command", refusals, told)
    operation["post"]["parameters"] = [{"name": "verb", "in": "path", "required": True, "schema": verb}]
    return {"/v1/ops/{verb}": operation}


def _command(verb: str, summary: str, body: str, refusals: Refusals, description: str = "") -> dict[str, Any]:
    return {
        "post": {
            "operationId": verb,
            "tags": ["operators"],
            "summary": summary,
            **({"description": description.strip()} if description else {}),
            "security": SECURITY,
            "requestBody": {"required": True, "content": _json(body)},
            "responses": {
                "200": {"description": "What it did, or with dry_run would do.", "content": _json("Effect")},
                **refusals(400, 401, 404, 409, 413, 415, 422, 503),
            },
        }
    }


def _looking(refusals: Refusals) -> dict[str, Any]:
    scope = _text("scope", _SCOPE)
    status = {
        "name": "status",
        "in": "query",
        "schema": {"type": "string", "enum": list(STATUSES), "default": "waiting"},
    }
    key = {**_text("key", "A business key, id, intent or document."), "required": True}
    limit = _number("limit", "Entries.", 1, PAGE_MAX, 50)
    rows: list[tuple[str, str, str, str, list[Any]]] = [
        ("status", "getStatus", "The whole house on one page", "Overview", []),
        ("top", "getTop", "What moves just now: lanes, budgets, tenants, ETA", "Top", []),
        (
            "exceptions",
            "getExceptions",
            "What waits for a person, oldest first; sensitive fields are masked",
            "ExceptionPage",
            [_number("limit", "Entries.", 1, EXCEPTIONS_MAX, 50)],
        ),
        (
            "calls",
            "getCalls",
            "Calls under a scope, in the order of their requests",
            "CallPage",
            [scope, status, _number("after", "`next` of the page before.", 0, POSITION_MAX, 0), limit],
        ),
        ("search", "getSearch", "Everything under a key", "Found", [key, limit]),
        ("left", "getLeft", "What is not finished, by id", "Left", []),
        (
            "audit",
            "getAudit",
            "The audit, newest first",
            "AuditPage",
            [
                _text("subject", "An intent, a target, an operation's target."),
                _text("who", "Who did it."),
                {"name": "before", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": POSITION_MAX}},
                limit,
            ],
        ),
        (
            "ledger",
            "getLedger",
            "The last comparison of the ledger with a system, or one by its number, with its differences",
            "RunView",
            [
                _number("run", "Its number; 0: the last.", 0, POSITION_MAX, 0),
                _number("after", "`next` of the page before.", 0, NAMED_MAX, 0),
                _number("limit", "Differences.", 1, 1_000, 100),
            ],
        ),
        ("operations", "getOperations", "The last operations, newest first", "OperationPage", [limit]),
    ]
    return {f"/v1/ops/{path}": _read(name, what, schema, known, refusals) for path, name, what, schema, known in rows}


def _read(operation: str, summary: str, schema: str, parameters: list[Any], refusals: Refusals) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation,
            "tags": ["operators"],
            "summary": summary,
            "security": SECURITY,
            **({"parameters": parameters} if parameters else {}),
            "responses": {"200": {"description": "Now.", "content": _json(schema)}, **refusals(401, 422)},
        }
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _text(name: str, what: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": TEXT_MAX}
    return {"name": name, "in": "query", "description": what, "schema": schema}


def _number(name: str, what: str, least: int, most: int, default: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return {"name": name, "in": "query", "description": what, "schema": schema}
