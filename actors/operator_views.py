"""What operators look at before they act: what stands in line, everything under a key, what a drain left, the audit."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.house import House
from actors.operations import Operations
from actors.status import iso
from broker.store.operators import Filter, OperatorReads
from broker.store.rows import Call
from policies.scope import Scope

PAGE_MAX = 500
LEFT_MAX = 500
"""Ids of each kind that are named of what is left."""


class CallLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call as it stands in line. `stopped_by`: the order that forbids to start it now."""

    seq: int
    intent_id: str
    key: str
    tenant: str
    lane: str
    operation: str
    status: str
    requested_at: str | None
    attempts: int = 0
    amount: str | None = None
    not_before: str | None = None
    behind_its_key: bool = False
    document: str | None = None
    reason: str | None = None
    stopped_by: str | None = None


class CallPage(msgspec.Struct, frozen=True):
    """Calls in the order of their requests; ask again with `after=next`."""

    items: list[CallLine]
    next: int


class MessageLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message that has to do with a key."""

    id: str
    type: str
    key: str
    tenant: str
    lane: str
    state: str
    accepted_at: str | None


class ExceptionLine(msgspec.Struct, frozen=True):
    """Work for a person that has to do with a key."""

    key: str
    failure: str
    owner: str
    cause: str
    opened_at: str | None


class Found(msgspec.Struct, frozen=True):
    """Everything under a business key, an id, an intent or a document."""

    key: str
    messages: list[MessageLine]
    calls: list[CallLine]
    exceptions: list[ExceptionLine]


class Left(msgspec.Struct, frozen=True):
    """What is not finished: counts, and ids of the first of each kind."""

    counts: dict[str, int]
    ids: dict[str, list[str]]
    eta: str | None


class AuditLine(msgspec.Struct, frozen=True):
    """An entry of the audit; `hash` covers it and the entry before it."""

    seq: int
    at: str | None
    actor: str
    verb: str
    subject: str
    facts: dict[str, Any]
    hash: str
    cause: str = ""
    policy: str = ""
    inputs: str = ""


class AuditPage(msgspec.Struct, frozen=True):
    """Entries, newest first; ask again with `before=next`."""

    items: list[AuditLine]
    next: int | None


class Views:
    """Answers operators. Reads only; each may be cancelled at any time."""

    def __init__(self, house: House, operations: Operations) -> None:
        self._house = house
        self._operations = operations
        self._reads = OperatorReads(house.store.reads)

    async def calls(self, scope: Scope | None, status: str | None, after: int, limit: int) -> CallPage:
        """Calls under a scope, those that stand first coming first.

        Raises:
            TimeoutError: the store took too long.
        """
        wanted = Filter(
            tenant=scope.tenant if scope else None,
            lane=scope.lane if scope else None,
            operation=scope.operation if scope else None,
            status=status,
        )
        covers = self._house.controls.subject_of
        if scope is None or scope.partition is None:
            found = await self._reads.calls(wanted, limit, after)
        else:
            found = await self._reads.matching(wanted, lambda c: c.seq > after and scope.covers(covers(c)), limit)
        return CallPage([self._line(call) for call in found], found[-1].seq if found else after)

    async def search(self, text: str, limit: int) -> Found:
        """Everything under a key.

        Raises:
            TimeoutError: the store took too long.
        """
        calls = await self._reads.calls(Filter(keys=(text,)), limit)
        messages = await self._reads.messages(text, limit)
        keys = tuple({text, *(call.key for call in calls), *(message.key for message in messages)})
        exceptions = await self._reads.exceptions(keys, None, None, limit)
        return Found(
            text,
            [
                MessageLine(m.id, m.type, m.key, m.tenant, m.lane, m.outcome or "queued", iso(m.accepted_at))
                for m in messages
            ],
            [self._line(call) for call in calls],
            [ExceptionLine(e.key, e.failure, e.owner, e.cause, iso(e.opened_at)) for e in exceptions],
        )

    def _line(self, call: Call) -> CallLine:
        order = self._house.controls.blocks(call) if call.open else None
        return CallLine(
            seq=call.seq,
            intent_id=call.intent_id,
            key=call.key,
            tenant=call.tenant,
            lane=call.lane,
            operation=call.operation,
            status=call.status,
            requested_at=iso(call.requested_at),
            attempts=call.attempts,
            amount=str(call.money) if call.money else None,
            not_before=iso(call.not_before) if call.not_before else None,
            behind_its_key=call.status == "waiting" and not call.ready,
            document=call.document,
            reason=call.reason,
            stopped_by=f"{order.verb} of {order.target} by {order.who}" if order else None,
        )

    async def left(self) -> Left:
        """What is not finished, by id; and when it would be.

        Raises:
            TimeoutError: the store took too long.
        """
        house = self._house
        counters = house.store.counters.calls
        statuses = {"calls waiting": "waiting", "calls in flight": "in_flight", "calls of unknown outcome": "unknown"}
        counts = {
            name: sum(count for (_, _, status), count in counters.items() if status == wanted)
            for name, wanted in statuses.items()
        }
        ids = {
            name: [call.intent_id for call in await self._reads.calls(Filter(status=wanted), LEFT_MAX)]
            for name, wanted in statuses.items()
            if counts[name]
        }
        counts["messages queued"] = sum(row.ready + row.unsettled for row in await house.queues())
        if counts["messages queued"]:
            ids["messages queued"] = [id for id, _, _ in await self._reads.unhandled(LEFT_MAX)]
        return Left({name: count for name, count in counts.items() if count}, ids, self._operations.eta_of_all())

    async def audit(self, subject: str | None, who: str | None, before: int | None, limit: int) -> AuditPage:
        """Entries of the audit, newest first.

        Raises:
            TimeoutError: the store took too long.
        """
        found = await self._reads.audit(subject, who, before, limit)
        lines = [
            AuditLine(
                *(r.seq, iso(r.at), r.actor, r.verb, r.subject),
                *(msgspec.json.decode(r.facts), r.hash, r.cause, r.policy, r.inputs),
            )
            for r in found
        ]
        return AuditPage(lines, found[-1].seq if len(found) == limit else None)
