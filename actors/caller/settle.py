"""Handing a call back to the gate: each kind of answer to the one ending that fits it."""

from __future__ import annotations

from actors.adapters.port import Answer, Failed, Lost, NotSent
from actors.caller.gate import Admission, Gate
from policies.recoverability import FailureClass
from policies.signals import Dimension


def settle(
    gate: Gate, admission: Admission, answer: Answer, bound_ns: int, safe_ns: int, now_ns: int, took_ns: int
) -> None:
    """Tell the gate what came of a call, in nanoseconds of the boot clock.

    `bound_ns`: when it had arrived at the latest; `safe_ns`: when it is surely over, should no answer have come.
    """
    reading = answer.reading
    match answer.outcome:
        case NotSent():
            gate.unsent(admission, now_ns, unreachable=True)
        case Lost():
            gate.unanswered(admission, safe_ns, now_ns, reading)
        case Failed(FailureClass.THROTTLED, _, reason, after) if _is_of_one_object(answer):
            gate.object_refused(admission, bound_ns, after, reason, now_ns, reading)
        case Failed(FailureClass.THROTTLED, _, reason, after):
            gate.throttled(admission, bound_ns, after, reason, now_ns, reading)
        case Failed(FailureClass.TRANSIENT):
            gate.answered(admission, bound_ns, False, now_ns, reading, took_ns)
        case _:
            gate.answered(admission, bound_ns, True, now_ns, reading, took_ns)


def _is_of_one_object(answer: Answer) -> bool:
    refusal = answer.reading.refusal
    return refusal is not None and refusal.dimension is Dimension.OBJECT
