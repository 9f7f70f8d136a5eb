"""What is kept of a process: what was asked, who must approve, who did, and where each step stands."""

from __future__ import annotations

from datetime import datetime

import msgspec

from actors.runtime.clock import microseconds
from broker.store.rows import ProcessRow
from contracts.codec import encode
from contracts.fingerprint import fingerprint
from contracts.ids import intent_id
from contracts.messages import ProcessStart
from contracts.money import Money
from policies.approval import ApprovalPolicy, Ask, Need, Vote, need, stricter
from policies.process import TABLES, Process, approve

DOMAIN = "workflow"
_PREFIXES = {"account": "RD", "invoices": "RD", "billing": "CN", "contract": "CT", "case": "SU", "erp": "CR"}
_TELL, _UNDO = "TL", "UN"
PREFIXES = frozenset({*_PREFIXES.values(), _TELL, _UNDO})
"""How the intent ids of processes begin."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint of a process. Times in microseconds since the epoch."""

    tenant: str
    lane: str
    workload: str
    request: ProcessStart
    digest: str
    need: Need
    process: Process
    opened_at: int
    votes: tuple[Vote, ...] = ()
    escalations: int = 0
    escalates_at: int | None = None
    expires_at: int | None = None
    attempts: dict[str, int] = {}
    """How often a step ("undo NAME": its undoing) was done again: it was refused, or what it had read was old."""
    looked_at: dict[str, int] = {}
    """When what a step reads was last asked for."""
    replayers: tuple[str, ...] = ()
    old_votes: tuple[Vote, ...] = ()
    """Of what was sent again as a whole, before it was."""
    asked_at: int | None = None
    """When people were asked; anew, if it was sent again as a whole. None where nobody was, or before this was kept."""

    @property
    def since(self) -> int:
        """Since when it waits for people, if it does."""
        return self.opened_at if self.asked_at is None else self.asked_at

    def ask(self) -> Ask:
        """What is to be approved, as the policy sees it. The digest is taken anew: it is of what is here now."""
        request = self.request
        return Ask(
            digest=digest_of(request),
            amount=request.amount,
            exposure=request.exposure,
            requester=request.requested_by,
            judged=request.judged,
            asked_by_person=request.policy_version is None,
            replayers=frozenset(self.replayers),
        )

    def exposed(self, exposure: Money | None, policy: ApprovalPolicy) -> Record:
        """As it is when its incident has come to so much: never less than before, and never easier to approve."""
        known = self.request.exposure
        if exposure is None or exposure.currency != known.currency or exposure.minor <= known.minor:
            return self
        replace = msgspec.structs.replace
        later = replace(self, request=replace(self.request, exposure=exposure))
        return replace(later, need=stricter(need(later.ask(), policy), self.need))

    def approved(self, at: datetime, fresh_seconds: int) -> Record:
        """As it goes on. What was read longer ago than that is read again first, whatever it said."""
        process, attempts = self.process, self.attempts
        since = microseconds(at) - fresh_seconds * 1_000_000
        old = [
            step.name
            for step in TABLES[process.kind].steps
            if step.reads
            and process.steps[step.name].status == "done"
            and self.looked_at.get(step.name, self.opened_at) < since
        ]
        return msgspec.structs.replace(
            self,
            process=approve(process, old),
            attempts={**attempts, **{name: attempts.get(name, 0) + 1 for name in old}},
        )

    def row(self, at: datetime) -> ProcessRow:
        """How it is found."""
        request, process = self.request, self.process
        return ProcessRow(
            id=f"{self.tenant}/{request.process_id}",
            tenant=self.tenant,
            key=request.process_id,
            kind=request.kind,
            account=request.account_id,
            incident=request.incident_id,
            phase=process.phase,
            outcome=process.outcome,
            minor=request.amount.minor,
            currency=request.amount.currency,
            opened_at=self.opened_at,
            changed_at=microseconds(at),
            due_at=self.expires_at if process.phase == "approval" else None,
            tier=request.tier,
            people=self.need.people,
            role=self.need.role,
            requester=request.requested_by,
            digest=self.digest,
        )


def digest_of(request: ProcessStart) -> str:
    """What an approval is bound to: everything that was asked. Exposure and tier are facts about it, not asked for."""
    asked = {name: getattr(request, name) for name in request.__struct_fields__ if name not in ("exposure", "tier")}
    return fingerprint(encode(asked), "approval")


def step_intent(record: Record, step: str, undoing: bool) -> str:
    """The identity of a step for life. The ERP's is the one that the decision named, if it named one.

    A step that is done again has another: what it was done under is closed.
    """
    request = record.request
    again = record.attempts.get(f"undo {step}" if undoing else step, 0)
    number = f" again {again}" if again else ""
    if undoing:
        return intent_id(record.tenant, f"{request.kind}/undo {step}{number}", request.process_id, _UNDO)
    if step == "erp" and request.intent_id is not None and not again:
        return request.intent_id
    prefix = _PREFIXES.get(step, _TELL)
    return intent_id(record.tenant, f"{request.kind}/{step}{number}", request.process_id, prefix)
