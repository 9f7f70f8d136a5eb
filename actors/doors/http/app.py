"""The application of the HTTP door: routes and error shape. It holds no rules."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ASGIApp

from actors.approvals import Approvals
from actors.credentials import Keyring
from actors.doors.http import approvals as approval_door
from actors.doors.http import describe, forecasts, health, incidents, ledger, ops, reading
from actors.doors.http.edge import Edge
from actors.doors.http.messages import Intake
from actors.doors.http.openapi import document
from actors.doors.http.problems import from_error, problem
from actors.doors.http.query import refuse_unknown_query
from actors.doors.http.who import AuthRefused, require_token
from actors.forecasts import Forecasts
from actors.house import House
from actors.metrics import registry
from actors.operations import Operations
from actors.status import Status
from actors.waves import Waves


def build(
    house: House,
    keyring: Keyring,
    version: str,
    approvals: Approvals | None = None,
    waves: Waves | None = None,
    posters: Collection[str] | None = None,
) -> ASGIApp:
    """The application over a house; with paths for approvals and incidents where there are any.

    `posters`: who may send adjustments; None: anybody.
    """
    intake = Intake(house.desk, keyring, posters)
    return Edge(routes(house, keyring, version, approvals, waves), intake, house.entropy)


def routes(
    house: House, keyring: Keyring, version: str, approvals: Approvals | None = None, waves: Waves | None = None
) -> Litestar:
    """Everything but `POST /v1/messages`, which has a way of its own."""
    status, operations, figures, foreseen = Status(house), Operations(house), registry(house), Forecasts(house)
    described = document(house.registry, house.desk.accepted_types, version, approvals is not None)
    decisions = [*approval_door.HANDLERS, *incidents.HANDLERS] if approvals is not None else []
    verbs = [*ops.HANDLERS, *ledger.HANDLERS, *decisions]
    handlers = [*reading.HANDLERS, *verbs, *forecasts.HANDLERS, *health.HANDLERS, *describe.HANDLERS]
    return Litestar(
        route_handlers=handlers,
        dependencies={
            "house": Provide(lambda: house, sync_to_thread=False),
            "status": Provide(lambda: status, sync_to_thread=False),
            "operations": Provide(lambda: operations, sync_to_thread=False),
            "forecasts": Provide(lambda: foreseen, sync_to_thread=False),
            "registry": Provide(lambda: figures, sync_to_thread=False),
            "approvals": Provide(lambda: approvals, sync_to_thread=False),
            "waves": Provide(lambda: waves, sync_to_thread=False),
            "described": Provide(lambda: described, sync_to_thread=False),
        },
        guards=[require_token, refuse_unknown_query],
        exception_handlers={AuthRefused: _unauthorised, HTTPException: _http, Exception: _ours},
        openapi_config=None,  # bodies are read raw here, so the document is built from the contracts instead
        state=State({"keyring": keyring}),
        request_max_body_size=None,  # our own limit is far lower and is applied while reading
        logging_config=None,
    )


def _request_id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def _ours(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return from_error(error, _request_id(request)).response()


def _unauthorised(request: Request[Any, Any, Any], error: AuthRefused) -> Response[bytes]:
    detail = "Send Authorization: Bearer with the operator token (`tidegate token` tells where it is kept)."
    return problem(error.code, detail, _request_id(request), headers={"WWW-Authenticate": "Bearer"}).response()


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    request_id = _request_id(request)
    match error:
        case NotFoundException():
            return problem("path.not_found", "See /openapi.json for what there is.", request_id).response()
        case MethodNotAllowedException():
            allow = dict(error.headers or {})
            return problem("method.not_allowed", "See /openapi.json.", request_id, headers=allow).response()
    return problem("request.malformed", error.detail, request_id).response()
