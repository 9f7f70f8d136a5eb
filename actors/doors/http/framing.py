"""What a connection may do before a request is one: sizes, shape and speed of what it sends.

uvicorn's httptools protocol parses, and refuses what llhttp calls ambiguous (two lengths, a length and chunks, a
folded header). It has no time limit on heads and bodies, no cap on headers, and answers in plain text; those are
added here, so that whoever is refused gets the same problem document as from anywhere else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from actors.doors.http.problems import MEDIA_TYPE, problem

CONNECTIONS_MAX = 1_000
URL_BYTES_MAX = 8 * 1024
HEADERS_MAX = 100
HEADER_BYTES_MAX = 16 * 1024
HEAD_BYTES_MAX = URL_BYTES_MAX + HEADER_BYTES_MAX + 8 * 1024
"""What is buffered of a head that has no end yet; the exact caps are applied when it is whole."""
GRACE_SECONDS = 10.0
"""A head must be whole within this time, and a body must keep coming."""
BODY_BYTES_PER_SECOND_MIN = 16 * 1024
WHOLE = "tidegate.whole_reply"
"""ASGI extension: `reply(head, body)` takes status line and headers as bytes, each line with its end."""
Reply = Callable[[bytes, bytes], None]
LINGER_SECONDS = 2.0
"""How long a refused sender is listened to, so that it gets to read why."""
_METHODS = "GET, HEAD, POST"
_HOP_BY_HOP = (b"connection", b"upgrade", b"http2-settings")
_ABSOLUTE = re.compile(rb"http://([^/?#]+)(/.*)")
_BAD_BYTES = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00|[^!-~]")
_UNSETTLED = re.compile(rb"//|/\.\.?(?:/|$)")
_MALFORMED = "This is not a request as RFC 9112 has it, or it can be read in two ways."


class _Refused(Exception):
    """Stops the parser; why stands in the protocol's `_refusal`."""


class Framing(HttpToolsProtocol):
    """One connection. At any moment it waits for a request within a deadline, carries one out, or is idle."""

    new_id: Callable[[], str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._in_message = False
        self._ended = False
        self._bytes = 0
        self._bytes_seen = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._refusal = ("request.malformed", _MALFORMED)

    # the connection ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request, unless there are too many of us."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            self._end("door.crowded", f"At most {CONNECTIONS_MAX} connections. Use fewer, and keep them open.")
        else:
            self._alarm = self.loop.call_later(GRACE_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, then see whether the sender owes us the rest of a message."""
        if self._ended:
            return  # read, so that the kernel does not answer with a reset and take our last words with it
        in_same_head = self._in_head
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._in_message:
            self._bytes += len(data)
            if in_same_head and self._in_head and self._bytes > HEAD_BYTES_MAX:
                self._end("headers.too_large", f"At most {HEADER_BYTES_MAX} bytes of headers.")
        if not self._ended and self._owes_us() != (self._alarm is not None):
            self._watch()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._feed(self._without_offer() + data[offer.args[0] :])
        except httptools.HttpParserError:
            self._end(*self._refusal)

    def _without_offer(self) -> bytes:
        """The head once more, for a fresh parser, without the offer to upgrade.

        Java's client offers HTTP/2 with every first request. To ignore that is right (RFC 9110, 7.8), but httptools
        stops at the end of the head and would lose the body.
        """
        self.parser = httptools.HttpRequestParser(self)
        lines = [b"%s %s HTTP/%s" % (self.scope["method"].encode(), self.url, self.scope["http_version"].encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] not in _HOP_BY_HOP]
        return b"\r\n".join((*lines, b"", b""))

    def _owes_us(self) -> bool:
        """Whether a message was begun and not finished, or line feeds keep an idle connection from ending."""
        idle = self.cycle is None or self.cycle.response_complete
        return self._in_message or (idle and self.timeout_keep_alive_task is None)

    def _watch(self) -> None:
        if self._alarm is None and not self.transport.is_closing():
            self._bytes_seen = self._bytes
            self._alarm = self.loop.call_later(GRACE_SECONDS, self._late)
        else:
            self._disarm()

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _late(self) -> None:
        self._alarm = None
        fast_enough = self._bytes - self._bytes_seen >= GRACE_SECONDS * BODY_BYTES_PER_SECOND_MIN
        if self._ended or not self._in_message:
            self.transport.close()
        elif fast_enough and not self._in_head:
            self._watch()
        else:
            detail = f"A head has {GRACE_SECONDS:.0f} s, a body at least {BODY_BYTES_PER_SECOND_MIN} bytes a second."
            self._end("request.time_out", detail)

    # parser callbacks ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A new request."""
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._bytes = 0

    def on_url(self, url: bytes) -> None:
        """Part of the request target."""
        super().on_url(url)
        if len(self.url) > URL_BYTES_MAX:
            self._refuse("path.too_long", f"At most {URL_BYTES_MAX} bytes of path and query.")

    def on_headers_complete(self) -> None:
        """Check the head as a whole, then start the request."""
        self._check_target(self._check_headers())
        self._in_head = False
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
            self.scope["http_version"] = self.parser.get_http_version()
            return
        super().on_headers_complete()
        self.cycle.scope["extensions"] = {WHOLE: {"reply": partial(self._reply, self.cycle)}}

    def _reply(self, cycle: RequestResponseCycle, head: bytes, body: bytes) -> None:
        """Answer in one write what ASGI would take two messages, two writes and two packets for."""
        if cycle.disconnected or cycle.response_started:
            return
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            head += b"connection: close\r\n"
        fixed = b"".join(b"%s: %s\r\n" % header for header in cycle.default_headers)
        self.transport.write(b"%s%s\r\n%s" % (head, fixed, body))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def on_message_complete(self) -> None:
        """The body is whole."""
        if not self.parser.should_upgrade():
            self._in_message = False
            super().on_message_complete()

    def _check_headers(self) -> bytes:
        """Refuse too many, too large, or without exactly one host, which is returned."""
        size = 0
        hosts = []
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts.append(value)
        if size > HEADER_BYTES_MAX or len(self.headers) > HEADERS_MAX:
            limit = f"At most {HEADERS_MAX} headers and {HEADER_BYTES_MAX} bytes of them."
            self._refuse("headers.too_large", limit)
        if len(hosts) != 1:
            self._refuse("request.malformed", "Send exactly one Host header.")
        return hosts[0]

    def _check_target(self, host: bytes) -> None:
        if self.parser.get_method() == b"CONNECT":
            self._refuse("method.not_allowed", f"This is no proxy. Known here: {_METHODS}.")
        path = self.url
        if not path.startswith(b"/"):
            absolute = _ABSOLUTE.fullmatch(path)
            if absolute is None or absolute[1].lower() != host.lower():
                self._refuse("request.malformed", "The target is no path, or of another host than the Host header.")
            else:
                path = absolute[2]
        if _BAD_BYTES.search(path):
            self._refuse("request.malformed", "The path has a % without two hex digits, or a byte to be escaped.")
        if _UNSETTLED.search(path.partition(b"?")[0]):
            self._refuse("request.malformed", "The path has //, /./ or /../. Send what it comes to.")

    def _refuse(self, code: str, detail: str) -> None:
        self._refusal = (code, detail)
        raise _Refused

    # the last word -------------------------------------------------------------------------------------------

    def _end(self, code: str, detail: str) -> None:
        """Say why and hang up; behind answers that are still owed, only hang up."""
        self._disarm()
        if self._ended or self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self._in_head or self.pipeline or cycle.response_started:
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # it waits for a body that does not come
            cycle.message_event.set()
        answer = problem(code, detail, self.new_id())
        allow = f"allow: {_METHODS}\r\n" if code == "method.not_allowed" else ""
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(answer.body)}\r\n{allow}connection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[answer.status] + head.encode() + answer.body)
        self.transport.write_eof()
        self._ended = True
        self._alarm = self.loop.call_later(LINGER_SECONDS, self._late)


def framing(ids: Callable[[], str]) -> type[asyncio.Protocol]:
    """The protocol of a door whose request ids come from `ids`."""
    return type("BoundFraming", (Framing,), {"new_id": staticmethod(ids)})
