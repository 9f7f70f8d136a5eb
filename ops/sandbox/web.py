"""The ERP's HTTP face as a small ASGI application: calls, and the control paths that are not calls."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ops.sandbox.call import JSON, Call, Op, Peer, Reply, problem
from ops.sandbox.erp import Erp
from ops.sandbox.faults import FaultSet
from ops.sandbox.limits import LimitError, parse_limit
from ops.sandbox.openapi import openapi

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX = 1_000_000
PEER_EXTENSION = "sandbox.peer"


class Application:
    """The ASGI application of one ERP. `clock_ns` reads the monotonic clock in nanoseconds."""

    def __init__(self, erp: Erp, clock_ns: Callable[[], int]) -> None:
        self._erp = erp
        self._clock_ns = clock_ns
        path = erp.system.path
        self._ops: dict[tuple[str, str], Op] = {
            ("POST", path): "post",
            ("GET", path): "find",
            ("GET", f"{path}/list"): "list",
            ("GET", "/limits"): "limits",
        }
        if erp.system.account is not None:
            self._ops["GET", "/accounts"] = "find"
        self._openapi = openapi(erp.system)
        self._date = (0, b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. A call cancelled by the end of the process has no end line, and its connection
        is reset, as if the ERP had died."""
        arrived_ns = self._clock_ns()
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served here, not {scope['type']!r}")
        path = scope["path"]
        if path in ("/healthz", "/openapi.json", "/sandbox/faults", "/sandbox/limits"):
            await self._control(scope["method"], path, receive, send)
            return
        peer: Peer = scope["extensions"][PEER_EXTENSION]
        op = self._ops.get((scope["method"], path), "other")
        call = self._erp.arrive(op, scope["method"], path, peer, arrived_ns)
        try:
            await self._call(call, scope, receive, send)
        except asyncio.CancelledError:
            peer.reset()
            raise
        finally:
            self._erp.end(call)

    async def _call(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        _read_headers(call, scope["headers"])
        if call.op == "find":
            name = "account_id" if call.path == "/accounts" else "reference"
            call.reference = _parameter(scope["query_string"], name)
        call.query = scope["query_string"]
        call.body = await _read_body(receive)
        reply = self._erp.dress(call, await self._erp.serve(call))
        duration_us = self._erp.finish(call, reply) // 1_000
        if reply.answer == "lost":
            await _leave(call.peer.close, receive)
        elif reply.answer == "reset":
            await _leave(call.peer.reset, receive)
        else:
            timing = f"total;dur={duration_us // 1_000}.{duration_us % 1_000:03d}".encode()
            await self._answer(reply, send, call.peer, (b"server-timing", timing))
            if reply.cut_short:
                await _leave(call.peer.close, receive)

    async def _answer(self, reply: Reply, send: Send, peer: Peer | None, *more: tuple[bytes, bytes]) -> None:
        headers = [(b"content-type", reply.content_type), (b"date", self._http_date()), *more, *reply.headers]
        if reply.stream is None:
            headers.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if reply.stream is None:
            await send({"type": "http.response.body", "body": reply.body})
        else:
            await _stream(reply, send, peer)

    async def _control(self, method: str, path: str, receive: Receive, send: Send) -> None:
        body = await _read_body(receive)
        if path == "/healthz" and method == "GET":
            reply = Reply(200, "read", b'{"status":"ok"}')
        elif path == "/openapi.json" and method == "GET":
            reply = Reply(200, "read", self._openapi)
        elif path == "/sandbox/faults" and method in ("GET", "PUT", "DELETE"):
            reply = self._control_faults(method, body or b"")
        elif path == "/sandbox/limits" and method == "PUT":
            reply = self._control_limits(body or b"")
        else:
            reply = problem(405, "method.unknown", f"{path} does not know {method}; see /openapi.json")
        await self._answer(reply, send, None)

    def _control_faults(self, method: str, body: bytes) -> Reply:
        try:
            if method == "PUT":
                self._erp.faults.set(msgspec.json.decode(body, type=FaultSet))
            elif method == "DELETE":
                self._erp.faults.set(FaultSet())
        except (msgspec.DecodeError, LimitError, RecursionError) as error:
            return problem(422, "faults.invalid", f"the faults stay as they were: {error}")
        return Reply(200, "read", msgspec.json.encode({"faults": self._erp.faults.show()}), content_type=JSON)

    def _control_limits(self, body: bytes) -> Reply:
        try:
            wanted = msgspec.json.decode(body, type=_Words)
            self._erp.change_limits([parse_limit(words) for words in wanted.limits], wanted.note)
        except (msgspec.DecodeError, RecursionError, LimitError) as error:
            return problem(422, "limits.invalid", f"the limits stay as they were: {error}")
        return Reply(200, "read", msgspec.json.encode(self._erp.profile), content_type=JSON)

    def _http_date(self) -> bytes:
        second = int(self._erp.now().timestamp())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]


class _Words(msgspec.Struct, forbid_unknown_fields=True):
    limits: list[str]
    note: str = ""


def _read_headers(call: Call, headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name == b"idempotency-key":
            call.key = value.decode("latin-1")
        elif name == b"authorization":
            call.authorization = value.decode("latin-1")


def _parameter(query: bytes, name: str) -> str | None:
    return parse_qs(query.decode("latin-1")).get(name, [None])[0]


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None when it is larger than the limit, nothing when the caller left before its end."""
    body = bytearray()
    while len(body) <= BODY_BYTES_MAX:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        body += message["body"]
        if not message.get("more_body"):
            return bytes(body) if len(body) <= BODY_BYTES_MAX else None
    return None


async def _leave(part: Callable[[], None], receive: Receive) -> None:
    """Part from the caller, then wait until the server has noticed: otherwise it would answer 500."""
    part()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(reply: Reply, send: Send, peer: Peer | None) -> None:
    for chunk in reply.stream or ():
        if peer is not None and peer.is_closing():
            return
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if not reply.cut_short:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
