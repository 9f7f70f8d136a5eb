"""Reading a request body with a limit on its size, its time and its coding, before anybody looks into it."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

from litestar import Request

from contracts.errors import ContractError

_READ_SECONDS = 30.0


async def read_body(request: Request[Any, Any, Any], bytes_max: int) -> bytes:
    """The body, decompressed if it came as gzip, never more than `bytes_max` bytes of it in memory.

    Raises:
        ContractError: body.empty, body.too_large, media.encoding, request.time_out.
    """
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding not in ("identity", "gzip"):
        raise ContractError("media.encoding", "Send the body plain or as gzip.")
    length = request.headers.get("content-length")
    if length and length.isdigit() and int(length) > bytes_max:
        raise _too_large(bytes_max)
    try:
        async with asyncio.timeout(_READ_SECONDS):
            body = await _stream(request, bytes_max)
    except TimeoutError:
        raise ContractError("request.time_out", f"The body did not arrive within {_READ_SECONDS:.0f} s.") from None
    if coding == "gzip":
        body = _gunzip(body, bytes_max)
    if not body:
        raise ContractError("body.empty", "The request has no body.")
    return body


async def _stream(request: Request[Any, Any, Any], bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > bytes_max:
            raise _too_large(bytes_max)
        parts.append(part)
    return b"".join(parts)


def _gunzip(body: bytes, bytes_max: int) -> bytes:
    unpack = zlib.decompressobj(wbits=31)
    try:
        plain = unpack.decompress(body, bytes_max + 1)
    except zlib.error:
        raise ContractError("media.encoding", "The body is not valid gzip.") from None
    if len(plain) > bytes_max:
        raise _too_large(bytes_max)
    if not unpack.eof or unpack.unused_data:
        raise ContractError("media.encoding", "The gzip body is cut short or has something behind it.")
    return plain


def _too_large(bytes_max: int) -> ContractError:
    return ContractError("body.too_large", f"At most {bytes_max} bytes.", limit=bytes_max)
