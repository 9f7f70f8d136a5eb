"""From a message of a pack to what the real deciders make of it: a call, or a verdict without one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from actors.credit_policy import AccountCredits, CreditPolicyDecider
from actors.erp_requests import ErpRequestDecider
from broker.effects import Done, Emit, OpenException, RequestCall, SaveState
from broker.store.rows import Call
from contracts.catalogue import REGISTRY
from contracts.codec import encode
from contracts.envelope import Envelope, decode_envelope
from contracts.fingerprint import fingerprint
from ops.packs import PackMessage
from ops.packs.message import BASE


class Verdict(msgspec.Struct, frozen=True):
    """What came of a message: a call, or `refused` or `approval` with a reason."""

    call: Call | None = None
    outcome: str = "pending"
    reason: str | None = None


class Intake:
    """Decodes, checks and decides, as door and deciders do; the state of accounts is kept in memory."""

    def __init__(self) -> None:
        self._credit, self._requests = CreditPolicyDecider(), ErpRequestDecider()
        self._accounts: dict[str, AccountCredits] = {}
        self._seen: set[str] = set()
        self._seq = 0

    def take(self, message: PackMessage, now_ns: int) -> Verdict | None:
        """Handle a message; None if it was accepted before.

        Raises:
            ContractError: the message does not keep its contract.
        """
        if message.event["id"] in self._seen:
            return None
        self._seen.add(message.event["id"])
        envelope = decode_envelope(msgspec.json.encode(message.event))
        data = REGISTRY.decode_data(envelope)
        envelope = msgspec.structs.replace(envelope, lane=REGISTRY.newest(envelope.type).lane_of(envelope, data))
        if envelope.type in self._requests.handles:
            return Verdict(self._call(envelope, data, now_ns))
        return self._judge(envelope, data, now_ns)

    def _judge(self, envelope: Envelope, data: Any, now_ns: int) -> Verdict:
        key = f"{envelope.tenant}/{self._credit.state_key(envelope, data)}"
        at = BASE + timedelta(microseconds=now_ns // 1_000)
        outcome = self._credit.decide(envelope, data, self._accounts.get(key), at)
        verdict = Verdict(None, "refused", "nothing was decided")
        for effect in outcome.effects if isinstance(outcome, Done) else ():
            match effect:
                case SaveState(AccountCredits() as state):
                    self._accounts[key] = state
                case Emit("erp.adjustment.request", request):
                    return Verdict(self._call(envelope, request, now_ns))
                case Emit("billing.credit.refused", judged):
                    verdict = Verdict(None, "refused", judged.reasons[0])  # type: ignore[attr-defined]
                case OpenException(_, _, cause):
                    verdict = Verdict(None, "approval", cause)
        return verdict

    def _call(self, envelope: Envelope, request: Any, now_ns: int) -> Call:
        at = BASE + timedelta(microseconds=now_ns // 1_000)
        outcome = self._requests.decide(envelope, request, None, at)
        wanted = next(effect for effect in outcome.effects if isinstance(effect, RequestCall))  # type: ignore[union-attr]
        self._seq += 1
        lane, body = envelope.lane or "standard", encode(wanted.body)
        return Call(
            seq=self._seq,
            intent_id=wanted.intent_id,
            fingerprint=fingerprint(body, wanted.operation),
            system=wanted.system,
            operation=wanted.operation,
            workload=envelope.workload or envelope.type,
            tenant=envelope.tenant,
            lane=lane,
            key=request.source_document,
            order_ref=f"{wanted.system}|{envelope.tenant}|{lane}|{wanted.order_key}",
            message_id=envelope.id,
            correlation_id=envelope.correlationid or envelope.id,
            minor=wanted.money.minor if wanted.money else None,
            currency=wanted.money.currency if wanted.money else None,
            body=body,
            status="waiting",
            open=1,
            ready=1,
            attempts=0,
            sent=0,
            not_before=0,
            requested_at=now_ns // 1_000,
            changed_at=now_ns // 1_000,
            document=None,
            reason=None,
        )
