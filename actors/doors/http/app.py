"""The Litestar application: routes, error shape, request ids, size limits. It holds no rules."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp, Receive, Scope, Send
from loguru import logger

from actors.doors.desk import Busy
from actors.doors.http import health, messages, ops
from actors.doors.http.ops import AuthRefused
from actors.doors.http.problems import PROBLEM, from_error, problem
from actors.house import House
from actors.metrics import registry
from actors.operations import Operations
from actors.status import Status
from broker.store.store import StoreUnavailable
from contracts.errors import CODES, ContractError

HEADER_BYTES_MAX = 16 * 1024


def build(house: House, operator_token: str, version: str) -> Litestar:
    """The application over a house."""
    status, operations, figures = Status(house), Operations(house), registry(house)
    return Litestar(
        route_handlers=[*messages.HANDLERS, *ops.HANDLERS, *health.HANDLERS],
        dependencies={
            "house": Provide(lambda: house, sync_to_thread=False),
            "desk": Provide(lambda: house.desk, sync_to_thread=False),
            "status": Provide(lambda: status, sync_to_thread=False),
            "operations": Provide(lambda: operations, sync_to_thread=False),
            "registry": Provide(lambda: figures, sync_to_thread=False),
            "request_id": Provide(_request_id, sync_to_thread=False),
        },
        exception_handlers={
            ContractError: _ours,
            Busy: _ours,
            StoreUnavailable: _ours,
            AuthRefused: _unauthorised,
            HTTPException: _http,
            Exception: _unexpected,
        },
        middleware=[lambda app: _Edge(app, house)],
        openapi_config=OpenAPIConfig(
            title="Tidegate", version=version, path="/", render_plugins=[JsonRenderPlugin(path="/openapi.json")]
        ),
        state=State({"operator_token": operator_token}),
        request_max_body_size=None,  # our own limit is far lower and is applied while reading
        logging_config=None,
    )


def _request_id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def _ours(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return from_error(error, _request_id(request))


def _unauthorised(request: Request[Any, Any, Any], error: AuthRefused) -> Response[bytes]:
    detail = "Send Authorization: Bearer with the operator token (tidegate token prints where it is kept)."
    return problem(error.code, detail, _request_id(request), headers={"WWW-Authenticate": "Bearer"})


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    request_id = _request_id(request)
    match error:
        case NotFoundException():
            return problem("path.not_found", "See /openapi.json for what there is.", request_id)
        case MethodNotAllowedException():
            return problem("method.not_allowed", "See /openapi.json.", request_id, headers=dict(error.headers or {}))
        case ValidationException():
            return problem("query.value", _what_is_wrong(error), request_id)
    return problem("request.malformed", error.detail, request_id)


def _what_is_wrong(error: ValidationException) -> str:
    parts = error.extra if isinstance(error.extra, list) else []
    said = [f"{part.get('key')}: {part.get('message')}" for part in parts if isinstance(part, dict)]
    return "; ".join(said) or "A parameter has the wrong form."


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    request_id = _request_id(request)
    logger.opt(exception=error).error("request {} failed", request_id)
    return from_error(error, request_id)


class _Edge:
    """What every request passes first: one request id, and caps on the headers that uvicorn does not have."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = self._house.entropy.new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        refusal = _refusal(scope["headers"])
        if refusal is not None:
            await _send_problem(send, *refusal, request_id)
            return
        await self._app(scope, receive, send)


def _refusal(headers: Any) -> tuple[str, str] | None:
    size = hosts = lengths = 0
    chunked = False
    for name, value in headers:
        size += len(name) + len(value)
        hosts += name == b"host"
        lengths += name == b"content-length"
        chunked = chunked or name == b"transfer-encoding"
    if size > HEADER_BYTES_MAX:
        return "headers.too_large", f"At most {HEADER_BYTES_MAX} bytes of headers."
    if hosts != 1:
        return "request.malformed", "Send exactly one Host header."
    if lengths > 1 or (lengths and chunked):
        return "request.malformed", "Send one Content-Length, or Transfer-Encoding, not both."
    return None


async def _send_problem(send: Send, code: str, detail: str, request_id: str) -> None:
    status, title = CODES[code]
    document = {
        "type": f"urn:tidegate:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "path": "",
        "request_id": request_id,
    }
    body = msgspec.json.encode(document)
    headers = [
        (b"content-type", PROBLEM.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
