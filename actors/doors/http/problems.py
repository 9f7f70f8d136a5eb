"""Errors as problem details (RFC 9457), the one shape of every error of the HTTP door."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from loguru import logger

from actors.doors.desk import Busy
from broker.store.store import StoreUnavailable
from contracts.errors import CODES, ContractError

MEDIA_TYPE = "application/problem+json"
EXTRA = (
    "limit",
    "minimum",
    "actual",
    "allowed",
    "known",
    "nearest",
    "expected",
    "got",
    "position",
    "scale",
    "difference",
    "parameter",
    "original",
)
"""Facts for programs that a problem may carry beside its fixed members."""


class Problem(msgspec.Struct, frozen=True):
    """An error on its way out: the document as bytes, and what goes into the head of the response."""

    status: int
    body: bytes
    headers: dict[str, str] = {}

    def response(self) -> Response[bytes]:
        """For a Litestar handler."""
        return Response(self.body, status_code=self.status, media_type=MEDIA_TYPE, headers=self.headers)


def problem(
    code: str, detail: str, request_id: str, path: str = "", headers: dict[str, str] | None = None, **extra: Any
) -> Problem:
    """A problem document with our stable code, told to the log in one line; `path` points into the request's body."""
    status, title = CODES[code]
    logger.info("request {} refused: {} {} {}", request_id, status, code, path)
    document: dict[str, Any] = {
        "type": f"urn:tidegate:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "path": path,
        "request_id": request_id,
        **{name: value for name, value in extra.items() if name in EXTRA and value is not None},
    }
    return Problem(status, msgspec.json.encode(document), headers or {})


def from_error(error: Exception, request_id: str) -> Problem:
    """The problem that an error stands for; what is unexpected is logged, and tells nothing but its request id."""
    match error:
        case ContractError():
            headers = {"Retry-After": "1"} if error.code == "idempotency.in_progress" else None
            return problem(error.code, error.detail, request_id, error.path, headers, **error.extra)
        case Busy():
            return problem(error.code, error.reason, request_id, headers={"Retry-After": str(error.seconds)})
        case StoreUnavailable():
            detail = f"{error} Send the same message again later, with the same id."
            return problem("store.unavailable", detail, request_id, headers={"Retry-After": "5"})
        case _:
            logger.opt(exception=error).error("request {} failed", request_id)
            detail = "It may or may not have been done; ask again with the same ids. See the log for this request id."
            return problem("internal", detail, request_id)
