"""The workflow decider: refunds, credits, corrections and amendments as checkpointed processes over several systems.

Thin on purpose. What comes next is decided by `policies/process.py`, who must approve by `policies/approval.py`; this
turns their answers into effects. A process waits in the store for as long as it takes; messages and timers drive it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from actors.processes_calls import call_of
from actors.processes_record import DOMAIN, Record, digest_of, step_intent
from actors.processes_replay import replayed
from actors.runtime.clock import microseconds, moment
from broker.effects import (
    Done,
    Duplicate,
    Effect,
    Emit,
    Milestone,
    OpenException,
    Outcome,
    Reject,
    SaveState,
    StartTimer,
    Track,
)
from contracts.envelope import Envelope
from contracts.messages import (
    ApprovalNeeded,
    CallEnded,
    ProcessEnded,
    ProcessGrant,
    ProcessReplay,
    ProcessStart,
    ProcessTimer,
    ProcessVote,
)
from policies.approval import (
    DEFAULT_POLICY,
    ApprovalPolicy,
    Approved,
    Counted,
    Delegation,
    Need,
    Person,
    Refused,
    Rejected,
    Vote,
    covered,
    escalated,
    judge,
    need,
)
from policies.approval import Ask as Asked
from policies.compensation import erp_cost
from policies.identity import refusal, words
from policies.process import TABLES, Phase, Start, Step, StepState, advance, begin, decline, settle, states

Message = ProcessStart | CallEnded | ProcessVote | ProcessGrant | ProcessReplay | ProcessTimer
replace = msgspec.structs.replace


class WorkflowDecider:
    """One state a process; every message moves it on as far as it can go."""

    domain = DOMAIN
    handles = frozenset(
        {"process.start", "process.call.ended", "process.vote", "process.grant", "process.replay", "process.timer"}
    )
    emits = frozenset({"process.approval.needed", "process.ended"})
    state = Record

    def __init__(
        self,
        connected: frozenset[str],
        people: Mapping[str, Person],
        delegations: Sequence[Delegation] = (),
        policy: ApprovalPolicy = DEFAULT_POLICY,
    ) -> None:
        self.calls = connected
        self._people = people
        self._delegations = delegations
        self._policy = policy

    def state_key(self, envelope: Envelope, data: Message) -> str:
        """One process for one business key."""
        return data.process_id

    def decide(self, envelope: Envelope, data: Message, state: Record | None, at: datetime) -> Outcome:
        """Begin, or go on from the checkpoint. What came before or too late changes nothing."""
        if isinstance(data, ProcessStart):
            return self._begin(envelope, data, state, at)
        if state is None:
            return Duplicate()
        if state.process.phase == "stuck":  # nobody can approve it now; when somebody can again, its clocks begin anew
            state = replace(state, escalates_at=None, expires_at=None)
        match data:
            case CallEnded():
                return self._ended(state, data, at)
            case ProcessVote():
                return self._vote(state, data, at)
            case ProcessGrant():
                return self._granted(state, data, at)
            case ProcessReplay():
                return self._replayed(state, data, at)
            case ProcessTimer():
                return self._waited(state, data, at)

    # beginning -----------------------------------------------------------------------------------------------

    def _begin(self, envelope: Envelope, request: ProcessStart, state: Record | None, at: datetime) -> Outcome:
        if state is not None:
            if state.digest == digest_of(request):
                return Duplicate()
            why = f"{request.process_id} has a {state.request.kind} already, with other content; the first one stands"
            return Reject("data_quality", "finance", why)
        table = TABLES[request.kind]
        digest = digest_of(request)
        needed = need(_asked(request, digest), self._policy)
        record = Record(
            tenant=envelope.tenant,
            lane=envelope.lane or "standard",
            workload=envelope.workload or envelope.type,
            request=request,
            digest=digest,
            need=needed,
            process=begin(table, self.calls, approved=needed.people == 0),
            opened_at=microseconds(at),
        )
        plan = table.plan()
        planned = Milestone(
            request.kind,
            "compensation.planned",
            {
                "if_refused": "; ".join(f"{undo.system}: {undo.sentence}" for undo in plan) or "nothing to undo",
                "erp_calls": str(erp_cost(plan)),
                "digest": digest,
            },
        )
        if needed.people == 0:
            return self._go_on(record, at, [planned, _approved(record, "nobody", needed.why)])
        return self._go_on(record, at, [planned])

    def _wait(self, record: Record, at: datetime) -> tuple[Record, list[Effect]]:
        """Ask people, and set the clocks."""
        policy = self._policy
        first = record.expires_at is None
        escalates = at + timedelta(seconds=policy.escalate_seconds)
        expires = at + timedelta(seconds=policy.expire_seconds) if first else moment(record.expires_at or 0)
        asked_at = microseconds(at) if first else record.asked_at
        clocks = {"escalates_at": microseconds(escalates), "expires_at": microseconds(expires)}
        record = replace(record, asked_at=asked_at, **clocks)
        request, needed = record.request, record.need
        facts = {
            "people": str(needed.people),
            "role": needed.role,
            "why": needed.why,
            "expires_at": expires.isoformat(timespec="seconds"),
            "digest": record.digest,
        }
        asked = ApprovalNeeded(
            process_id=request.process_id,
            account_id=request.account_id,
            kind=request.kind,
            amount=request.amount,
            exposure=request.exposure,
            people=needed.people,
            role=needed.role,
            why=needed.why,
        )
        name = "approval.asked" if first else "approval.escalated"
        effects: list[Effect] = [Milestone(request.kind, name, facts), Emit("process.approval.needed", asked)]
        if first:
            effects.append(_timer(record, "expire", 1, expires))
        if escalates < expires:
            effects.append(_timer(record, "escalate", record.escalations + 1, escalates))
        return record, effects

    # people --------------------------------------------------------------------------------------------------

    def _vote(self, record: Record, data: ProcessVote, at: datetime) -> Outcome:
        """Judged here once more: the door looked at an earlier state."""
        kind = record.request.kind
        if record.process.phase != "approval":
            return Done((Milestone(kind, "approval.too_late", {"who": data.who, "phase": record.process.phase}),))
        record = record.exposed(data.exposure, self._policy)
        vote = Vote(who=data.who, verdict=data.verdict, digest=data.digest, behalf=data.behalf, reason=data.reason)
        said = {"who": data.who, "for": data.behalf or data.who, "digest": data.digest, "reason": data.reason}
        said["exposure"] = str(record.request.exposure)
        judgement = judge(
            record.ask(), record.need, record.votes, vote, self._people, self._delegations, microseconds(at)
        )
        match judgement:
            case Refused(code, sentence):
                return Done((Milestone(kind, "approval.vote_refused", {**said, "code": code, "why": sentence}),))
            case Rejected():
                who = f"{data.who} ({data.reason})" if data.reason else data.who
                declined = decline(record.process, "rejected", f"rejected by {who}")
                told = Milestone(kind, "approval.rejected", said)
                return self._go_on(replace(record, process=declined, votes=(*record.votes, vote)), at, [told])
            case Counted(left):
                record = replace(record, votes=(*record.votes, vote))
                told = Milestone(kind, "approval.counted", {**said, "left": str(left)})
                return self._go_on(record, at, [told])
            case Approved():
                record = replace(record, votes=(*record.votes, vote)).approved(at, self._policy.fresh_seconds)
                hands = " and ".join(one.who for one in record.votes)
                return self._go_on(record, at, [_approved(record, hands, data.reason), *_looked_again(record)])

    def _granted(self, record: Record, data: ProcessGrant, at: datetime) -> Outcome:
        """Its incident was approved as a whole. Whoever approved that has approved this, as if by a vote."""
        kind = record.request.kind
        if record.process.phase != "approval":
            return Duplicate()
        said = {"who": " and ".join(data.approvers), "approval": data.approval, "reason": data.reason}
        judgement = covered(record.ask(), data.digest, data.approvers)
        if isinstance(judgement, Refused):
            told = {**said, "code": judgement.code, "why": judgement.sentence}
            return Done((Milestone(kind, "approval.vote_refused", told),))
        votes = tuple(
            Vote(who=who, verdict="approve", digest=data.digest, reason=f"the incident: {data.reason}")
            for who in data.approvers
        )
        record = replace(record, votes=(*record.votes, *votes)).approved(at, self._policy.fresh_seconds)
        told = {**said, "incident": record.request.incident_id or "", "amount": str(record.request.amount)}
        return self._go_on(record, at, [Milestone(kind, "approval.given", told), *_looked_again(record)])

    def _replayed(self, record: Record, data: ProcessReplay, at: datetime) -> Outcome:
        """Judged here once more, as a vote is."""
        kind = record.request.kind
        said = {"who": data.who, "reason": data.reason, "digest": data.digest}
        after = replayed(record, data, self._people, self.calls, self._policy)
        if isinstance(after, Refused):
            return Done((Milestone(kind, "replay.refused", {**said, "code": after.code, "why": after.sentence}),))
        told = Milestone(kind, "process.replayed", {**said, "phase": after.process.phase})
        return self._go_on(after, at, [told])

    def _waited(self, record: Record, data: ProcessTimer, at: datetime) -> Outcome:
        """Nobody answered in time. What was decided meanwhile stands.

        What rings too early is a clock of before; the one that was set since may have been taken off in its place, and
        is set again.
        """
        if record.process.phase != "approval":
            return Duplicate()
        if data.what == "escalate" and data.round != record.escalations + 1:
            return Duplicate()
        due = record.expires_at if data.what == "expire" else record.escalates_at
        if due is not None and microseconds(at) < due:
            return Done((_timer(record, data.what, data.round, moment(due)),))
        if data.what == "expire":
            days = self._policy.expire_seconds / 86_400
            declined = decline(record.process, "expired", f"nobody approved it within {days:g} days")
            told = Milestone(record.request.kind, "approval.expired", {"role": record.need.role})
            return self._go_on(replace(record, process=declined), at, [told])
        higher: Need = escalated(record.need)
        record, effects = self._wait(replace(record, need=higher, escalations=data.round), at)
        return self._go_on(record, at, effects)

    # systems -------------------------------------------------------------------------------------------------

    def _ended(self, record: Record, data: CallEnded, at: datetime) -> Outcome:
        found = _step_of(record, data.intent_id)
        if found is None:
            return Duplicate()
        step, undoing = found
        about = TABLES[record.request.kind].step(step)
        state = _judged(record, about, StepState(data.status, data.intent_id, data.document, data.reason))
        settled = settle(record.process, step, undoing, state)
        if settled == record.process:
            return Duplicate()
        name = f"{'undo ' if undoing else ''}{step}.{state.status}"
        facts = {"intent_id": data.intent_id, "document": state.document or "", "reason": state.reason or ""}
        effects: list[Effect] = []
        if about.system != "erp":  # what the ERP did is told by its caller
            effects.append(Milestone(record.request.kind, name, {k: v for k, v in facts.items() if v}))
        if data.status == "refused" and not about.vital:
            why = f"{about.system} refused {about.operation} for {record.request.process_id}: {data.reason}"
            effects.append(OpenException("data_quality", about.owner, why))
        sent_again = (record.process.undone if undoing else record.process.steps)[step].status == "exception"
        phase = None if sent_again else record.process.phase  # what it is stuck at came back: it is said anew
        return self._go_on(replace(record, process=settled), at, effects, phase)

    def _go_on(self, record: Record, at: datetime, effects: list[Effect], phase: Phase | None = None) -> Outcome:
        """As far as it can go now: calls for what may start, people to ask, and the checkpoint.

        `phase`: where it stood before this message, if that is not where the record stands.
        """
        table = TABLES[record.request.kind]
        phase = phase or record.process.phase
        process, actions = advance(record.process, table)
        looked = {one.step.name: microseconds(at) for one in actions if isinstance(one, Start) and one.step.reads}
        record = replace(record, process=process, looked_at={**record.looked_at, **looked})
        for action in actions:
            record, call = call_of(record, action)
            effects.append(call)
        if process.phase == "approval" and record.expires_at is None:
            record, asked = self._wait(record, at)
            effects += asked
        if process.phase != phase:
            effects += _arrived(record)
        return Done((*effects, SaveState(record), Track(record.row(at))))


def _asked(request: ProcessStart, digest: str) -> Asked:
    return Asked(
        digest=digest,
        amount=request.amount,
        exposure=request.exposure,
        requester=request.requested_by,
        judged=request.judged,
    )


def _approved(record: Record, who: str, reason: str) -> Milestone:
    facts = {"who": who, "reason": reason, "digest": record.digest, "amount": str(record.request.amount)}
    return Milestone(record.request.kind, "approval.given", facts)


def _looked_again(record: Record) -> Iterator[Effect]:
    """Said of what is read again because it was read too long before the approval."""
    process, table = record.process, TABLES[record.request.kind]
    old = [step.name for step in table.steps if step.reads and process.steps[step.name].status == "waiting"]
    if old:
        yield Milestone(record.request.kind, "process.looked_again", {"what": " and ".join(old)})


def _timer(record: Record, what: str, number: int, due: datetime) -> StartTimer:
    request = record.request
    data = ProcessTimer(
        process_id=request.process_id,
        account_id=request.account_id,
        what="expire" if what == "expire" else "escalate",
        round=number,
    )
    return StartTimer(f"{what}-{number}", due, "process.timer", data)


def _step_of(record: Record, intent: str) -> tuple[str, bool] | None:
    for undoing, known in ((False, record.process.steps), (True, record.process.undone)):
        for step in known:
            if step_intent(record, step, undoing) == intent:
                return step, undoing
    return None


def _judged(record: Record, step: Step, state: StepState) -> StepState:
    """What was read may be a reason not to go on."""
    if not step.reads or state.status != "done":
        return state
    text = state.document or ""
    why = refusal(step.operation, text, record.request.kind)
    told = words(step.operation, text)
    return replace(state, status="refused", document=None, reason=why) if why else replace(state, document=told)


def _arrived(record: Record) -> Iterator[Effect]:
    """What is said on entering a phase."""
    request, process = record.request, record.process
    table = TABLES[request.kind]
    if process.phase == "stuck":
        exact = "; ".join(f"{step} at {words}" for step, words in states(process, table).items())
        owner = next((u.owner for u in table.plan() if u.step in process.undone), "finance")
        yield Milestone(request.kind, "process.stuck", {"reason": process.reason or "", "states": exact})
        yield OpenException("process_stuck", owner, f"{process.reason}. Now: {exact}")
    if process.phase == "turning_back":
        yield Milestone(request.kind, "process.turned_back", {"reason": process.reason or ""})
    if process.phase == "ended" and process.outcome is not None:
        reads = {step.name for step in table.steps if step.reads}
        documents = {n: state.document for n, state in process.steps.items() if state.document and n not in reads}
        undone = {f"undo {name}": state.document for name, state in process.undone.items() if state.document}
        ended = ProcessEnded(
            process_id=request.process_id,
            account_id=request.account_id,
            kind=request.kind,
            amount=request.amount,
            outcome=process.outcome,
            reason=process.reason,
            documents={**documents, **undone},
            states=states(process, table),
        )
        yield Milestone(request.kind, f"process.{process.outcome}", {"reason": process.reason or ""})
        yield Emit("process.ended", ended)
