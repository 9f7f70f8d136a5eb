"""What is written when a call ends: one unit with the outcome, the spent budget, milestones and the result event."""

from __future__ import annotations

import msgspec

from actors.caller.steps import Step
from actors.processes_results import ProcessTeller
from actors.runtime.clock import moment
from broker.accept import dedupe_key
from broker.port import Broker, Outgoing
from broker.store.rows import Call, CallChange, ExceptionRow, MilestoneRow, SpendEnd
from broker.store.unit import Unit
from broker.topology import OUT
from contracts.codec import decode, encode
from contracts.envelope import Envelope, encode_envelope
from contracts.messages import AdjustmentPosted, AdjustmentRefused, AdjustmentRequest
from contracts.registry import Registry

ENDED = ("done", "refused", "exception")
_ERP = "erp"
_json = msgspec.json.Encoder(order="deterministic")


class Results:
    """Builds the unit for a step of a call."""

    def __init__(self, broker: Broker, registry: Registry, domain: str, teller: ProcessTeller | None = None) -> None:
        self._broker = broker
        self._registry = registry
        self._domain = domain
        self._teller = teller

    def unit(self, was: str, step: Step, spend: SpendEnd | None, now: int) -> Unit:
        """Everything that becomes true with this step."""
        call = step.call
        unit = Unit(now)
        if call.status != was or call.status == "waiting":
            unit.call_changes.append(CallChange(call, was, self._domain))
        if spend is not None:
            unit.spend_ends.append(spend)
        process = self._teller if self._teller is not None and self._teller.waits_for(call) else None
        if process is not None and call.status in ENDED and call.status != was:
            unit.accepts.append(process.tell(call, now))
        if call.status in ("done", "refused") and call.system == _ERP:
            unit.items += self._broker.outbox([self._event(call, now)])
        told = process is None or call.system == _ERP or call.status == "unknown"
        if told and call.status in (*ENDED, "unknown") and call.status != was:
            unit.milestones.append(self._milestone(call, now))
        handled = process is not None and call.status == "refused"  # the process turns back or hands it over itself
        if step.owner is not None and step.failure is not None and not handled:
            unit.exceptions.append(
                ExceptionRow(
                    key=call.key,
                    failure=str(step.failure),
                    owner=step.owner,
                    cause=call.reason or "",
                    message_id=call.message_id,
                    intent_id=call.intent_id,
                    body=call.body,
                    opened_at=now,
                    tenant=call.tenant,
                )
            )
        return unit

    def _milestone(self, call: Call, now: int) -> MilestoneRow:
        name = f"{call.system}.{'posted' if call.status == 'done' else call.status}"
        facts = {"intent_id": call.intent_id, "document": call.document, "reason": call.reason}
        text = _json.encode({k: v for k, v in facts.items() if v}).decode()
        return MilestoneRow(
            "adjustment" if call.system == _ERP else call.system,
            call.key,
            name,
            now,
            self._domain,
            call.message_id,
            text,
        )

    def _event(self, call: Call, now: int) -> Outgoing:
        request = decode(call.body, AdjustmentRequest)
        data: AdjustmentPosted | AdjustmentRefused
        if call.status == "done":
            data = AdjustmentPosted(
                intent_id=call.intent_id,
                account_id=request.account_id,
                amount=request.amount,
                source_document=request.source_document,
                document_id=call.document or "",
                posted_at=moment(now),
            )
        else:
            code, _, reason = (call.reason or "").partition(": ")
            data = AdjustmentRefused(
                intent_id=call.intent_id,
                account_id=request.account_id,
                amount=request.amount,
                source_document=request.source_document,
                code=code[:64] or "refused",
                reason=reason,
            )
        type = "erp.adjustment.posted" if call.status == "done" else "erp.adjustment.refused"
        envelope = Envelope(
            id=f"{call.intent_id}-{call.status}",
            source=f"urn:tidegate:{self._domain}",
            type=type,
            time=moment(now),
            dataschema=self._registry.newest(type).dataschema,
            tenant=call.tenant,
            correlationid=call.correlation_id,
            causationid=call.message_id,
            data=msgspec.Raw(encode(data)),
        )
        dedupe = dedupe_key(envelope.tenant, envelope.source, envelope.id)
        return Outgoing(dedupe, encode_envelope(envelope), type, exchange=OUT)
