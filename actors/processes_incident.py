"""The incident-exposure decider: what an incident has come to so far goes with all that is asked because of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from broker.effects import Done, Emit, Milestone, Outcome, SaveState
from contracts.envelope import Envelope
from contracts.messages import IncidentSwitch, ProcessJudged, ProcessRequest, ProcessStart
from contracts.money import Money

DOMAIN = "incident-exposure"
Message = ProcessRequest | IncidentSwitch


class Incident(msgspec.Struct, frozen=True):
    """What was asked because of an incident: amount by currency (minor units), and how many processes.

    While it is `held`, no policy approves anything because of it; people do.
    """

    minor: dict[str, int] = {}
    processes: int = 0
    held: bool = False


def incident_key(incident_id: str) -> str:
    """Under which key it is kept what an incident has come to."""
    return f"incident/{incident_id}"


class ExposureDecider:
    """Counts before anybody approves, so that an approver sees the incident and not one case of it."""

    domain = DOMAIN
    handles = frozenset({"process.request", "process.judged", "incident.switch"})
    emits = frozenset({"process.start"})
    calls: frozenset[str] = frozenset()
    state = Incident

    def state_key(self, envelope: Envelope, data: Message) -> str:
        """Its incident; what belongs to none is counted by its account."""
        if isinstance(data, IncidentSwitch):
            return incident_key(data.incident_id)
        return incident_key(data.incident_id) if data.incident_id else f"account/{data.account_id}"

    def decide(self, envelope: Envelope, data: Message, state: Incident | None, at: datetime) -> Outcome:
        """Add the amount and let the process begin; or note that its incident is held, or goes on."""
        before = state or Incident()
        if isinstance(data, IncidentSwitch):
            return Done((SaveState(msgspec.structs.replace(before, held=data.held)),))
        currency = data.amount.currency
        minor = before.minor.get(currency, 0) + data.amount.minor
        sums = {**before.minor, currency: minor}
        after = msgspec.structs.replace(before, minor=sums, processes=before.processes + 1)
        exposure = Money(minor if data.incident_id else data.amount.minor, currency)
        facts = {"incident": data.incident_id or "none", "exposure": str(exposure), "requested_by": data.requested_by}
        return Done(
            (
                SaveState(after),
                Milestone(data.kind, "process.requested", facts),
                Emit("process.start", _start(data, exposure, before.held)),
            )
        )


def _start(data: ProcessRequest, exposure: Money, held: bool) -> ProcessStart:
    judged = data if isinstance(data, ProcessJudged) else None
    return ProcessStart(
        process_id=data.process_id,
        kind=data.kind,
        account_id=data.account_id,
        amount=data.amount,
        reason_code=data.reason_code,
        requested_by=data.requested_by,
        incident_id=data.incident_id,
        note=data.note,
        exposure=exposure,
        judged=judged is not None and judged.verdict == "approved" and not held,
        policy_version=judged.policy_version if judged else None,
        intent_id=judged.intent_id if judged else None,
        tier=judged.tier if judged else None,
    )
