"""What became of messages and business keys: reads only."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get

from actors.doors.http.query import check_query, whole_number
from actors.status import Status
from contracts.errors import ContractError

KEY_CHARACTERS_MAX = 256
AFTER_MAX = 2**53
PAGE_DEFAULT, PAGE_MAX = 500, 1000
OUTCOME_QUERY = ("after", "limit")
_encode = msgspec.json.Encoder().encode


def known_form(key: str) -> str:
    """A key as it may stand in a path; a document's number at an ERP may hold a slash.

    Raises:
        ContractError: id.format.
    """
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isprintable():
        raise ContractError("id.format", f"1 to {KEY_CHARACTERS_MAX} printable characters.")
    return key


@get("/v1/messages/{message_id:path}")
async def get_message(message_id: str, status: Status) -> Response[bytes]:
    """State, outcome, and the calls and milestones of its business key."""
    found = await status.message(known_form(message_id.removeprefix("/")))
    if found is None:
        raise ContractError("message.not_found", "No message with this id was accepted here.")
    return Response(_encode(found), media_type="application/json")


@get("/v1/processes/{key:path}")
async def get_process(key: str, status: Status) -> Response[bytes]:
    """Milestones, calls and exceptions of a case, an invoice or an intent, oldest first, and one sentence."""
    found = await status.process(known_form(key.removeprefix("/")))
    if not found.known:
        raise ContractError("message.not_found", "Nothing is known under this key.")
    return Response(_encode(found), media_type="application/json")


@get("/v1/outcomes", opt={"query": OUTCOME_QUERY})
async def get_outcomes(request: Request[Any, Any, Any], status: Status) -> Response[bytes]:
    """A page of accepted messages with what became of them; follow `next` until it stands still."""
    parameters = check_query(request.scope["query_string"], OUTCOME_QUERY)
    after = whole_number(parameters, "after", 0, 0, AFTER_MAX)
    limit = whole_number(parameters, "limit", PAGE_DEFAULT, 1, PAGE_MAX)
    return Response(_encode(await status.outcomes(after, limit)), media_type="application/json")


HANDLERS = [get_message, get_process, get_outcomes]
