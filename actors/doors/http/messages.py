"""`POST /v1/messages`: CloudEvents in structured, batch and binary mode; 202 only after the commit."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import Parameter

from actors.doors.desk import Desk
from actors.doors.http.body import read_body
from actors.doors.http.problems import problem
from actors.status import Status
from contracts.caps import DEFAULT_CAPS
from contracts.envelope import Envelope, decode_envelope, from_binary
from contracts.errors import ContractError
from contracts.scan import split_batch

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_encode = msgspec.json.Encoder().encode
_UTF8 = ("", "utf-8", "utf8")


@post("/v1/messages", status_code=202, opt={"body": "cloudevents"}, summary="Enqueue messages")
async def post_messages(request: Request[Any, Any, Any], desk: Desk, request_id: str) -> Response[bytes]:
    """Accept one event (structured or binary mode) or a batch of up to 1,000. A batch is taken whole or not at all."""
    desk.check_open()
    media, charset = _media_type(request.headers.get("content-type", ""))
    if charset not in _UTF8:
        raise ContractError("media.type", "Send UTF-8.")
    if media == _BATCH:
        body = await read_body(request, DEFAULT_CAPS.batch_bytes_max)
        receipts = await desk.accept(_batch(body))
        answer = _encode({"accepted": sum(r.code is None for r in receipts), "receipts": receipts})
        return Response(answer, status_code=202, media_type="application/json")
    body = await read_body(request, DEFAULT_CAPS.bytes_max)
    envelope = _single(media, request, body)
    (receipt,) = await desk.accept([envelope])
    if receipt.code is not None:
        return problem(receipt.code, receipt.detail or "", request_id, "/idempotencykey")
    return Response(_encode(receipt), status_code=202, media_type="application/json")


def _single(media: str, request: Request[Any, Any, Any], body: bytes) -> Envelope:
    headers = request.headers
    if media == _STRUCTURED or (media == "application/json" and "ce-specversion" not in headers):
        envelope = decode_envelope(body)
    elif media == "application/json":
        envelope = from_binary({k: v for k, v in headers.items() if k.startswith("ce-") or k == "content-type"}, body)
    else:
        known = f"{_STRUCTURED}, {_BATCH}, or application/json"
        raise ContractError("media.type", f"Expected {known}.", known=[_STRUCTURED, _BATCH, "application/json"])
    key = headers.get("idempotency-key")
    if key is None or envelope.idempotencykey is not None:
        return envelope
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise ContractError("idempotency.format", "1 to 255 printable ASCII characters.", "/idempotencykey")
    return msgspec.structs.replace(envelope, idempotencykey=key)


def _batch(body: bytes) -> list[Envelope]:
    envelopes = []
    for index, raw in enumerate(split_batch(body)):
        try:
            envelopes.append(decode_envelope(raw))
        except ContractError as error:
            raise error.at(f"/{index}") from None
    return envelopes


def _media_type(header: str) -> tuple[str, str]:
    media, _, parameters = header.partition(";")
    charset = ""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    return media.strip().lower(), charset


@get("/v1/messages/{message_id:str}", summary="What became of a message")
async def get_message(message_id: str, status: Status, request_id: str) -> Response[bytes]:
    """State, outcome, and the calls and milestones of its business key."""
    found = await status.message(message_id)
    if found is None:
        return problem("message.not_found", "No message with this id was accepted here.", request_id)
    return Response(_encode(found), media_type="application/json")


@get("/v1/processes/{key:str}", summary="The story of a business key")
async def get_process(key: str, status: Status, request_id: str) -> Response[bytes]:
    """Milestones, calls and exceptions of a case, an invoice or an intent, oldest first, and one sentence."""
    found = await status.process(key)
    if not found.known:
        return problem("message.not_found", "Nothing is known under this key.", request_id)
    return Response(_encode(found), media_type="application/json")


@get("/v1/outcomes", summary="Outcomes in the order of acceptance")
async def get_outcomes(
    status: Status,
    after: int = Parameter(default=0, ge=0, le=2**53),
    limit: int = Parameter(default=500, ge=1, le=1000),
) -> Response[bytes]:
    """A page of accepted messages with what became of them; follow `next` until it stands still."""
    return Response(_encode(await status.outcomes(after, limit)), media_type="application/json")


HANDLERS = [post_messages, get_message, get_process, get_outcomes]
