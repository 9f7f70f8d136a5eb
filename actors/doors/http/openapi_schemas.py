"""The schemas of the OpenAPI document, generated from the structs that are on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actors.approvals import ApprovalPage, ApprovalView, Ballot, Replay, VoteEffect
from actors.doors.desk import Receipt
from actors.exceptions import ExceptionPage
from actors.forecasts import ForecastView, TruthView
from actors.operations import Command, CommitCommand, Effect, SettingCommand, SettleCommand, UndoCommand, WorkCommand
from actors.operator_top import Top
from actors.operator_views import AuditPage, CallPage, Found, Left
from actors.reconcil_words import LedgerCommand, RunView
from actors.status import MessageView, OutcomePage, ProcessView
from actors.wave_records import CasePage, IncidentPage, Reconciliation, WaveCommand, WaveView
from contracts.caps import DEFAULT_CAPS
from contracts.contract import Contract
from contracts.envelope import EXTENSION_BYTES_MAX, EXTENSIONS_MAX, Envelope
from contracts.errors import CODES
from contracts.schemas import schema_hook
from contracts.text import INTEGER_MAX

_TEMPLATE = "#/components/schemas/{name}"
_COMMANDS = (
    LedgerCommand,
    RunView,
    Command,
    SettingCommand,
    WorkCommand,
    SettleCommand,
    CommitCommand,
    UndoCommand,
    Effect,
)
_LOOKS = (Top, CallPage, Found, Left, AuditPage, ForecastView, TruthView)
_OURS = (Envelope, Receipt, MessageView, ProcessView, OutcomePage, ExceptionPage, *_COMMANDS, *_LOOKS)
_APPROVALS = (ApprovalPage, ApprovalView, Ballot, Replay, VoteEffect)

_INCIDENTS = (IncidentPage, WaveView, CasePage, Reconciliation, WaveCommand)


def schemas(contracts: Sequence[Contract]) -> dict[str, Any]:
    """All components, by name. Types of contracts keep the names of their structs."""
    types = [*_OURS, *_APPROVALS, *_INCIDENTS, *(contract.struct for contract in contracts)]
    _, components = msgspec.json.schema_components(types, schema_hook=schema_hook, ref_template=_TEMPLATE)
    named = dict(components)
    named["CloudEvent"] = _cloud_event(named.pop("Envelope"))
    events = {_event_name(contract): _event(contract) for contract in contracts}
    return {
        **named,
        **events,
        "Message": _any_event(contracts),
        "MessageBatch": {
            "type": "array",
            "items": _ref("Message"),
            "minItems": 1,
            "maxItems": DEFAULT_CAPS.batch_events_max,
        },
        "BatchReceipt": {
            "type": "object",
            "required": ["accepted", "receipts"],
            "properties": {
                "accepted": {"type": "integer", "minimum": 0},
                "receipts": {"type": "array", "items": _ref("Receipt")},
            },
        },
        "Problem": _problem(),
        "Overview": _overview(),
        "OperationPage": {
            "type": "object",
            "required": ["items"],
            "properties": {"items": {"type": "array", "items": {"type": "object"}}},
        },
        "Readiness": {
            "type": "object",
            "required": ["ready", "not_up", "store"],
            "properties": {
                "ready": {"type": "boolean"},
                "not_up": {"type": "array", "items": {"type": "string"}, "description": "Actors that are not up."},
                "store": {"type": "string", "description": "`ok`, or why the store cannot write."},
                "reconciling": {
                    "type": "object",
                    "description": "Systems that nothing is posted to before they were looked at after a restore.",
                    "additionalProperties": {"type": "string"},
                },
            },
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _TEMPLATE.format(name=name)}


def _event_name(contract: Contract) -> str:
    return f"{contract.type}.{contract.version}"


def _cloud_event(envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope as it is on the wire: unknown extension attributes pass and are kept."""
    properties = {name: schema for name, schema in envelope["properties"].items() if name != "-extensions"}
    return {
        "type": "object",
        "title": "CloudEvent",
        "description": f"CloudEvents 1.0. Up to {EXTENSIONS_MAX} extension attributes that are not listed are kept.",
        "properties": {**properties, "data": {}},
        "required": [name for name in envelope["required"] if name != "-extensions"],
        "additionalProperties": {
            "anyOf": [
                {"type": "string", "maxLength": EXTENSION_BYTES_MAX},
                {"type": "boolean"},
                {"type": "integer", "minimum": -INTEGER_MAX, "maximum": INTEGER_MAX},
                {"type": "null"},
            ]
        },
    }


def _event(contract: Contract) -> dict[str, Any]:
    own: dict[str, Any] = {
        "type": {"const": contract.type},
        "dataschema": {"const": contract.dataschema},
        "data": _ref(contract.struct.__name__),
    }
    required = ["type", "data"] if contract.version == 1 else ["type", "data", "dataschema"]
    closes = f" Closes {contract.closes:%Y-%m-%d}." if contract.closes else ""
    return {
        "description": f"{contract.summary} Owner: {contract.owner}.{closes}",
        "allOf": [_ref("CloudEvent")],
        "type": "object",
        "properties": own,
        "required": required,
        "x-kind": contract.kind,
    }


def _any_event(contracts: Sequence[Contract]) -> dict[str, Any]:
    newest = {contract.type: _TEMPLATE.format(name=_event_name(contract)) for contract in contracts}
    return {
        "oneOf": [_ref(_event_name(contract)) for contract in contracts],
        "discriminator": {"propertyName": "type", "mapping": newest},
    }


def _problem() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "RFC 9457. Some codes carry more members, such as limit, known, nearest, position.",
        "required": ["type", "title", "status", "detail", "code", "path", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was wrong and what to do; no sensitive value."},
            "code": {"type": "string", "enum": sorted(CODES)},
            "path": {"type": "string", "description": "JSON pointer into the body; empty for the whole request."},
            "request_id": {"type": "string"},
        },
        "additionalProperties": True,
    }


def _overview() -> dict[str, Any]:
    rows = {"type": "array", "items": {"type": "object"}}
    names = (
        "actors",
        "queues",
        "calls",
        "keys",
        "budget",
        "limits",
        "changes",
        "rests",
        "plans",
        "orders",
        "exceptions",
        "processes",
    )
    lists = dict.fromkeys(names, rows)
    return {
        "type": "object",
        "required": ["at", "ready", *lists, "shares", "gate", "calendar", "messages", "ledger"],
        "properties": {
            "at": {"type": "string", "format": "date-time"},
            "ready": {"type": "boolean"},
            **lists,
            "shares": {"type": "object"},
            "gate": {"type": "object"},
            "calendar": {"type": "object"},
            "messages": {"type": "object"},
            "ledger": {"type": "object"},
        },
    }
