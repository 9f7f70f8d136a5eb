"""Telling a process that a call of its own has ended, in the transaction that stores the outcome."""

from __future__ import annotations

import msgspec

from actors.processes_record import PREFIXES
from actors.runtime.clock import moment
from broker.accept import Acceptor
from broker.store.rows import Accept, Call
from contracts.codec import encode
from contracts.envelope import Envelope
from contracts.messages import CallEnded
from contracts.registry import Registry
from policies.order import NEVER

TYPE = "process.call.ended"


class _Account(msgspec.Struct):
    account_id: str


class ProcessTeller:
    """Knows which calls processes wait for."""

    def __init__(self, acceptor: Acceptor, registry: Registry) -> None:
        self._acceptor = acceptor
        self._schema = registry.newest(TYPE).dataschema

    def waits_for(self, call: Call) -> bool:
        """Whether a process made this call."""
        return call.intent_id.partition("-")[0] in PREFIXES

    def tell(self, call: Call, now: int) -> Accept:
        """The message to the process. Told again after a crash, it is recognised."""
        data = CallEnded(
            process_id=call.key,
            account_id=msgspec.json.decode(call.body, type=_Account).account_id,
            intent_id=call.intent_id,
            status=call.status,  # type: ignore[arg-type]
            document=call.document,
            reason=call.reason,
        )
        envelope = Envelope(
            id=told_as(call),
            source="urn:tidegate:callers",
            type=TYPE,
            time=moment(now),
            dataschema=self._schema,
            tenant=call.tenant,
            lane=call.lane,  # type: ignore[arg-type]
            correlationid=call.correlation_id,
            causationid=call.message_id,
            workload=call.workload,
            deadline=moment(call.deadline) if call.deadline < NEVER else None,
            data=msgspec.Raw(encode(data)),
        )
        return self._acceptor.prepare(self._acceptor.read(envelope), now)


def told_as(call: Call) -> str:
    """The id of the message that tells a process of this end of its call.

    What is with a person may be sent again and come to a person once more; every other end is the only one.
    """
    number = f"-{call.changed_at}" if call.status == "exception" else ""
    return f"{call.intent_id}-{call.status}{number}"
