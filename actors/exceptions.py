"""What waits for a person: open exceptions with the message that was set aside, sensitive fields masked."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.retries import calls_of
from actors.runtime.clock import moment
from broker.store.operators import OperatorReads
from broker.store.reads import Reads
from broker.store.rows import ExceptionRecord
from contracts.envelope import Envelope, decode_envelope
from contracts.errors import ContractError
from contracts.masking import mask
from contracts.registry import Registry

PAGE_MAX = 200
FOLLOWERS_MAX = 20
_ATTRIBUTES = frozenset(Envelope.__struct_fields__) - {"data", "extensions"}
"""Attributes that we know the meaning of; others may hold anything and are not shown."""


class ExceptionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An open exception. `message` is the event that was set aside, as far as it can be read.

    `followers`: later calls of its key that wait until somebody has decided about it, and the first few by name.
    """

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
    followers: int = 0
    followed_by: list[str] = []


class ExceptionPage(msgspec.Struct, frozen=True):
    """Open exceptions, oldest first."""

    items: list[ExceptionView]


async def open_exceptions(reads: Reads, registry: Registry, limit: int) -> ExceptionPage:
    """The oldest open exceptions.

    Raises:
        TimeoutError: the store took too long to answer.
    """
    records = await reads.exceptions(limit=limit)
    operators = OperatorReads(reads)
    stuck = {call.intent_id: call for call in await calls_of(operators, [r.intent_id for r in records if r.intent_id])}
    views = []
    for record in records:
        call = stuck.get(record.intent_id or "")
        count, keys = (0, list[str]())
        if call is not None and call.status == "exception" and call.open:
            count, keys = await operators.followers(call, FOLLOWERS_MAX)
        views.append(msgspec.structs.replace(_view(record, registry), followers=count, followed_by=keys))
    return ExceptionPage(views)


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
