"""The ledger held against a system, under `/v1/ops/ledger`, behind the operator token."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post

from actors.doors.http.ops import read_command
from actors.doors.http.query import check_query, whole_number
from actors.house import House
from actors.reconcil_words import NAMED_MAX, LedgerCommand
from actors.reconciler_view import view
from contracts.errors import ContractError

PAGE_MAX = 1_000
_OPERATOR = {"operator": True}
_encode = msgspec.json.Encoder().encode


@post("/v1/ops/ledger", opt=_OPERATOR, status_code=200)
async def post_ledger(request: Request[Any, Any, Any], house: House) -> Response[bytes]:
    """Have the ledger compared with a system, or end that; answered at once with the run as it stands."""
    command = await read_command(request, LedgerCommand)
    if not command.who.strip():
        raise ContractError("operation.who", "Say who gives the command.", "/who")
    if command.system not in house.posters:
        known = sorted(house.posters)
        raise ContractError("operation.target", f"Connected are {', '.join(known)}.", "/system", known=known)
    reconciler = house.reconciler
    if reconciler is None:
        raise ContractError("operation.nothing", "The reconciler is being restarted; ask again in a moment.")
    run = reconciler.find(None, command.system) if command.stop else None
    if command.stop and (run is None or run.over):
        raise ContractError("operation.nothing", f"No comparison with {command.system} is on.")
    if run is None:
        run = reconciler.ask(command.system, command.who, house.now())
    run.stop_asked |= command.stop
    return Response(_encode(view(house, run, 0, 0)), media_type="application/json")


@get("/v1/ops/ledger", opt={**_OPERATOR, "query": ("run", "after", "limit")})
async def get_ledger(request: Request[Any, Any, Any], house: House) -> Response[bytes]:
    """The last comparison, or one by its number: how far it is, and the differences after a position."""
    parameters = check_query(request.scope["query_string"], ("run", "after", "limit"))
    number = whole_number(parameters, "run", 0, 0, 2**53 - 1)
    after = whole_number(parameters, "after", 0, 0, NAMED_MAX)
    limit = whole_number(parameters, "limit", 100, 1, PAGE_MAX)
    run = house.reconciler.find(number or None, None) if house.reconciler is not None else None
    if run is None:
        raise ContractError("operation.nothing", "Nothing was compared since the daemon was started.")
    return Response(_encode(view(house, run, after, limit)), media_type="application/json")


HANDLERS = [post_ledger, get_ledger]
