"""From an answer to the next state of a call: facts in, step out, nothing else."""

from __future__ import annotations

import msgspec

from actors.adapters.port import Absent, Again, Answer, Failed, Lost, NotSent, Posted, Promises
from actors.runtime.clock import moment
from broker.store.rows import Call
from policies.recoverability import (
    Failure,
    FailureClass,
    Hold,
    LookUp,
    OpenException,
    Refuse,
    RetryAt,
    decide,
)
from policies.signals import Dimension


class Step(msgspec.Struct, frozen=True):
    """The call as it is to be stored, and what else follows. Times in microseconds since the epoch."""

    call: Call
    look_up_after_us: int | None = None
    """Ask the system about it after so long."""
    owner: str | None = None
    """Whose exception it is, if it became one."""
    failure: FailureClass | None = None
    hold_system: str | None = None
    """Why no call to this system may be made until somebody releases it."""


_US = 1_000
_FOR_EVER_NS = 1 << 62


def _name(system: str) -> str:
    return "the ERP" if system == "erp" else system


def after_post(call: Call, answer: Answer, adapter: Promises, now: int, random: float) -> Step:
    """What follows from the answer to a post. `call` is as it was in flight, this attempt counted."""
    match answer.outcome:
        case Posted(document):
            return Step(_closed(call, "done", now, document=document))
        case Failed() as failed:
            refusal = answer.reading.refusal
            of_one_object = refusal is not None and refusal.dimension is Dimension.OBJECT
            return _after_failure(call, failed, adapter, now, random, of_one_object)
        case NotSent(reason):
            return Step(_waiting(call, now, reason, attempts=call.attempts - 1, sent=call.sent - 1))
        case Lost(reason):
            return _unknown(call, reason, adapter, now, random)
        case Again(reason):
            return Step(_waiting(call, now, reason, attempts=call.attempts - 1))
        case Absent():
            return _unknown(call, "the answer to a post made no sense", adapter, now, random)


def after_look_up(call: Call, answer: Answer, adapter: Promises, now: int, random: float) -> Step:
    """What follows from a look-up of a call of unknown outcome."""
    match answer.outcome:
        case Posted(document):
            return Step(_closed(call, "done", now, document=document))
        case Absent():
            if (late_us := _may_come_for_us(call, adapter, now, now - call.changed_at)) > 0:
                return Step(call, look_up_after_us=late_us)
            known = msgspec.structs.replace(call, unanswered_at=0)
            return Step(_waiting(known, now, f"looked up: {_name(call.system)} does not have it, so it is sent again"))
        case Again():
            return Step(call, look_up_after_us=0)
        case Failed(FailureClass.AUTH as failure, code, reason):
            again = _still_unknown(call, adapter, now, random)
            return msgspec.structs.replace(again, hold_system=f"{code}: {reason}", failure=failure)
        case Failed(failure, code, reason) if failure not in (FailureClass.THROTTLED, FailureClass.TRANSIENT):
            why = f"{call.reason}; asked about it, {_name(call.system)} says {code}: {reason}"
            closed = _closed(call, "exception", now, reason=why)
            return Step(closed, owner=FailureClass.UNKNOWN_OUTCOME.owner, failure=FailureClass.UNKNOWN_OUTCOME)
        case Failed() | NotSent() | Lost():
            return _still_unknown(call, adapter, now, random)


def _may_come_for_us(call: Call, adapter: Promises, now: int, since_us: int) -> int:
    """For how long yet a document may appear for a send that got no answer `since_us` ago; 0 if none can.

    A system that recognises our intent id makes no second one. But what is sent again meanwhile it may refuse, and then
    do the first: so the time that is stated for late execution (`late_seconds`) is waited out there as well.
    """
    window = adapter.dedupe_seconds
    if not call.sent:
        return 0  # only looked for, never sent
    recognised = adapter.deduplicates and (window is None or now - call.requested_at < window * 1_000_000)
    seconds = adapter.late_seconds if recognised else max(adapter.lost_seconds, adapter.late_seconds)
    return max(0, int(seconds * 1_000_000) - since_us)


def _after_failure(
    call: Call, failed: Failed, adapter: Promises, now: int, random: float, of_one_object: bool = False
) -> Step:
    after_ns = None if failed.retry_after_seconds is None else int(failed.retry_after_seconds * 1e9)
    facts = Failure(
        failure_class=failed.failure,
        attempts=call.attempts,
        age_ns=(now - call.requested_at) * 1_000,
        retry_after_ns=after_ns,
    )
    match decide(facts, random):
        case RetryAt(delay_ns, burns):
            # a throttled call waits for the gate, which is frozen; unless only its object is busy
            wait = delay_ns // _US if burns or of_one_object else 0
            attempts = call.attempts if burns else call.attempts - 1
            return Step(_waiting(call, now, failed.reason, attempts=attempts, not_before=now + wait if wait else 0))
        case LookUp():
            return _unknown(call, failed.reason, adapter, now, random)
        case Hold(_, _, True):
            back = _waiting(call, now, failed.reason, attempts=call.attempts - 1)
            return Step(back, hold_system=f"{failed.code}: {failed.reason}", failure=failed.failure)
        case Hold(owner) | OpenException(owner) if failed.failure is not FailureClass.DATA_QUALITY:
            return Step(_closed(call, "exception", now, reason=failed.reason), owner=owner, failure=failed.failure)
        case Hold(owner) | OpenException(owner) | Refuse(owner):
            reason = f"{failed.code}: {failed.reason}"
            return Step(_closed(call, "refused", now, reason=reason), owner=owner, failure=failed.failure)


def _window_ns(adapter: Promises) -> int | None:
    """For how long the system recognises our intent id; None if it does not."""
    if not adapter.deduplicates:
        return None
    return _FOR_EVER_NS if adapter.dedupe_seconds is None else int(adapter.dedupe_seconds * 1e9)


def without_look_up(call: Call, adapter: Promises, now: int, random: float) -> Step:
    """What follows for a call of unknown outcome, when the system cannot be asked about it."""
    return _unknown(call, call.reason or "no answer came", adapter, now, random, now - call.changed_at)


def _still_unknown(call: Call, adapter: Promises, now: int, random: float) -> Step:
    """Asked, and no wiser: it stays as it is, to be looked up again later."""
    since = call.changed_at
    step = _unknown(call, call.reason or "no answer came", adapter, now, random, now - since)
    if step.call.status != "unknown":
        return step
    return msgspec.structs.replace(step, call=msgspec.structs.replace(step.call, changed_at=since))


def _unknown(call: Call, reason: str, adapter: Promises, now: int, random: float, since_us: int = 0) -> Step:
    late_us = _may_come_for_us(call, adapter, now, since_us)
    if call.sent:
        call = msgspec.structs.replace(call, unanswered_at=call.unanswered_at or now - since_us)
    failure = Failure(
        failure_class=FailureClass.UNKNOWN_OUTCOME,
        attempts=call.attempts,
        age_ns=(now - call.requested_at) * 1_000,
        can_look_up=adapter.finds,
        dedupe_window_ns=_window_ns(adapter),
        first_try_age_ns=_age_on_arrival_ns(call, adapter, now),
        unknown_ns=since_us * 1_000,
        late_ns=late_us * 1_000,
    )
    match decide(failure, random):
        case LookUp(delay_ns):
            return Step(_status(call, "unknown", now, reason), look_up_after_us=delay_ns // _US)
        case OpenException(owner, why):
            closed = _closed(call, "exception", now, reason=f"{reason}; {why}. {_facts(call, adapter)}")
            return Step(closed, owner=owner, failure=FailureClass.UNKNOWN_OUTCOME)
        case RetryAt(delay_ns):
            why = f"{reason}; until then {_name(call.system)} may still do it" if late_us else reason
            return Step(_waiting(call, now, why, not_before=now + delay_ns // _US))
        case Hold(owner) | Refuse(owner):
            closed = _closed(call, "exception", now, reason=reason)
            return Step(closed, owner=owner, failure=FailureClass.UNKNOWN_OUTCOME)


def too_late(call: Call, adapter: Promises, now: int) -> bool:
    """Whether a call may not be sent again: it may be done already, the system cannot be asked, and by the time that
    it arrives it may not be recognised any more."""
    if not call.unanswered_at or adapter.finds:
        return False
    window_ns = _window_ns(adapter)
    return window_ns is None or _age_on_arrival_ns(call, adapter, now) >= window_ns


def _age_on_arrival_ns(call: Call, adapter: Promises, now: int) -> int:
    """How long after its first try a call may reach the system, if it leaves now."""
    return (now - call.requested_at + int(adapter.timeout_seconds * 1e6)) * _US


def in_doubt(call: Call, now: int) -> Call:
    """A call that waits to be sent again and may not be (`too_late`), as one of unknown outcome."""
    reason = f"an answer was lost at {moment(call.unanswered_at):%Y-%m-%d %H:%M:%S} UTC, and then it had to wait"
    return _status(call, "unknown", now, reason)


def _facts(call: Call, adapter: Promises) -> str:
    """What a person needs to look for it themselves, and what to do then."""
    money = f"{call.money} " if call.money else ""
    account = f"for {call.object} " if call.object else ""
    asked = f"{moment(call.requested_at):%Y-%m-%d %H:%M:%S} UTC"
    or_else = ", or retry it: it is looked up first" if adapter.finds else "; then it can be asked for anew"
    return (
        f"Look in {_name(call.system)} for {money}{account}under the reference {call.intent_id} (sent {call.sent} "
        f"times, requested {asked}). It is there: tidegate settle {call.intent_id} --posted DOCUMENT. "
        f"It is not, and will not come: tidegate settle {call.intent_id} --not-posted{or_else}."
    )


def in_flight(call: Call, now: int) -> Call:
    """The call as it is stored before it is made."""
    return msgspec.structs.replace(
        call,
        status="in_flight",
        ready=0,
        attempts=call.attempts + 1,
        sent=call.sent + 1,
        not_before=0,
        changed_at=now,
        reason=None,
    )


def put_back(call: Call, unknown: bool, who: str, why: str, now: int) -> Call:
    """A call that was with a person, on its way again: to be looked up first if nobody knows whether it was done."""
    reason = f"sent back by {who}: {why}"
    back = _status(call, "unknown", now, reason) if unknown else _waiting(call, now, reason, attempts=0)
    return msgspec.structs.replace(back, open=1)


def _status(call: Call, status: str, now: int, reason: str) -> Call:
    return msgspec.structs.replace(call, status=status, ready=0, changed_at=now, reason=reason)


def _waiting(
    call: Call, now: int, reason: str, attempts: int | None = None, not_before: int = 0, sent: int | None = None
) -> Call:
    return msgspec.structs.replace(
        call,
        status="waiting",
        ready=1,
        changed_at=now,
        reason=reason,
        attempts=call.attempts if attempts is None else attempts,
        sent=call.sent if sent is None else sent,
        not_before=not_before,
    )


def _closed(call: Call, status: str, now: int, document: str | None = None, reason: str | None = None) -> Call:
    stuck = status == "exception"
    return msgspec.structs.replace(
        call,
        status=status,
        open=int(stuck and call.on_stuck == "hold"),
        ready=0,
        changed_at=now,
        document=document,
        reason=reason,
        unanswered_at=call.unanswered_at if stuck else 0,
    )
