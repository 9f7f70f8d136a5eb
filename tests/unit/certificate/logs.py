"""Writes small ERP logs and accepted lists, so that each test shows only what matters to it."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ops.certificate import Certificate

Certify = Callable[..., Certificate]
SECOND = 1_000_000_000
LIMITS = ({"kind": "rate", "limit": 10, "seconds": 1}, {"kind": "concurrent", "limit": 5})


def header(limits: Iterable[Mapping[str, Any]] = LIMITS, **more: Any) -> dict[str, Any]:
    return {
        "log": "tidegate-erp-log/1",
        "profile": "test",
        "limits": list(limits),
        "clock": "monotonic_ns",
        "wall_at_zero": "2026-03-02T08:00:00Z",
        **more,
    }


def arrival(seq: int, arrived_ns: int, op: str = "post") -> dict[str, Any]:
    return {"seq": seq, "op": op, "arrived_ns": arrived_ns, "event": "arrived"}


def post(seq: int, arrived_ns: int, ended_ns: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "op": "post",
        "arrived_ns": arrived_ns,
        "ended_ns": arrived_ns if ended_ns is None else ended_ns,
        "reference": f"ref-{seq}",
        "account": "acc",
        "source_document": f"case-{seq}",
        "amount": "12.50",
        "currency": "EUR",
        "status": 201,
        "verdict": "created",
        "code": None,
        "document": f"ADJ-{seq}",
        "answer": "sent",
        **more,
    }


def found(seq: int, arrived_ns: int, reference: str, document: str) -> dict[str, Any]:
    return {
        "seq": seq,
        "op": "find",
        "arrived_ns": arrived_ns,
        "ended_ns": arrived_ns + 1000,
        "reference": reference,
        "account": None,
        "status": 200,
        "verdict": "found",
        "document": document,
    }


def accepted(sequence: int, accepted_ns: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": f"msg-{sequence}",
        "key": f"case-{sequence}",
        "account": "acc",
        "tenant": "t1",
        "lane": "standard",
        "sequence": sequence,
        "accepted_at": "2026-03-02T08:00:00Z",
        "accepted_ns": accepted_ns,
        "outcome": "posted",
        "reason": "",
        "reference": f"ref-{sequence}",
        "amount": "12.50",
        "currency": "EUR",
        "expected": "either",
        **more,
    }


def write(path: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
