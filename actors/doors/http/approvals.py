"""Approvals over HTTP, behind the operator token; there only where processes are."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post

from actors.approvals import PAGE_MAX, Approvals, Ballot, Replay
from actors.doors.http.body import headers_of, read_body
from actors.doors.http.query import check_query, whole_number
from actors.doors.http.reading import known_form
from actors.doors.http.who import who_of
from contracts.errors import ContractError, nearest
from contracts.explain import explain
from contracts.scan import scan

VERDICTS = ("approve", "reject", "replay")
_encode = msgspec.json.Encoder().encode
_BODY_BYTES_MAX = 8 * 1024
_OPERATOR = {"operator": True}


@get("/v1/approvals", opt={**_OPERATOR, "query": ("limit",)})
async def get_approvals(request: Request[Any, Any, Any], approvals: Approvals) -> Response[bytes]:
    """What waits for people, oldest first."""
    parameters = check_query(request.scope["query_string"], ("limit",))
    limit = whole_number(parameters, "limit", 50, 1, PAGE_MAX)
    return Response(_encode(await approvals.waiting(limit)), media_type="application/json")


@get("/v1/approvals/{key:str}", opt={**_OPERATOR, "query": ("tenant",)})
async def get_approval(request: Request[Any, Any, Any], key: str, approvals: Approvals) -> Response[bytes]:
    """One, with its digest, its votes and where each step stands."""
    tenant = check_query(request.scope["query_string"], ("tenant",)).get("tenant")
    return Response(_encode(await approvals.show(known_form(key), tenant)), media_type="application/json")


@post("/v1/approvals/{key:str}/{verdict:str}", opt=_OPERATOR, status_code=200)
async def post_vote(request: Request[Any, Any, Any], key: str, verdict: str, approvals: Approvals) -> Response[bytes]:
    """Approve, reject, or send again what was refused; answered when it is durable."""
    if verdict not in VERDICTS:
        detail = f"Expected one of {', '.join(VERDICTS)}."
        raise ContractError("path.not_found", detail, known=list(VERDICTS), nearest=nearest(verdict, VERDICTS))
    wanted: type[Replay] | type[Ballot] = Replay if verdict == "replay" else Ballot
    document = scan(await read_body(request.receive, headers_of(request.scope), _BODY_BYTES_MAX))
    try:
        wish = msgspec.convert(document, wanted)
    except msgspec.ValidationError:
        explain(document, wanted)
    if isinstance(wish, Replay):
        effect = await approvals.replay(known_form(key), wish, who_of(request))
    else:
        effect = await approvals.vote(known_form(key), verdict, wish, who_of(request))
    return Response(_encode(effect), media_type="application/json")


HANDLERS = [get_approvals, get_approval, post_vote]
