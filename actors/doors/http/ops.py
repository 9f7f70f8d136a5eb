"""Operator endpoints under `/v1/ops`, behind the operator token."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from actors.controls import OPPOSITE, VERBS
from actors.doors.http.body import read_body
from actors.operations import Command, Operations
from actors.status import Status
from contracts.errors import ContractError
from contracts.scan import scan

_encode = msgspec.json.Encoder().encode
_BODY_BYTES_MAX = 8 * 1024


class AuthRefused(Exception):
    """No credential, or a wrong one."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def require_token(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: `Authorization: Bearer <operator token>`, compared in constant time."""
    given = connection.headers.getall("authorization", [])
    expected = connection.app.state.operator_token
    if not given:
        raise AuthRefused("auth.missing")
    scheme, _, token = given[0].partition(" ")
    same = secrets.compare_digest(token.strip().encode(), expected.encode())
    if len(given) > 1 or scheme.lower() != "bearer" or not same:
        raise AuthRefused("auth.invalid")


@get("/v1/ops/status", guards=[require_token], summary="The whole house on one page")
async def get_status(status: Status) -> Response[bytes]:
    """Actors, queues, calls, budget, standing orders, exceptions."""
    return Response(_encode(await status.overview()), media_type="application/json")


@post(
    "/v1/ops/{verb:str}",
    guards=[require_token],
    status_code=200,
    summary="pause, resume, hold, release, drain, undrain",
)
async def post_verb(request: Request[Any, Any, Any], verb: str, operations: Operations) -> Response[bytes]:
    """Give or end a standing order; answered when it is durable and in force."""
    if verb not in (*VERBS, *OPPOSITE):
        raise ContractError("path.not_found", f"Expected one of {', '.join((*VERBS, *OPPOSITE))}.")
    raw = await read_body(request, _BODY_BYTES_MAX)
    scan(raw)
    try:
        command = msgspec.json.decode(raw, type=Command)
    except msgspec.ValidationError as error:
        raise ContractError(
            "field.value", f"{error}. Expected target, reason, who, and maybe until, dry_run."
        ) from None
    return Response(_encode(await operations.run(verb, command)), media_type="application/json")


HANDLERS = [get_status, post_verb]
