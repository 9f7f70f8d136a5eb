"""Rows for tests that need an accepted message and nothing of what it says."""

from broker.store.rows import MessageRow


def message_row(dedupe: str, queue: str) -> MessageRow:
    """An accepted message with this identity."""
    return MessageRow(
        dedupe=dedupe,
        idempotency=None,
        fingerprint=dedupe,
        source="urn:test",
        id=dedupe,
        type="support.case.opened",
        tenant="t",
        key=dedupe,
        partition_key=dedupe,
        queue=queue,
        lane="standard",
        correlation_id=dedupe,
        causation_id=None,
        accepted_at=1,
    )
