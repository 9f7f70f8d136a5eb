"""Rows with everything filled in, so that a test names only what it is about."""

from typing import Any

import msgspec

from broker.store.rows import Accept, Call, CallChange, CallRow, ExceptionRow, MessageRow, QueueRow


def accept(id: str, queue: str = "q", **other: Any) -> Accept:
    """A message to accept, and its one queue item."""
    facts = {
        "dedupe": f"dedupe of {id}",
        "idempotency": None,
        "fingerprint": "same",
        "source": "urn:test",
        "id": id,
        "type": "support.case.opened",
        "tenant": "t",
        "key": "CASE-1",
        "partition_key": "A-1",
        "queue": queue,
        "lane": "standard",
        "correlation_id": id,
        "causation_id": None,
        "accepted_at": 1,
    }
    row = MessageRow(**{**facts, **other})
    return Accept(row, (item(row.dedupe, queue),))


def item(id: str, queue: str = "q") -> QueueRow:
    """A queue item."""
    return QueueRow("", queue, id, "{}", id.encode())


def call(intent: str, ref: str = "A-1", **other: Any) -> CallRow:
    """A call to the ERP; `ref` is the key within which order is kept."""
    facts = {
        "intent_id": intent,
        "fingerprint": "same",
        "system": "erp",
        "operation": "post",
        "tenant": "t",
        "lane": "standard",
        "key": f"CASE of {intent}",
        "order_ref": ref,
        "message_id": f"message of {intent}",
        "correlation_id": "c",
        "minor": 1250,
        "currency": "EUR",
        "body": b"{}",
        "requested_at": 1,
    }
    return CallRow(**{**facts, **other})


def stored(seq: int, row: CallRow) -> Call:
    """The call as it is stored when it was asked for and nobody has begun with it."""
    asked = {name: value for name, value in msgspec.structs.asdict(row).items() if name in Call.__struct_fields__}
    state = {"status": "waiting", "open": 1, "ready": 1, "attempts": 0, "sent": 0, "document": None, "reason": None}
    return Call(seq=seq, changed_at=1, **asked, **state)


def step(call: Call, status: str, at: int = 2, **other: Any) -> CallChange:
    """A change of state as the caller writes it."""
    facts: dict[str, Any] = {
        "open": int(status in ("waiting", "in_flight", "unknown")),
        "ready": int(status == "waiting"),
        "sent": call.sent + (status == "in_flight"),
        "document": f"ADJ of {call.intent_id}" if status == "done" else None,
        "reason": "a test" if status in ("unknown", "refused", "exception") else None,
    }
    given = {name: value for name, value in other.items() if value is not None}
    changed = msgspec.structs.replace(call, status=status, changed_at=at, **{**facts, **given})
    return CallChange(changed, call.status, "erp-poster")


def trouble(key: str) -> ExceptionRow:
    """An exception for somebody."""
    return ExceptionRow(
        key=key,
        failure="bug",
        owner="it",
        cause="a test",
        message_id=None,
        intent_id=None,
        body=None,
        opened_at=1,
    )
