"""Reading a request body with a limit on its size and its coding, before anybody looks into it.

Its time is limited where the connection is: see `framing`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import cast

from litestar.types import Receive, Scope

from contracts.errors import ContractError

Headers = Mapping[bytes, bytes]
_SINGLE = (b"content-type", b"content-encoding", b"content-length", b"idempotency-key")


class Gone(Exception):
    """The client hung up before it had sent everything; nobody is left to answer."""


def headers_of(scope: Scope) -> Headers:
    """Headers by lower case name.

    Raises:
        ContractError: request.malformed when one that decides how the body is read stands there twice.
    """
    pairs = cast("list[tuple[bytes, bytes]]", scope["headers"])
    headers = dict(pairs)
    if len(headers) < len(pairs):
        names = [name for name, _ in pairs]
        for name in _SINGLE:
            if names.count(name) > 1:
                raise ContractError("request.malformed", f"Send one {name.decode()} header.")
    return headers


async def read_body(receive: Receive, headers: Headers, bytes_max: int) -> bytes:
    """The body, decompressed if it came as gzip, never more than `bytes_max` bytes of it in memory.

    Raises:
        ContractError: body.empty, body.too_large, media.encoding.
        Gone: the connection ended.
    """
    coding = headers.get(b"content-encoding", b"identity").lower()
    if coding not in (b"identity", b"gzip"):
        raise ContractError("media.encoding", "Send the body plain or as gzip.", known=["identity", "gzip"])
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > bytes_max:
        raise _too_large(bytes_max)
    body = await _whole(receive, bytes_max)
    if coding == b"gzip" and body:
        body = _gunzip(body, bytes_max)
    if not body:
        raise ContractError("body.empty", "The request has no body.")
    return body


async def _whole(receive: Receive, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        part = message["body"]
        size += len(part)
        if size > bytes_max:
            raise _too_large(bytes_max)
        if not message["more_body"]:
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


def _gunzip(body: bytes, bytes_max: int) -> bytes:
    unpack = zlib.decompressobj(wbits=31)
    try:
        plain = unpack.decompress(body, bytes_max + 1)
    except zlib.error:
        raise _not_gzip("The body is not valid gzip.") from None
    if len(plain) > bytes_max:
        raise _too_large(bytes_max)
    if not unpack.eof or unpack.unused_data:
        raise _not_gzip("The gzip body is cut short or has something behind it.")
    return plain


def _not_gzip(detail: str) -> ContractError:
    return ContractError("body.encoding", detail)


def _too_large(bytes_max: int) -> ContractError:
    return ContractError("body.too_large", f"At most {bytes_max} bytes. Send less at a time.", limit=bytes_max)
