"""Answers that are not what they should be: the forms of the `garbage` fault."""

import zlib
from collections.abc import Iterator

import msgspec

from ops.sandbox.call import JSON, Reply
from ops.sandbox.faults import Garbage

_MEGABYTE = 1_000_000
_HTML = b"<!doctype html><html><head><title>Maintenance</title></head><body><h1>Back soon</h1></body></html>"
_HEAD, _TAIL = b'{"document_id":"ADJ-00000000","note":"', b'"}'


def spoil(reply: Reply, fault: Garbage) -> Reply:
    """Replace the answer of a call by garbage; what the log says of the call itself stays."""
    match fault.form:
        case "html":
            return _with(reply, fault, _HTML, b"text/html; charset=utf-8")
        case "empty":
            return _with(reply, fault, b"")
        case "no_id":
            return _with(reply, fault, b'{"status":"posted"}')
        case "error_inside":
            return _with(reply, fault, b'{"success":false,"error":{"code":"UNEXPECTED_ERROR"}}')
        case "charset":
            body = '{"document_id":"ADJ-00000000","note":"Gutschrift f\u00fcr M\u00fcller"}'.encode("latin-1")
            return _with(reply, fault, body, b"application/json; charset=utf-8")
        case "truncated":
            body = reply.body or b"{}"
            length = str(len(body)).encode()
            return _with(reply, fault, b"", stream=iter([body[: len(body) // 2]]), length=length)
        case "big":
            length = str(len(_HEAD) + fault.megabytes * _MEGABYTE + len(_TAIL)).encode()
            return _with(reply, fault, b"", stream=_big(fault.megabytes), length=length)
        case "gzip":
            return _with(reply, fault, b"", stream=_gzip(fault.megabytes))


def _with(
    reply: Reply,
    fault: Garbage,
    body: bytes,
    content_type: bytes = JSON,
    stream: Iterator[bytes] | None = None,
    length: bytes | None = None,
) -> Reply:
    headers = ((b"content-length", length),) if length is not None else ()
    if fault.form == "gzip":
        headers = ((b"content-encoding", b"gzip"),)
    return msgspec.structs.replace(
        reply,
        status=fault.status or reply.status,
        body=body,
        headers=headers,
        content_type=content_type,
        answer="garbage",
        stream=stream,
        cut_short=fault.form == "truncated",
    )


def _big(megabytes: int) -> Iterator[bytes]:
    yield _HEAD
    for _ in range(megabytes):
        yield b"x" * _MEGABYTE
    yield _TAIL


def _gzip(megabytes: int) -> Iterator[bytes]:
    # wbits 31: a gzip header and trailer around the deflate stream.
    packer = zlib.compressobj(level=1, wbits=31)
    for plain in _big(megabytes):
        yield packer.compress(plain)
    yield packer.flush()
