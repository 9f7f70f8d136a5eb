"""One call as the ERP experiences it, and the reply it gets."""

from collections.abc import Iterable
from typing import Any, Literal, Protocol

import msgspec

from ops.sandbox.admission import Refusal

Op = Literal["post", "find", "list", "limits", "other"]
Verdict = Literal["created", "replayed", "found", "absent", "read", "refused", "failed"]
AnswerKind = Literal["sent", "lost", "reset", "garbage"]
Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"


class Peer(Protocol):
    """The connection that a call came by."""

    def is_closing(self) -> bool:
        """Whether the caller is gone or the connection was closed by us."""

    def close(self) -> None:
        """End the connection in an orderly way (FIN), without an answer."""

    def reset(self) -> None:
        """End the connection abruptly (RST)."""


class Call(msgspec.Struct):
    """A call in progress. Times are monotonic nanoseconds; `concurrent` counts this call too.

    `touched` is the account whose own limits admitted it.
    """

    seq: int
    op: Op
    method: str
    path: str
    arrived_ns: int
    concurrent: int
    refusal: Refusal | None
    peer: Any
    key: str | None = None
    authorization: str | None = None
    body: bytes | None = b""
    fields: dict[str, Any] | None = None
    reference: str | None = None
    query: bytes = b""
    ended_ns: int | None = None
    touched: str | None = None
    fault: str | msgspec.UnsetType = msgspec.UNSET

    def text(self, field: str) -> str | None:
        """A field of the body, when the body has it as text."""
        value = (self.fields or {}).get(field)
        return value if isinstance(value, str) else None


class Reply(msgspec.Struct, frozen=True):
    """What the caller is told, and what the log says about it. `stream` replaces `body` when it is given;
    `cut_short` closes the connection before the body is whole."""

    status: int | None
    verdict: Verdict
    body: bytes = b""
    code: str | None = None
    document: str | None = None
    headers: Headers = ()
    content_type: bytes = JSON
    answer: AnswerKind = "sent"
    stream: Iterable[bytes] | None = None
    cut_short: bool = False


def problem(status: int, code: str, detail: str, headers: Headers = (), verdict: Verdict = "refused") -> Reply:
    """An error reply as application/problem+json (RFC 9457) with a stable `code`."""
    body = {
        "type": f"urn:sandbox-erp:{code}",
        "title": code.replace(".", " ").replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return Reply(status, verdict, msgspec.json.encode(body), code, None, headers, b"application/problem+json")


def unanswered(reply: Reply, answer: Literal["lost", "reset"] = "lost") -> Reply:
    """The same outcome with the connection closed instead of an answer."""
    return Reply(None, reply.verdict, code=reply.code, document=reply.document, answer=answer)
