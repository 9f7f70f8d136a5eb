"""Commands that come a second time under another key: refused by what they are about, with the original named.

The idempotency key of a message and its id are recognised in the store, inside the transaction. A sender who lost
its key, or whose system made a new one, is found here: the same intent, or the same content about the same business
key. The ledger keeps an intent from being carried out twice in any case; this is to tell the sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from broker.accept import Arrival
from broker.store.reads import MessageRecord, Reads
from broker.store.rows import Accept, Call
from contracts.codec import encode
from contracts.errors import ContractError
from contracts.fingerprint import canonical

_IDENTITY = ("intent_id", "not_before")
"""Fields of a command that do not say what it does."""


class Repeats:
    """Looks commands up in the ledger and among the accepted messages."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def refuse(self, commands: Sequence[tuple[int, Arrival, Accept]]) -> tuple[int, ContractError] | None:
        """The first command, by its index, that was accepted before under another key; None when there is none.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        keys = {accept.row.key for _, _, accept in commands}
        calls = await self._reads.calls_by_message(keys)
        for index, arrival, accept in commands:
            messages = [m for m in await self._reads.messages_by_key(accept.row.key) if _same_kind(m, accept)]
            if any(_is_replay(message, accept) for message in messages):
                continue
            intent = getattr(arrival.data, "intent_id", None)
            known = calls if any(call.intent_id == intent for call in calls) else await self._also(calls, intent)
            call = next((c for c in known if c.tenant == accept.row.tenant and _same_effect(c, arrival)), None)
            twin = next((m for m in messages if m.fingerprint == accept.row.fingerprint), None)
            if call is not None or twin is not None:
                return index, _refusal(accept, call, twin)
        return None

    async def _also(self, calls: Sequence[Call], intent: str | None) -> Sequence[Call]:
        """The calls, and one that has this intent about another business key."""
        if intent is None:
            return calls
        return [*calls, *(call for call in await self._reads.calls_by_key(intent) if call.intent_id == intent)]


def _same_kind(message: MessageRecord, accept: Accept) -> bool:
    return (message.tenant, message.type) == (accept.row.tenant, accept.row.type)


def _is_replay(message: MessageRecord, accept: Accept) -> bool:
    row = accept.row
    return message.dedupe == row.dedupe or (row.idempotency is not None and message.idempotency == row.idempotency)


def _same_effect(call: Call, arrival: Arrival) -> bool:
    data = arrival.data
    if call.intent_id == getattr(data, "intent_id", None):
        return True
    return call.key == arrival.contract.business_key(data) and _bare(call.body) == _bare(encode(data))


def _bare(body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(canonical(body))
    return {name: value for name, value in document.items() if name not in _IDENTITY and value is not None}


def _refusal(accept: Accept, call: Call | None, twin: MessageRecord | None) -> ContractError:
    row = accept.row
    original = {"key": row.key}
    if call is not None:
        original |= {"message_id": call.message_id, "intent_id": call.intent_id, "status": call.status}
        if call.document is not None:
            original["document"] = call.document
    elif twin is not None:
        original |= {"message_id": twin.id}
    became = f", posted as {call.document}" if call is not None and call.document else ""
    detail = (
        f"{row.key} was accepted before as message {original.get('message_id')}{became}, under another idempotency "
        "key. The first one stands; for something new use a business key and an intent of its own."
    )
    return ContractError("duplicate.business_key", detail, "/data", original=original)
