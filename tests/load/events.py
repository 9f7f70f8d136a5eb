"""The events that benchmarks send: support cases that all earn a credit, about 600 bytes each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def case(run: str, number: int, lane: str = "standard") -> dict[str, Any]:
    """One case of its own account, so nothing waits for the order of an account."""
    return {
        "specversion": "1.0",
        "id": f"evt-{run}-{number:08d}",
        "source": "urn:bench:support",
        "type": "support.case.opened",
        "subject": f"case-{run}-{number:08d}",
        "time": "2026-03-02T09:00:00.000Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:tidegate:support.case.opened:1",
        "lane": lane,
        "data": {
            "case_id": f"case-{run}-{number:08d}",
            "account_id": f"acc-{run}-{number:08d}",
            "incident_id": "inc-1",
            "outage_class": "full",
            "outage_minutes": 120,
            "tier": "standard",
            "monthly_fee": {"amount": "249.00", "currency": "EUR"},
            "escalated": False,
            "severity": "normal",
            "opened_at": "2026-03-02T08:55:00Z",
        },
    }


def bodies(run: str, count: int, batch: int, lane: str = "standard") -> Iterator[bytes]:
    """Request bodies of `batch` events each (1: structured mode)."""
    for start in range(0, count, batch):
        events = [case(run, number, lane) for number in range(start, min(start + batch, count))]
        yield json.dumps(events[0] if batch == 1 else events, separators=(",", ":")).encode()
