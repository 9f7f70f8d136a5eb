"""Operator endpoints under `/v1/ops`, behind the operator token."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from litestar import Request, Response, post

from actors.controls import OPPOSITE, VERBS
from actors.doors.http import ops_reading
from actors.doors.http.body import headers_of, read_body
from actors.doors.http.who import signed, who_of
from actors.operations import (
    Command,
    CommitCommand,
    Effect,
    Operations,
    SettingCommand,
    SettleCommand,
    UndoCommand,
    WorkCommand,
)
from actors.operator_mend import MEND_VERBS
from actors.operator_work import WORK_VERBS
from contracts.errors import ContractError, nearest
from contracts.explain import explain
from contracts.scan import scan

ALL_VERBS = (*VERBS, *OPPOSITE)
_encode = msgspec.json.Encoder().encode
_BODY_BYTES_MAX = 256 * 1024
_OPERATOR = {"operator": True}
T = TypeVar("T")


async def read_command(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The body as a command, in the name of the token that it came with.

    Raises:
        ContractError: with the path of what is wrong.
    """
    raw = await read_body(request.receive, headers_of(request.scope), _BODY_BYTES_MAX)
    document = scan(raw)
    try:
        command = msgspec.convert(document, kind)
    except msgspec.ValidationError:
        explain(document, kind)
    return signed(request, command)


def _answer(effect: Effect) -> Response[bytes]:
    return Response(_encode(effect), media_type="application/json")


@post("/v1/ops/{verb:str}", opt=_OPERATOR, status_code=200)
async def post_verb(request: Request[Any, Any, Any], verb: str, operations: Operations) -> Response[bytes]:
    """Give or end a standing order; answered when it is durable and in force."""
    if verb not in ALL_VERBS:
        every = [*ALL_VERBS, *WORK_VERBS, *MEND_VERBS, "set", "unset", "commit", "undo"]
        detail = f"Expected one of {', '.join(every)}."
        raise ContractError("path.not_found", detail, known=every, nearest=nearest(verb, every))
    return _answer(await operations.run(verb, await read_command(request, Command)))


@post(["/v1/ops/set", "/v1/ops/unset"], opt=_OPERATOR, status_code=200)
async def post_setting(request: Request[Any, Any, Any], operations: Operations) -> Response[bytes]:
    """Set something live, or go back to what is configured; it acts on the backlog before this is answered."""
    command = await read_command(request, SettingCommand)
    return _answer(await operations.set(command, unset=request.url.path.endswith("/unset")))


@post([f"/v1/ops/{verb}" for verb in WORK_VERBS], opt=_OPERATOR, status_code=200)
async def post_work(request: Request[Any, Any, Any], operations: Operations) -> Response[bytes]:
    """Do something to waiting work."""
    verb = request.url.path.rpartition("/")[2]
    return _answer(await operations.work(verb, await read_command(request, WorkCommand)))


@post("/v1/ops/retry", opt=_OPERATOR, status_code=200)
async def post_retry(request: Request[Any, Any, Any], operations: Operations) -> Response[bytes]:
    """Send calls again that are with a person; many go behind a canary."""
    return _answer(await operations.mend("retry", await read_command(request, WorkCommand), who_of(request)))


@post("/v1/ops/settle", opt=_OPERATOR, status_code=200)
async def post_settle(request: Request[Any, Any, Any], operations: Operations) -> Response[bytes]:
    """Say what has become of a call that no system can tell of."""
    return _answer(await operations.mend("settle", await read_command(request, SettleCommand), who_of(request)))


@post("/v1/ops/commit", opt=_OPERATOR, status_code=200)
async def post_commit(request: Request[Any, Any, Any], operations: Operations) -> Response[bytes]:
    """Carry out exactly what a dry run has shown."""
    return _answer(await operations.commit(await read_command(request, CommitCommand), who_of(request)))


@post("/v1/ops/undo", opt=_OPERATOR, status_code=200)
async def post_undo(request: Request[Any, Any, Any], operations: Operations) -> Response[bytes]:
    """Take back a done operation."""
    return _answer(await operations.undo(await read_command(request, UndoCommand)))


HANDLERS = [*ops_reading.HANDLERS, post_verb, post_setting, post_work, post_retry, post_settle, post_commit, post_undo]
