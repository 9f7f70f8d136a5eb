"""The part of the OpenAPI document about incidents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.doors.http.incidents import ALL_VERBS, POSITION_MAX
from actors.doors.http.reading import KEY_CHARACTERS_MAX
from actors.wave_records import PAGE_MAX

Json = Callable[[str], dict[str, Any]]
Refusals = Callable[..., dict[str, Any]]
_PREVIEW = "What a cap would let through; its digest binds an approval to what was seen"
_TOLD = {
    "approve": "Approve an incident up to a cap: bound to the digest of what was seen; answered when it is durable",
    "hold": "Let no further case through, until somebody who may approve it resumes",
    "resume": "Let it go on; the case that stopped it is left to a person",
}


def incident_paths(json: Json, refusals: Refusals, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    """The paths. `json` and `refusals` make the parts that all answers share."""
    common = {"tags": ["operators"], "security": security}
    incident = {
        "name": "incident",
        "in": "path",
        "required": True,
        "description": "The incident that cases name.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX},
    }
    tenant = {
        "name": "tenant",
        "in": "query",
        "description": "Needed only for an incident that several tenants have.",
        "schema": {"type": "string"},
    }

    def look(name: str, summary: str, schema: str, *parameters: dict[str, Any]) -> dict[str, Any]:
        answers = {"200": {"description": "As it stands.", "content": json(schema)}, **refusals(401, 404, 422)}
        return {**common, "operationId": name, "summary": summary, "parameters": [*parameters], "responses": answers}

    def act(verb: str) -> dict[str, Any]:
        schema = "WaveView" if verb == "preview" else "Effect"
        return {
            **common,
            "operationId": f"{verb}Incident",
            "summary": _PREVIEW if verb == "preview" else _TOLD[verb],
            "parameters": [incident],
            "requestBody": {"required": True, "content": json("WaveCommand")},
            "responses": {
                "200": {"description": "What it did, or would do.", "content": json(schema)},
                **refusals(400, 401, 403, 404, 409, 413, 415, 422, 503),
            },
        }

    limit, after = _number("limit", 1, PAGE_MAX, 50), _number("after", 0, POSITION_MAX, 0)
    one = "/v1/incidents/{incident}"
    return {
        "/v1/incidents": {"get": look("getIncidents", "Incidents, the latest first", "IncidentPage", limit)},
        one: {"get": look("getIncident", "What an incident has come to", "WaveView", incident, tenant)},
        f"{one}/cases": {
            "get": look("getCases", "Cases as approvals met them", "CasePage", incident, tenant, after, limit)
        },
        f"{one}/reconcile": {
            "get": look("reconcile", "Approved, credited, posted and told", "Reconciliation", incident, tenant)
        },
        **{f"{one}/{verb}": {"post": act(verb)} for verb in ALL_VERBS},
    }


def _number(name: str, least: int, most: int, default: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return {"name": name, "in": "query", "schema": schema}
