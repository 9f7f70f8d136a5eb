"""The life of a message. Read `live` first; each step below it is a small function.

A decider works through a batch of deliveries, and everything that follows from them is one transaction: inbox
marks, states, milestones, calls, messages to send and (where the engine can) the settlement itself. Only then are
the deliveries acknowledged. A crash at any point before the commit leaves nothing; after it, the inbox mark makes
the redelivery a duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from broker.accept import Acceptor, dedupe_key
from broker.effects import (
    Done,
    Duplicate,
    Effect,
    Emit,
    Milestone,
    OpenException,
    Outcome,
    Reject,
    RequestCall,
    SaveState,
    StartTimer,
    Track,
)
from broker.order import in_order
from broker.port import Broker, BrokerError, Delivery, Outgoing, Subscription
from broker.provenance import Why, decision, why
from broker.store.fold import Conflict
from broker.store.rows import CallRow, ExceptionRow, Handled, MilestoneRow, StateRow, TimerRow
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Unit
from broker.topology import OUT
from contracts.codec import decode, encode
from contracts.contract import Contract
from contracts.envelope import Envelope, decode_envelope, encode_envelope
from contracts.errors import ContractError
from contracts.fingerprint import fingerprint
from contracts.registry import Registry
from policies.order import NEVER
from policies.partitions import partition_in

_json = msgspec.json.Encoder(order="deterministic")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Received(msgspec.Struct, frozen=True):
    """A delivery, read. `problem` is set instead of the rest when it could not be."""

    delivery: Delivery
    envelope: Envelope | None = None
    contract: Contract | None = None
    data: Any = None
    problem: ContractError | None = None
    why: Why = Why()

    @property
    def key(self) -> str:
        """The business key, or the message id when there is none."""
        if self.contract is None:
            return self.delivery.message_id
        return str(self.contract.business_key(self.data))


class Decider(Protocol):
    """Turns a message and the state of its key into an outcome. Pure: no I/O, no clock, no randomness."""

    @property
    def domain(self) -> str:
        """Whose queues it consumes."""
        ...

    @property
    def handles(self) -> frozenset[str]:
        """Message types that go to it."""
        ...

    @property
    def state(self) -> type[msgspec.Struct] | None:
        """What is kept for a key; None for a decider that remembers nothing."""
        ...

    def state_key(self, envelope: Envelope, data: Any) -> str:
        """Which state the message is about."""
        ...

    def decide(self, envelope: Envelope, data: Any, state: Any | None, at: datetime) -> Outcome:
        """Decide. `at` is when the batch was taken up. An exception is our bug: the message is set aside whole."""
        ...


class Report(msgspec.Struct, frozen=True):
    """What became of a batch, in counts."""

    handled: int = 0
    duplicates: int = 0
    set_aside: int = 0


class Life:
    """Everything a batch needs on its way through one decider."""

    def __init__(self, store: Store, broker: Broker, acceptor: Acceptor, registry: Registry, decider: Decider) -> None:
        self._store = store
        self._broker = broker
        self._acceptor = acceptor
        self._registry = registry
        self._decider = decider

    async def live(self, deliveries: Sequence[Delivery], subscription: Subscription, at: int) -> Report:
        """Carry a batch from delivery to settlement. `at` is in microseconds since the epoch.

        Cancelled before the commit, nothing has happened; during it, the batch comes back as duplicates. A message
        that makes its batch fail for a reason of its own is found by going one by one, and set aside whole.

        Raises:
            StoreUnavailable, TimeoutError: the store failed; nothing is acknowledged, give the batch back.
            Conflict: somebody else has handled some of it; give the batch back, the next look finds the marks.
            BrokerError: the acknowledgement failed; the batch comes again as duplicates.
        """
        try:
            return await self._carry(deliveries, subscription, at)
        except (StoreUnavailable, Conflict, BrokerError, TimeoutError):
            raise
        except Exception as error:
            if len(deliveries) == 1:
                return await self._quarantine(deliveries[0], error, subscription, at)
        reports = [await self.live([delivery], subscription, at) for delivery in deliveries]
        return Report(
            sum(report.handled for report in reports),
            sum(report.duplicates for report in reports),
            sum(report.set_aside for report in reports),
        )

    async def _carry(self, deliveries: Sequence[Delivery], subscription: Subscription, at: int) -> Report:
        fresh = await self._recognise([self._receive(delivery) for delivery in deliveries])
        known = len(deliveries) - len(fresh)
        waiting: list[Delivery] = []
        if not self._broker.features.server_side_order:
            fresh, waiting = await self._arrange(fresh)
        states = await self._load(fresh)
        unit = Unit(at)
        set_aside = 0
        for message in fresh:
            outcome = self._decide(message, states, at)
            set_aside += isinstance(outcome, Reject)
            self._settle(unit, message, outcome, states)
        settled = [delivery for delivery in deliveries if delivery not in waiting] if waiting else deliveries
        subscription.enlist([*settled, *(m.delivery for m in fresh if m.delivery.generation < 0)], unit)
        await self._store.commit(unit)
        await subscription.acknowledge(settled)
        if waiting:
            await subscription.give_back(waiting)
        return Report(len(fresh) - set_aside, known, set_aside)

    async def _arrange(self, fresh: Sequence[Received]) -> tuple[list[Received], list[Delivery]]:
        """Put messages into the order of their keys; what should have come first is taken from the store."""
        readable = [
            (m.delivery, m.envelope.partitionkey or "", self._acceptor.home(m.envelope, m.delivery.queue))
            for m in fresh
            if m.envelope is not None
        ]
        ordered, waiting = await in_order(self._store.reads, readable)
        known = {m.delivery.message_id: m for m in fresh}
        arranged = [known.get(delivery.message_id) or self._receive(delivery) for delivery in ordered]
        return [*arranged, *(m for m in fresh if m.envelope is None)], waiting

    async def _quarantine(self, delivery: Delivery, error: Exception, subscription: Subscription, at: int) -> Report:
        """Keep a message that cannot be carried through, whole, for whoever mends us."""
        message = self._receive(delivery)
        cause = f"{self._decider.domain} could not carry it through: {type(error).__name__}: {error}"
        unit = Unit(at)
        self._settle(unit, message, Reject("bug", "it", cause), {})
        subscription.enlist([delivery], unit)
        await self._store.commit(unit)
        await subscription.acknowledge([delivery])
        return Report(set_aside=1)

    def _receive(self, delivery: Delivery) -> Received:
        try:
            envelope = decode_envelope(delivery.body)
            data = self._registry.decode_data(envelope)
            return Received(delivery, envelope, self._registry.newest(envelope.type), data)
        except ContractError as problem:
            return Received(delivery, problem=problem)

    async def _recognise(self, received: Sequence[Received]) -> list[Received]:
        """Leave out what the inbox knows as handled, and repetitions within the batch."""
        seen = await self._store.reads.handled([message.delivery.message_id for message in received])
        fresh = []
        for message in received:
            if message.delivery.message_id not in seen:
                seen.add(message.delivery.message_id)
                fresh.append(message)
        return fresh

    async def _load(self, fresh: Sequence[Received]) -> dict[str, tuple[int, Any]]:
        kind = self._decider.state
        keys = {self._state_key(m) for m in fresh if m.envelope is not None}
        if not keys or kind is None:
            return {}
        found = await self._store.reads.states(self._decider.domain, keys)
        return {key: (version, decode(body, kind)) for key, (version, body) in found.items()}

    def _state_key(self, message: Received) -> str:
        assert message.envelope is not None
        return f"{message.envelope.tenant}/{self._decider.state_key(message.envelope, message.data)}"

    def _decide(self, message: Received, states: Mapping[str, tuple[int, Any]], at: int) -> Outcome:
        if message.problem is not None or message.envelope is None:
            return Reject("data_quality", "it", f"{message.problem}")
        try:
            _, state = states.get(self._state_key(message), (0, None))
            return self._decider.decide(message.envelope, message.data, state, _EPOCH + timedelta(microseconds=at))
        except Exception as error:  # a decider is pure: the same message would fail again, so it is set aside at once
            return Reject("bug", "it", f"{self._decider.domain} failed on it: {type(error).__name__}: {error}")

    # settling ------------------------------------------------------------------------------------------------

    def _settle(self, unit: Unit, message: Received, outcome: Outcome, states: dict[str, tuple[int, Any]]) -> None:
        match outcome:
            case Done(effects):
                unit.handled.append(Handled(message.delivery.message_id, unit.at, "done"))
                if message.envelope is not None:
                    message = msgspec.structs.replace(message, why=why(message.envelope, message.data, effects))
                for number, effect in enumerate(effects):
                    self._apply(unit, message, effect, number, states)
            case Reject(failure, owner, cause):
                unit.handled.append(Handled(message.delivery.message_id, unit.at, "exception"))
                self._set_aside(unit, message, OpenException(failure, owner, cause))
            case Duplicate():
                unit.handled.append(Handled(message.delivery.message_id, unit.at, "duplicate"))

    def _apply(
        self, unit: Unit, message: Received, effect: Effect, number: int, states: dict[str, tuple[int, Any]]
    ) -> None:
        match effect:
            case Emit():
                self._emit(unit, message, effect, number)
            case SaveState(state):
                self._save(unit, message, state, states)
            case Milestone(process, name, facts):
                unit.milestones.append(
                    MilestoneRow(
                        process,
                        message.key,
                        name,
                        unit.at,
                        self._decider.domain,
                        _id(message),
                        _json.encode(facts).decode(),
                    )
                )
                self._audit(unit, message, effect)
            case StartTimer():
                self._start_timer(unit, message, effect)
            case OpenException():
                self._set_aside(unit, message, effect)
            case RequestCall():
                self._request(unit, message, effect)
            case Track(row):
                unit.processes.append(row)

    def _audit(self, unit: Unit, message: Received, milestone: Milestone) -> None:
        assert message.envelope is not None
        entry = decision(milestone, message.why, message.envelope, message.key, self._decider.domain, unit.at)
        if entry is not None:
            unit.audits.append(entry)

    def _save(self, unit: Unit, message: Received, state: Any, states: dict[str, tuple[int, Any]]) -> None:
        key = self._state_key(message)
        version = states.get(key, (0, None))[0] + 1
        states[key] = (version, state)
        unit.states.append(StateRow(self._decider.domain, key, version, encode(state), unit.at))

    def _envelope(self, message: Received, type: str, data: Any, lane: str | None, suffix: str, at: int) -> Envelope:
        cause = message.envelope
        assert cause is not None
        return Envelope(
            id=f"{message.delivery.message_id}-{suffix}",
            source=f"urn:tidegate:{self._decider.domain}",
            type=type,
            time=_EPOCH + timedelta(microseconds=at),
            dataschema=self._registry.newest(type).dataschema,
            tenant=cause.tenant,
            region=cause.region,
            lane=lane or cause.lane,  # type: ignore[arg-type]
            workload=cause.workload or cause.type,
            deadline=cause.deadline,
            partitionkey=cause.partitionkey,
            correlationid=cause.correlationid or cause.id,
            causationid=cause.id,
            traceparent=cause.traceparent,
            tracestate=cause.tracestate,
            data=msgspec.Raw(encode(data)),
        )

    def _emit(self, unit: Unit, message: Received, effect: Emit, number: int) -> None:
        envelope = self._envelope(message, effect.type, effect.data, effect.lane, str(number), unit.at)
        if self._registry.newest(effect.type).kind == "command":
            envelope = msgspec.structs.replace(envelope, extensions=message.why.attributes())
            unit.accepts.append(self._acceptor.prepare(self._acceptor.read(envelope), unit.at))
            return
        dedupe = dedupe_key(envelope.tenant, envelope.source, envelope.id)
        unit.items += self._broker.outbox([Outgoing(dedupe, encode_envelope(envelope), effect.type, exchange=OUT)])

    def _start_timer(self, unit: Unit, message: Received, effect: StartTimer) -> None:
        due = (effect.due - _EPOCH) // timedelta(microseconds=1)
        envelope = self._envelope(message, effect.type, effect.data, None, effect.name, unit.at)
        name = timer_id(self._decider.domain, envelope.tenant, message.key, effect.name)
        unit.timers.append(TimerRow(name, due, message.delivery.queue, encode_envelope(envelope)))

    def _set_aside(self, unit: Unit, message: Received, effect: OpenException) -> None:
        unit.exceptions.append(
            ExceptionRow(
                key=message.key,
                failure=effect.failure,
                owner=effect.owner,
                cause=effect.cause,
                message_id=_id(message),
                intent_id=None,
                body=message.delivery.body,
                opened_at=unit.at,
                tenant=message.envelope.tenant if message.envelope is not None else "",
            )
        )

    def _request(self, unit: Unit, message: Received, effect: RequestCall) -> None:
        envelope = message.envelope
        assert envelope is not None
        body = encode(effect.body)
        lane = envelope.lane or "standard"
        not_before = (effect.not_before - _EPOCH) // timedelta(microseconds=1) if effect.not_before else 0
        unit.calls.append(
            CallRow(
                intent_id=effect.intent_id,
                fingerprint=fingerprint(body, effect.operation),
                system=effect.system,
                operation=effect.operation,
                tenant=envelope.tenant,
                lane=lane,
                key=message.key,
                order_ref=f"{effect.system}|{envelope.tenant}|{lane}|{effect.order_key}",
                message_id=envelope.id,
                correlation_id=envelope.correlationid or envelope.id,
                minor=effect.money.minor if effect.money else None,
                currency=effect.money.currency if effect.money else None,
                body=body,
                requested_at=unit.at,
                not_before=not_before,
                workload=envelope.workload or envelope.type,
                deadline=(envelope.deadline - _EPOCH) // timedelta(microseconds=1) if envelope.deadline else NEVER,
                partition=partition_in(message.delivery.queue),
                cause=effect.cause or message.why.cause,
                policy=effect.policy or message.why.policy,
                actor=self._decider.domain,
                on_stuck=effect.on_stuck or (message.contract.stuck_rule(message.data) if message.contract else "pass"),
            )
        )


def timer_id(domain: str, tenant: str, key: str, name: str) -> str:
    """The identity of a timer. No two share one: a slash is in no domain, in no id (tenant and key) and in no name."""
    return f"{domain}/{tenant}/{key}/{name}"


def _id(message: Received) -> str:
    return message.envelope.id if message.envelope is not None else message.delivery.message_id
