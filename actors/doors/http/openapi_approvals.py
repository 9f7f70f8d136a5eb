"""The part of the OpenAPI document about approvals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.approvals import PAGE_MAX
from actors.doors.http.approvals import VERDICTS
from actors.doors.http.reading import KEY_CHARACTERS_MAX

Json = Callable[[str], dict[str, Any]]
Refusals = Callable[..., dict[str, Any]]


def approval_paths(json: Json, refusals: Refusals, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    """The three paths. `json` and `refusals` make the parts that all answers share."""
    key = {
        "name": "key",
        "in": "path",
        "required": True,
        "description": "A case, an invoice or a contract: what the process is about.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX},
    }
    verdict = {"name": "verdict", "in": "path", "required": True, "schema": {"type": "string", "enum": list(VERDICTS)}}
    limit = {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": 50}
    tenant = {
        "name": "tenant",
        "in": "query",
        "description": "Needed only for a key that several tenants have.",
        "schema": {"type": "string"},
    }
    common = {"tags": ["operators"], "security": security}
    return {
        "/v1/approvals": {
            "get": {
                **common,
                "operationId": "getApprovals",
                "summary": "What waits for people to approve it, oldest first",
                "parameters": [{"name": "limit", "in": "query", "schema": limit}],
                "responses": {
                    "200": {"description": "A page.", "content": json("ApprovalPage")},
                    **refusals(401, 422),
                },
            }
        },
        "/v1/approvals/{key}": {
            "get": {
                **common,
                "operationId": "getApproval",
                "summary": "One process: who must approve it, who did, and where each step stands",
                "parameters": [key, tenant],
                "responses": {
                    "200": {"description": "Found.", "content": json("ApprovalView")},
                    **refusals(401, 404, 422),
                },
            }
        },
        "/v1/approvals/{key}/{verdict}": {
            "post": {
                **common,
                "operationId": "vote",
                "summary": "Approve or reject, or send again what was refused",
                "description": (
                    "The vote is bound to the digest of what was seen. Nobody votes on what they asked for, and nobody "
                    "twice. What was refused is sent again (`replay`) by neither of them. Answered when it is durable."
                ),
                "parameters": [key, verdict],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "anyOf": [json(name)["application/json"]["schema"] for name in ("Ballot", "Replay")]
                            }
                        }
                    },
                },
                "responses": {
                    "200": {"description": "What it did, or would do.", "content": json("VoteEffect")},
                    **refusals(400, 401, 403, 404, 409, 413, 415, 422, 503),
                },
            }
        },
    }
