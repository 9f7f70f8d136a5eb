"""Messages that the tests of this folder vary."""

import json
from typing import Any

CASE: dict[str, Any] = {
    "case_id": "CASE-000123",
    "account_id": "ACC-00042",
    "incident_id": "INC-7",
    "outage_class": "full",
    "outage_minutes": 240,
    "tier": "premium",
    "monthly_fee": {"amount": "1250.00", "currency": "EUR"},
    "escalated": True,
    "severity": "urgent",
    "opened_at": "2026-03-01T09:58:00Z",
    "contact_email": "jane.doe@example.com",
}
ADJUSTMENT: dict[str, Any] = {
    "intent_id": "CR-0123456789ABCDEFGHJK",
    "account_id": "ACC-00042",
    "amount": {"amount": "312.50", "currency": "EUR"},
    "reason_code": "service_credit",
    "source_document": "CASE-000123",
    "kind": "credit",
}
GONE: Any = object()


def event(type: str = "support.case.opened", data: Any = None, **attributes: Any) -> bytes:
    """A structured event; an attribute that is `GONE` is left out."""
    wire = {"specversion": "1.0", "id": "evt-1", "source": "urn:test", "type": type, **attributes}
    wire["data"] = CASE if data is None else data
    return json.dumps({name: value for name, value in wire.items() if value is not GONE}).encode()


def case(**changes: Any) -> bytes:
    """A support.case.opened event whose data has these changes."""
    return event(data=_changed(CASE, changes))


def adjustment(**changes: Any) -> bytes:
    """An erp.adjustment.request command whose data has these changes."""
    return event("erp.adjustment.request", data=_changed(ADJUSTMENT, changes))


def _changed(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**data, **changes}.items() if value is not GONE}
