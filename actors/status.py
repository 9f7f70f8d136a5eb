"""What there is to know: about a message, a business key, and the whole house. Reads only."""

from __future__ import annotations

from typing import Any

import msgspec

from actors import gate_view
from actors.explain import Explainer, Explanation
from actors.house import House
from actors.operator_settings import FLOOR, MINIMUM, WEIGHT
from actors.reconciler_view import overview as ledger_overview
from actors.runtime.clock import moment
from broker.store.backlog import Backlog
from broker.store.reads import MessageRecord, Milestone
from broker.store.rows import Call, ProcessRow
from policies.lanes import LANES

CHANGES_MAX = 20
"""Changes of the gate that the overview shows."""
_KEYS = 5
_KEYS_NS = 5_000_000_000
"""Hot keys that are shown, and how old they may be."""


def iso(microseconds: int | None) -> str | None:
    """A stored moment as RFC 3339 text."""
    if microseconds is None:
        return None
    return moment(microseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class CallView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call as people see it."""

    intent_id: str
    system: str
    lane: str
    status: str
    attempts: int
    requested_at: str | None
    changed_at: str | None
    amount: str | None = None
    document: str | None = None
    reason: str | None = None


class MessageView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message and what became of it."""

    id: str
    type: str
    key: str
    lane: str
    state: str
    accepted_at: str | None
    handled_at: str | None = None
    correlation_id: str | None = None
    explanation: Explanation | None = None


class Event(msgspec.Struct, frozen=True):
    """A milestone of a business key."""

    at: str | None
    process: str
    name: str
    actor: str
    facts: dict[str, str]


class ProcessView(msgspec.Struct, frozen=True):
    """The story of a business key."""

    key: str
    known: bool
    explanation: Explanation
    milestones: list[Event]
    calls: list[CallView]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one accepted message: `pending`, `posted`, `refused`, `approval` or `exception`.

    called_at: when the call to the ERP that it led to was in line.
    """

    seq: int
    id: str
    key: str
    lane: str
    outcome: str
    reason: str | None = None
    reference: str | None = None
    document: str | None = None
    amount: str | None = None
    currency: str | None = None
    accepted_at: str | None = None
    called_at: str | None = None


class OutcomePage(msgspec.Struct, frozen=True):
    """A page of outcomes; ask again with `after=next`."""

    items: list[Outcome]
    next: int


class Status:
    """Answers questions from the store and from the running actors."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._explainer = Explainer(house)
        self._keys: list[dict[str, Any]] = []
        self._keys_at = 0

    async def message(self, message_id: str) -> MessageView | None:
        """The message with this CloudEvents id, if it was accepted here."""
        found = await self._house.store.reads.messages_by_id(message_id)
        if not found:
            return None
        record = found[-1]
        explanation = await self._explainer.explain(record.key)
        return MessageView(
            id=record.id,
            type=record.type,
            key=record.key,
            lane=record.lane,
            state=record.outcome or "queued",
            accepted_at=iso(record.accepted_at),
            handled_at=iso(record.handled_at),
            correlation_id=record.correlation_id,
            explanation=explanation,
        )

    async def process(self, key: str) -> ProcessView:
        """Everything under a business key, an intent id or a document reference."""
        reads = self._house.store.reads
        calls = await reads.calls_by_key(key)
        milestones = await reads.milestones(calls[0].key if calls else key)
        explanation = await self._explainer.explain(key)
        return ProcessView(
            key,
            explanation.state != "unknown_key",
            explanation,
            [_event(m) for m in milestones],
            [_view(c) for c in calls],
        )

    async def outcomes(self, after: int, limit: int) -> OutcomePage:
        """Messages accepted after a number, with what became of them."""
        reads = self._house.store.reads
        records = await reads.messages_after(after, limit)
        keys = [record.key for record in records]
        mine = self._house.system
        calls = {call.key: call for call in await reads.calls_by_message(keys) if call.system == mine}
        decisions = await reads.decisions(keys)
        processes = {row.key: row for row in await reads.processes_of(keys)}
        items = [
            _outcome(record, calls.get(record.key), decisions.get(record.key), processes.get(record.key))
            for record in records
        ]
        return OutcomePage(items, records[-1].seq if records else after)

    async def explain(self, key: str) -> Explanation:
        """One true sentence, the owner and the ETA."""
        return await self._explainer.explain(key)

    async def overview(self) -> dict[str, Any]:
        """The whole house on one page: actors, queues, calls, budget, orders, exceptions."""
        house = self._house
        queues = [q for q in await house.queues() if q.ready or q.unsettled or q.paused]
        return {
            "at": house.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "ready": await house.is_ready(),
            "actors": house.actors(),
            "queues": [msgspec.to_builtins(queue) for queue in queues],
            "calls": self._calls(),
            "keys": await self._hot_keys(),
            "budget": self._budget(),
            "shares": self._shares(),
            "gate": self._gate(),
            "limits": gate_view.learned(house),
            "changes": gate_view.changes(house)[:CHANGES_MAX],
            "rests": gate_view.rests(house),
            "calendar": gate_view.calendar(house),
            "plans": gate_view.plans(house),
            "orders": [
                {
                    "verb": o.verb,
                    "target": o.target,
                    "value": o.value,
                    "who": o.who,
                    "reason": o.reason,
                    "since": iso(o.since),
                    "until": iso(o.until),
                }
                for o in house.controls.in_force()
            ],
            "exceptions": [
                {"failure": failure, "owner": owner, "open": count}
                for (failure, owner), count in (await house.store.reads.exceptions_open()).items()
            ],
            "processes": [
                {"kind": kind, "phase": phase, "outcome": outcome, "count": count}
                for (kind, phase, outcome), count in (await house.store.reads.process_counts()).items()
            ],
            "ledger": ledger_overview(house),
            "messages": {
                "accepted": house.store.counters.accepted,
                "duplicates": house.store.counters.duplicates,
                "handled": house.store.counters.handled,
            },
        }

    def _calls(self) -> list[dict[str, Any]]:
        counters = self._house.store.counters.calls
        statuses = ("waiting", "in_flight", "unknown", "done", "refused", "exception")
        systems = sorted({system for system, _, _ in counters} or {self._house.system})
        return [
            {"system": system, "lane": lane, **{status: counters[system, lane, status] for status in statuses}}
            for system in systems
            for lane in LANES
        ]

    async def _hot_keys(self) -> list[dict[str, Any]]:
        """The keys with the longest lines; as of a few seconds ago, because with a million calls it takes a moment."""
        now = self._house.clock.boot_ns()
        if not self._keys_at or now - self._keys_at > _KEYS_NS:
            found = await Backlog(self._house.store.reads, self._house.system).longest_keys(_KEYS)
            names = ("system", "tenant", "lane", "key")
            self._keys = [{**dict(zip(names, ref.split("|", 3), strict=False)), "open": n} for ref, n in found]
            self._keys_at = now
        return self._keys

    def _budget(self) -> list[dict[str, Any]]:
        poster = self._house.poster
        if poster is None:
            return []
        now_ns = self._house.clock.boot_ns()
        return [
            {
                "name": usage.name,
                "used": usage.used,
                "limit": usage.limit,
                "window_seconds": usage.window_ns / 1e9 if usage.window_ns else None,
            }
            for usage in poster.gate.budget.usage(now_ns)
        ]

    def _shares(self) -> dict[str, Any]:
        """Floors, weights and minima in force, and since when those are that were set live."""
        live = self._house.live
        orders = self._house.controls.in_force((WEIGHT, MINIMUM, FLOOR))
        since = [iso(order.since) for order in orders]
        return {"floors": live.floors(), "weights": live.weights(), "minima": live.minima(), "since": since}

    def _gate(self) -> dict[str, Any]:
        poster = self._house.poster
        if poster is None:
            return {"in_flight": 0, "closed": "the ERP poster is not running"}
        closed = poster.closed
        return {
            "in_flight": poster.in_flight(),
            "closed": closed.reason if closed else None,
            "until": gate_view.at(self._house.clock, closed.until_ns) if closed else None,
        }


def _event(milestone: Milestone) -> Event:
    facts = msgspec.json.decode(milestone.facts, type=dict[str, str])
    return Event(iso(milestone.at), milestone.process, milestone.name, milestone.actor, facts)


def _view(call: Call) -> CallView:
    return CallView(
        intent_id=call.intent_id,
        system=call.system,
        lane=call.lane,
        status=call.status,
        attempts=call.attempts,
        requested_at=iso(call.requested_at),
        changed_at=iso(call.changed_at),
        amount=str(call.money) if call.money else None,
        document=call.document,
        reason=call.reason,
    )


_PROCESS_OUTCOME = dict.fromkeys(("refused", "rejected", "expired", "compensated"), "refused")
_CALL_OUTCOME = {"done": "posted", "refused": "refused", "exception": "exception"}


def _outcome(
    record: MessageRecord, call: Call | None, decision: Milestone | None, process: ProcessRow | None
) -> Outcome:
    facts = msgspec.json.decode(decision.facts, type=dict[str, str]) if decision else {}
    verdict = decision.name.removeprefix("credit.") if decision else None
    if call is not None:
        outcome = _CALL_OUTCOME.get(call.status, "pending")
        reason = call.reason
    elif process is not None:
        outcome = "approval" if process.phase == "approval" else _PROCESS_OUTCOME.get(process.outcome or "", "pending")
        reason = process.outcome
    elif record.handled_at is None or verdict == "approved":
        outcome, reason = "pending", None
    else:
        outcome = {"refused": "refused", "approval_required": "approval"}.get(verdict or "", "exception")
        reason = facts.get("code")
    return Outcome(
        seq=record.seq,
        id=record.id,
        key=record.key,
        lane=record.lane,
        outcome=outcome,
        reason=reason,
        reference=call.intent_id if call else facts.get("intent_id"),
        document=call.document if call else None,
        amount=call.money.amount if call and call.money else facts.get("amount"),
        currency=call.currency if call else facts.get("currency"),
        accepted_at=iso(record.accepted_at),
        called_at=iso(call.requested_at) if call else None,
    )
