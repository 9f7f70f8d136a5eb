"""From a step of a process to the call that carries it out."""

from __future__ import annotations

import msgspec

from actors.processes_record import Record, digest_of, step_intent
from broker.effects import RequestCall
from contracts.messages import AdjustmentRequest, ProcessStart, SystemRequest
from contracts.processes import ON_STUCK
from policies.process import TABLES, Action, Start, Step, StepState

_CASE_SYSTEMS = frozenset({"support"})
"""Systems in which order matters by case; in all others it does by account."""
replace = msgspec.structs.replace


def call_of(record: Record, action: Action) -> tuple[Record, RequestCall]:
    """The call, and the record that remembers its intent.

    Raises ValueError: what would be done is not what was approved any more; nothing was asked for.
    """
    if digest_of(record.request) != record.digest:
        raise ValueError(f"{record.request.process_id}: what is to be done has changed since it was approved")
    undoing = not isinstance(action, Start)
    name = action.step.name if isinstance(action, Start) else action.undo.step
    intent = step_intent(record, name, undoing)
    if isinstance(action, Start):
        call = _do(record, action.step, intent)
    else:
        body = replace(_body(record, intent, action.undo.operation), reverses=action.document)
        call = _request(record.request, action.undo.system, action.undo.operation, body)
    policy = record.request.policy_version or ""
    moves = not isinstance(action, Start) or action.step.moves
    on_stuck = ON_STUCK[record.request.kind] if moves else "pass"  # nothing builds on what is only read or told
    call = replace(call, cause=cause_of(record), policy=policy, on_stuck=on_stuck)
    return _remember(record, name, undoing, intent), call


def cause_of(record: Record) -> str:
    """Who led to the calls of a process: who asked, and who approved."""
    request = record.request
    hands = " and ".join(vote.who for vote in record.votes if vote.verdict == "approve")
    return f"{request.kind} {request.process_id} asked by {request.requested_by}" + (
        f", approved by {hands}" if hands else ""
    )


def _do(record: Record, step: Step, intent: str) -> RequestCall:
    if step.system == "erp":
        return _post(record.request, step.operation, intent)
    body = _body(record, intent, step.operation)
    if step.reads:
        body = replace(body, amount=None, reason_code=None)
    elif step.tells:
        process = record.process
        body = replace(body, outcome=process.outcome, note=process.reason or _documents(record))
    elif step.name == "case":
        body = replace(body, note=f"{record.request.amount} is credited as {record.process.steps['billing'].document}")
    return _request(record.request, step.system, step.operation, body)


def _post(request: ProcessStart, operation: str, intent: str) -> RequestCall:
    """The validated adjustment request: the same body as an adjustment that was asked for directly."""
    body = AdjustmentRequest(
        intent_id=intent,
        account_id=request.account_id,
        amount=request.amount,
        reason_code=request.reason_code,
        source_document=request.process_id,
        kind="credit",
    )
    return RequestCall("erp", operation, intent, request.account_id, body, request.amount)


def _body(record: Record, intent: str, operation: str) -> SystemRequest:
    request = record.request
    return SystemRequest(
        intent_id=intent,
        account_id=request.account_id,
        source_document=request.process_id,
        kind=operation,
        amount=request.amount,
        reason_code=request.reason_code,
    )


def _request(request: ProcessStart, system: str, operation: str, body: SystemRequest) -> RequestCall:
    key = request.process_id if system in _CASE_SYSTEMS else request.account_id
    return RequestCall(system, operation, body.intent_id, key, body, body.amount)


def _documents(record: Record) -> str:
    reads = {step.name for step in TABLES[record.request.kind].steps if step.reads}
    steps = record.process.steps.items()
    made = [f"{name} {state.document}" for name, state in steps if state.document and name not in reads]
    return "; ".join(made)


def _remember(record: Record, name: str, undoing: bool, intent: str) -> Record:
    process = record.process
    known: dict[str, StepState] = process.undone if undoing else process.steps
    noted = {**known, name: replace(known[name], intent_id=intent)}
    changed = replace(process, undone=noted) if undoing else replace(process, steps=noted)
    return replace(record, process=changed)
