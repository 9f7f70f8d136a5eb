"""`POST /v1/messages`: CloudEvents in structured, batch and binary mode; 202 only after the commit.

It is the busiest path, so it stands before Litestar and costs no routing, no dependency injection and no response
object. Its errors and its OpenAPI entry are those of the rest.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from litestar.types import Receive, Scope

from actors.credentials import Keyring
from actors.doors.desk import Desk
from actors.doors.http.body import Headers, headers_of, read_body
from actors.doors.http.query import check_query
from actors.doors.http.who import check_poster, check_requester
from contracts.caps import DEFAULT_CAPS
from contracts.envelope import Envelope, decode_envelope, from_binary
from contracts.errors import ContractError
from contracts.scan import split_batch

PATH = "/v1/messages"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
_encode = msgspec.json.Encoder().encode
_UTF8 = ("", "utf-8", "utf8")


class Intake:
    """Takes messages from a request to the desk."""

    def __init__(self, desk: Desk, keyring: Keyring, posters: Collection[str] | None = None) -> None:
        """`posters`: whose adjustments are taken; None: anybody's."""
        self._desk = desk
        self._keyring = keyring
        self._posters = posters

    async def take(self, scope: Scope, receive: Receive) -> bytes:
        """Accept one event, or a batch of up to 1,000, and give the receipts as JSON.

        A batch is taken whole or not at all. Cancelled, it may have been accepted: send again with the same ids.

        Raises:
            ContractError: it is not acceptable; nothing was stored.
            Busy, StoreUnavailable: not now; nothing may be assumed to be stored.
            Gone: the client hung up.
        """
        self._desk.check_open()
        if scope["query_string"]:
            check_query(scope["query_string"], ())
        headers = headers_of(scope)
        media = _media_type(headers.get(b"content-type", b""))
        if media == BATCH:
            _refuse_key(headers)
            body = await read_body(receive, headers, DEFAULT_CAPS.batch_bytes_max)
            envelopes = _batch(body)
            for number, envelope in enumerate(envelopes):
                self._check_sender(headers, envelope, f"/{number}")
            receipts = await self._desk.accept(envelopes, batch=True)
            return _encode({"accepted": sum(r.code is None for r in receipts), "receipts": receipts})
        if media not in (STRUCTURED, JSON):
            known = [STRUCTURED, BATCH, JSON]
            raise ContractError("media.type", f"Expected {', '.join(known)}.", known=known)
        body = await read_body(receive, headers, DEFAULT_CAPS.bytes_max)
        envelope = _single(media, headers, body)
        self._check_sender(headers, envelope, "")
        (receipt,) = await self._desk.accept([envelope])
        if receipt.code is not None:
            raise ContractError(receipt.code, receipt.detail or "", receipt.path)
        return _encode(receipt)

    def _check_sender(self, headers: Headers, envelope: Envelope, place: str) -> None:
        try:
            check_requester(self._keyring, headers, envelope)
            check_poster(self._keyring, self._posters, headers, envelope)
        except ContractError as error:
            raise error.at(place) from None


def _single(media: str, headers: Headers, body: bytes) -> Envelope:
    if media == JSON and b"ce-specversion" in headers:
        envelope = from_binary(_attributes(headers), body)
    else:
        envelope = decode_envelope(body)
    key = headers.get(b"idempotency-key")
    if key is None:
        return envelope
    text = key.decode("latin-1")
    if not 1 <= len(text) <= 255 or any(not "!" <= character <= "~" for character in text):
        raise ContractError("idempotency.format", "1 to 255 visible ASCII characters without space.", "/idempotencykey")
    if envelope.idempotencykey not in (None, text):
        raise ContractError("idempotency.format", "The header and the attribute are different keys.", "/idempotencykey")
    return msgspec.structs.replace(envelope, idempotencykey=text)


def _attributes(headers: Headers) -> dict[str, str]:
    """The attributes of binary mode, which are headers."""
    named = {name.decode(): value for name, value in headers.items()}
    try:
        return {n: v.decode("ascii") for n, v in named.items() if n.startswith("ce-") or n == "content-type"}
    except UnicodeDecodeError:
        detail = "Percent-encode what is not ASCII in ce- headers (CloudEvents HTTP binding, section 3.1.3.2)."
        raise ContractError("envelope.attribute", detail) from None


def _refuse_key(headers: Headers) -> None:
    if b"idempotency-key" in headers:
        detail = "A batch has a key for each event: use the attribute idempotencykey."
        raise ContractError("idempotency.format", detail)


def _batch(body: bytes) -> list[Envelope]:
    envelopes = []
    for index, raw in enumerate(split_batch(body)):
        try:
            envelopes.append(decode_envelope(raw))
        except ContractError as error:
            raise error.at(f"/{index}") from None
    return envelopes


def _media_type(header: bytes) -> str:
    """The media type in lower case.

    Raises:
        ContractError: media.type for another charset than UTF-8.
    """
    text = header.decode("latin-1").lower()
    media, _, parameters = text.partition(";")
    for parameter in parameters.split(";") if parameters else ():
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in _UTF8:
            raise ContractError("media.type", "Send UTF-8.")
    return media.strip()
