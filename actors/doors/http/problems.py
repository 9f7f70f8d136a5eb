"""Errors as problem details (RFC 9457), the one shape of every error of the HTTP door."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response

from actors.doors.desk import Busy
from broker.store.store import StoreUnavailable
from contracts.errors import CODES, ContractError

PROBLEM = "application/problem+json"
_ALLOWED_EXTRA = (
    "limit",
    "actual",
    "allowed",
    "known",
    "nearest",
    "expected",
    "got",
    "position",
    "scale",
    "difference",
)


def problem(
    code: str, detail: str, request_id: str, path: str = "", headers: dict[str, str] | None = None, **extra: Any
) -> Response[bytes]:
    """A problem document with our stable code; `path` is a JSON pointer into the request."""
    status, title = CODES[code]
    body: dict[str, Any] = {
        "type": f"urn:tidegate:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "path": path,
        "request_id": request_id,
        **{name: value for name, value in extra.items() if name in _ALLOWED_EXTRA and value is not None},
    }
    return Response(msgspec.json.encode(body), status_code=status, media_type=PROBLEM, headers=headers)


def from_error(error: Exception, request_id: str) -> Response[bytes]:
    """The problem that an error of ours stands for; anything unexpected tells nothing but its request id."""
    match error:
        case ContractError():
            return problem(error.code, error.detail, request_id, error.path, **error.extra)
        case Busy():
            return problem(error.code, error.reason, request_id, headers={"Retry-After": str(error.seconds)})
        case StoreUnavailable():
            detail = f"{error} Send the same message again later, with the same id."
            return problem("store.unavailable", detail, request_id, headers={"Retry-After": "5"})
        case _:
            return problem(
                "internal", "Nothing was accepted. The log has the details under this request id.", request_id
            )
