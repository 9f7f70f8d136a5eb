"""What every request passes first: its id, the one shape of errors, and the short way for messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from actors.doors.http.body import Gone
from actors.doors.http.framing import WHOLE, Reply
from actors.doors.http.messages import PATH, Intake
from actors.doors.http.problems import MEDIA_TYPE, from_error, problem
from actors.runtime.entropy import Entropy

_ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"


class Edge:
    """The outermost ASGI application of the door."""

    def __init__(self, inner: ASGIApp, intake: Intake, entropy: Entropy) -> None:
        self._inner = inner
        self._intake = intake
        self._entropy = entropy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on. A client that hangs up is not answered."""
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        if scope["path"] == PATH:
            await self._messages(scope, receive, send)
            return
        cast("dict[str, Any]", scope).setdefault("state", {})["request_id"] = self._entropy.new_id()
        await self._inner(_as_get(scope), receive, send)

    async def _messages(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self._not_post(scope["method"], send)
            return
        try:
            answer = await self._intake.take(scope, receive)
        except Gone:
            return
        except Exception as error:
            refusal = from_error(error, self._entropy.new_id())
            await _send(send, refusal.status, refusal.body, MEDIA_TYPE, refusal.headers)
        else:
            reply: Reply = scope["extensions"][WHOLE]["reply"]  # type: ignore[index, assignment]
            reply(_ACCEPTED % len(answer), answer)

    async def _not_post(self, method: str, send: Send) -> None:
        allow = {"Allow": "OPTIONS, POST"}
        if method == "OPTIONS":
            await _send(send, 204, b"", "application/json", allow)
            return
        refusal = problem("method.not_allowed", "Messages are sent with POST.", self._entropy.new_id(), headers=allow)
        await _send(send, refusal.status, refusal.body, MEDIA_TYPE, refusal.headers)


def _as_get(scope: HTTPScope) -> HTTPScope:
    """HEAD is GET without the body, which uvicorn leaves out by the method in its own scope."""
    if scope["method"] != "HEAD":
        return scope
    copied = scope.copy()
    copied["method"] = "GET"
    return copied


async def _send(send: Send, status: int, body: bytes, media_type: str, headers: Mapping[str, str]) -> None:
    head = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    if body:
        head += [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})
