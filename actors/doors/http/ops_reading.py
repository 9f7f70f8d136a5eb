"""What operators look at, under `/v1/ops`, behind the operator token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response, get

from actors.doors.http.query import check_query, whole_number
from actors.exceptions import PAGE_MAX as EXCEPTIONS_MAX
from actors.exceptions import open_exceptions
from actors.house import House
from actors.operations import Operations
from actors.operator_top import TopView
from actors.operator_views import PAGE_MAX, Views
from actors.status import Status
from contracts.errors import ContractError

STATUSES = ("waiting", "in_flight", "unknown", "done", "refused", "exception")
POSITION_MAX = 2**53 - 1
TEXT_MAX = 512
_encode = msgspec.json.Encoder().encode
_OPERATOR = {"operator": True}


def _answer(value: Any) -> Response[bytes]:
    return Response(_encode(value), media_type="application/json")


def _parameters(request: Request[Any, Any, Any], *known: str) -> Mapping[str, str]:
    return check_query(request.scope["query_string"], known)


def _text(parameters: Mapping[str, str], name: str) -> str | None:
    text = parameters.get(name)
    if text is not None and not 1 <= len(text) <= TEXT_MAX:
        raise ContractError("query.value", f"{name}: expected 1 to {TEXT_MAX} characters.", parameter=name)
    return text


@get("/v1/ops/status", opt=_OPERATOR)
async def get_status(status: Status) -> Response[bytes]:
    """Actors, queues, calls, budget, standing orders, exceptions."""
    return _answer(await status.overview())


@get("/v1/ops/top", opt=_OPERATOR)
async def get_top(house: House) -> Response[bytes]:
    """Lanes, budgets, tenants that wait longest, ETA."""
    return _answer(await TopView(house).picture())


@get("/v1/ops/exceptions", opt={**_OPERATOR, "query": ("limit",)})
async def get_exceptions(request: Request[Any, Any, Any], house: House) -> Response[bytes]:
    """What waits for a person, oldest first."""
    limit = whole_number(_parameters(request, "limit"), "limit", 50, 1, EXCEPTIONS_MAX)
    return _answer(await open_exceptions(house.store.reads, house.registry, limit))


@get("/v1/ops/calls", opt={**_OPERATOR, "query": ("scope", "status", "after", "limit")})
async def get_calls(request: Request[Any, Any, Any], house: House, operations: Operations) -> Response[bytes]:
    """Calls under a scope, in the order of their requests."""
    parameters = _parameters(request, "scope", "status", "after", "limit")
    target, status = _text(parameters, "scope"), parameters.get("status", "waiting")
    if status not in STATUSES:
        detail = f"status: expected one of {', '.join(STATUSES)}."
        raise ContractError("query.value", detail, parameter="status", known=list(STATUSES))
    scope = None if target is None else operations.places.scope("hold", target)
    after = whole_number(parameters, "after", 0, 0, POSITION_MAX)
    limit = whole_number(parameters, "limit", 50, 1, PAGE_MAX)
    return _answer(await Views(house, operations).calls(scope, status, after, limit))


@get("/v1/ops/search", opt={**_OPERATOR, "query": ("key", "limit")})
async def get_search(request: Request[Any, Any, Any], house: House, operations: Operations) -> Response[bytes]:
    """Messages, calls and exceptions under a business key, an id, an intent or a document."""
    parameters = _parameters(request, "key", "limit")
    key = _text(parameters, "key")
    if key is None:
        raise ContractError("query.value", "key: expected a business key, an id, an intent or a document.")
    return _answer(await Views(house, operations).search(key, whole_number(parameters, "limit", 50, 1, PAGE_MAX)))


@get("/v1/ops/left", opt=_OPERATOR)
async def get_left(house: House, operations: Operations) -> Response[bytes]:
    """What is not finished, by id."""
    return _answer(await Views(house, operations).left())


@get("/v1/ops/audit", opt={**_OPERATOR, "query": ("subject", "who", "before", "limit")})
async def get_audit(request: Request[Any, Any, Any], house: House, operations: Operations) -> Response[bytes]:
    """The audit, newest first."""
    parameters = _parameters(request, "subject", "who", "before", "limit")
    before = whole_number(parameters, "before", POSITION_MAX, 1, POSITION_MAX)
    limit = whole_number(parameters, "limit", 50, 1, PAGE_MAX)
    views = Views(house, operations)
    return _answer(await views.audit(_text(parameters, "subject"), _text(parameters, "who"), before, limit))


@get("/v1/ops/operations", opt={**_OPERATOR, "query": ("limit",)})
async def get_operations(request: Request[Any, Any, Any], operations: Operations) -> Response[bytes]:
    """The last operations that were carried out, newest first."""
    limit = whole_number(_parameters(request, "limit"), "limit", 50, 1, PAGE_MAX)
    return _answer({"items": await operations.history(limit)})


HANDLERS = [get_status, get_top, get_exceptions, get_calls, get_search, get_left, get_audit, get_operations]
