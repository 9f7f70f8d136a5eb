"""Incidents over HTTP, behind operators' tokens; there only where processes are."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post

from actors.doors.http.body import headers_of, read_body
from actors.doors.http.query import check_query, whole_number
from actors.doors.http.reading import known_form
from actors.doors.http.who import who_of
from actors.wave_records import PAGE_MAX, VERBS, WaveCommand
from actors.wave_views import WaveViews
from actors.waves import Waves
from contracts.errors import ContractError, nearest
from contracts.explain import explain
from contracts.scan import scan

ALL_VERBS = ("preview", *VERBS)
POSITION_MAX = 2**53 - 1
_encode = msgspec.json.Encoder().encode
_BODY_BYTES_MAX = 8 * 1024
_OPERATOR = {"operator": True}


def _answer(value: msgspec.Struct) -> Response[bytes]:
    return Response(_encode(value), media_type="application/json")


@get("/v1/incidents", opt={**_OPERATOR, "query": ("limit",)})
async def get_incidents(request: Request[Any, Any, Any], waves: Waves) -> Response[bytes]:
    """The latest incidents because of which credits were asked."""
    parameters = check_query(request.scope["query_string"], ("limit",))
    return _answer(await WaveViews(waves).incidents(whole_number(parameters, "limit", 50, 1, PAGE_MAX)))


@get("/v1/incidents/{incident:str}", opt={**_OPERATOR, "query": ("tenant",)})
async def get_incident(request: Request[Any, Any, Any], incident: str, waves: Waves) -> Response[bytes]:
    """One: what was asked, what waits, what was let through."""
    tenant = check_query(request.scope["query_string"], ("tenant",)).get("tenant")
    return _answer(await WaveViews(waves).show(known_form(incident), tenant))


@get("/v1/incidents/{incident:str}/cases", opt={**_OPERATOR, "query": ("tenant", "after", "limit")})
async def get_cases(request: Request[Any, Any, Any], incident: str, waves: Waves) -> Response[bytes]:
    """Cases that approvals have met, in that order."""
    parameters = check_query(request.scope["query_string"], ("tenant", "after", "limit"))
    after = whole_number(parameters, "after", 0, 0, POSITION_MAX)
    limit = whole_number(parameters, "limit", 50, 1, PAGE_MAX)
    return _answer(await WaveViews(waves).cases(known_form(incident), parameters.get("tenant"), after, limit))


@get("/v1/incidents/{incident:str}/reconcile", opt={**_OPERATOR, "query": ("tenant",)})
async def get_reconcile(request: Request[Any, Any, Any], incident: str, waves: Waves) -> Response[bytes]:
    """Approved against credited against ERP documents against told."""
    tenant = check_query(request.scope["query_string"], ("tenant",)).get("tenant")
    return _answer(await WaveViews(waves).reconcile(known_form(incident), tenant))


@post("/v1/incidents/{incident:str}/{verb:str}", opt=_OPERATOR, status_code=200)
async def post_incident(request: Request[Any, Any, Any], incident: str, verb: str, waves: Waves) -> Response[bytes]:
    """Look at what a cap would do; approve, hold or resume, answered when it is durable."""
    if verb not in ALL_VERBS:
        detail = f"Expected one of {', '.join(ALL_VERBS)}."
        raise ContractError("path.not_found", detail, known=list(ALL_VERBS), nearest=nearest(verb, ALL_VERBS))
    document = scan(await read_body(request.receive, headers_of(request.scope), _BODY_BYTES_MAX))
    try:
        command = msgspec.convert(document, WaveCommand)
    except msgspec.ValidationError:
        explain(document, WaveCommand)
    if verb == "preview":
        return _answer(await WaveViews(waves).preview(known_form(incident), command))
    return _answer(await waves.act(verb, known_form(incident), command, who_of(request)))


HANDLERS = [get_incidents, get_incident, get_cases, get_reconcile, post_incident]
