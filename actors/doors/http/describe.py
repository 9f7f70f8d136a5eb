"""The door describes itself."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get


@get("/openapi.json")
async def get_openapi(described: dict[str, Any]) -> Response[bytes]:
    """The OpenAPI document."""
    return Response(msgspec.json.encode(described), media_type="application/json")


HANDLERS = [get_openapi]
