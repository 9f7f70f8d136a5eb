"""Operator endpoints under `/v1/ops`, behind the operator token."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from actors.controls import OPPOSITE, VERBS
from actors.doors.http.body import headers_of, read_body
from actors.doors.http.query import check_query, whole_number
from actors.exceptions import PAGE_MAX, open_exceptions
from actors.house import House
from actors.operations import Command, Operations
from actors.status import Status
from contracts.errors import ContractError, nearest
from contracts.explain import explain
from contracts.scan import scan

ALL_VERBS = (*VERBS, *OPPOSITE)
_encode = msgspec.json.Encoder().encode
_BODY_BYTES_MAX = 8 * 1024
_OPERATOR = {"operator": True}


class AuthRefused(Exception):
    """No credential, or a wrong one. Which it was is told; in what it was wrong is not."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def require_token(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard of handlers with `operator` in their `opt`: `Authorization: Bearer <operator token>`.

    The token is compared in constant time.

    Raises:
        AuthRefused: there is none, or it is not the one.
    """
    if not handler.opt.get("operator"):
        return
    given = connection.headers.getall("authorization", [])
    expected = connection.app.state.operator_token
    if not given:
        raise AuthRefused("auth.missing")
    scheme, _, token = given[0].partition(" ")
    same = secrets.compare_digest(token.strip().encode(), expected.encode())
    if len(given) > 1 or scheme.lower() != "bearer" or not same:
        raise AuthRefused("auth.invalid")


@get("/v1/ops/status", opt=_OPERATOR)
async def get_status(status: Status) -> Response[bytes]:
    """Actors, queues, calls, budget, standing orders, exceptions."""
    return Response(_encode(await status.overview()), media_type="application/json")


@get("/v1/ops/exceptions", opt={**_OPERATOR, "query": ("limit",)})
async def get_exceptions(request: Request[Any, Any, Any], house: House) -> Response[bytes]:
    """What waits for a person, oldest first."""
    parameters = check_query(request.scope["query_string"], ("limit",))
    limit = whole_number(parameters, "limit", 50, 1, PAGE_MAX)
    page = await open_exceptions(house.store.reads, house.registry, limit)
    return Response(_encode(page), media_type="application/json")


@post("/v1/ops/{verb:str}", opt=_OPERATOR, status_code=200)
async def post_verb(request: Request[Any, Any, Any], verb: str, operations: Operations) -> Response[bytes]:
    """Give or end a standing order; answered when it is durable and in force."""
    if verb not in ALL_VERBS:
        detail = f"Expected one of {', '.join(ALL_VERBS)}."
        raise ContractError("path.not_found", detail, known=list(ALL_VERBS), nearest=nearest(verb, ALL_VERBS))
    raw = await read_body(request.receive, headers_of(request.scope), _BODY_BYTES_MAX)
    document = scan(raw)
    try:
        command = msgspec.convert(document, Command)
    except msgspec.ValidationError:
        explain(document, Command)
    return Response(_encode(await operations.run(verb, command)), media_type="application/json")


HANDLERS = [get_status, get_exceptions, post_verb]
