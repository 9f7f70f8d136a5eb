"""What waits for a person: open exceptions with the message that was set aside, sensitive fields masked."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.runtime.clock import moment
from broker.store.reads import ExceptionRecord, Reads
from contracts.envelope import Envelope, decode_envelope
from contracts.errors import ContractError
from contracts.masking import mask
from contracts.registry import Registry

PAGE_MAX = 200
_ATTRIBUTES = frozenset(Envelope.__struct_fields__) - {"data", "extensions"}
"""Attributes that we know the meaning of; others may hold anything and are not shown."""


class ExceptionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An open exception. `message` is the event that was set aside, as far as it can be read."""

    seq: int
    key: str
    failure: str
    owner: str
    cause: str
    opened_at: str
    message_id: str | None = None
    intent_id: str | None = None
    message_bytes: int = 0
    message: dict[str, Any] | None = None


class ExceptionPage(msgspec.Struct, frozen=True):
    """Open exceptions, oldest first."""

    items: list[ExceptionView]


async def open_exceptions(reads: Reads, registry: Registry, limit: int) -> ExceptionPage:
    """The oldest open exceptions.

    Raises:
        TimeoutError: the store took too long to answer.
    """
    return ExceptionPage([_view(record, registry) for record in await reads.exceptions(limit=limit)])


def _view(record: ExceptionRecord, registry: Registry) -> ExceptionView:
    body = record.body or b""
    return ExceptionView(
        seq=record.seq,
        key=record.key,
        failure=record.failure,
        owner=record.owner,
        cause=record.cause,
        opened_at=moment(record.opened_at).isoformat(timespec="seconds").replace("+00:00", "Z"),
        message_id=record.message_id,
        intent_id=record.intent_id,
        message_bytes=len(body),
        message=_message(body, registry),
    )


def _message(body: bytes, registry: Registry) -> dict[str, Any] | None:
    """The event with its data masked by the contract's tags; None when it is no event of ours."""
    try:
        envelope = decode_envelope(body)
        contract = registry.resolve(envelope.type, envelope.dataschema)
        data = registry.decode_data(envelope)
    except ContractError:
        return None
    written: dict[str, Any] = msgspec.json.decode(body)
    kept = {name: value for name, value in written.items() if name in _ATTRIBUTES}
    return {**kept, "data": mask(data, contract)}
