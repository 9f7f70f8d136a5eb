"""What a replay replaces: the calls of the steps that are done again are over before their successors begin.

A step that is done again has an intent of its own. Its former call is with a person and could still be retried or
settled; both would be a second document. So the former call is closed in the transaction that takes the replay in, and
nothing is replayed whose former call somebody has sent again, or ended, in the meantime.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.processes_record import Record, step_intent
from actors.retries import calls_of
from broker.store.operators import OperatorReads
from broker.store.rows import Call, CallChange, ExceptionRecord
from contracts.errors import ContractError
from policies.process import StepState

_UNDO = "undo "


async def replaced(
    reads: OperatorReads, record: Record, after: Record, opened: Sequence[ExceptionRecord]
) -> list[Call]:
    """The calls with a person that are replaced, as they are stored now. `opened`: the open exceptions of the process.

    Raises:
        ContractError: replay.unknown: what may have been done is not done again, whoever looks at the system settles
            it first; replay.under_way: a call of these steps goes on, or has ended otherwise than the process knows.
    """
    states = _again(record, after)
    for row in opened:
        if row.failure == "unknown_outcome" and row.intent_id in states:
            raise ContractError("replay.unknown", f"{row.cause}. Settle {row.intent_id} at the system first.")
    calls = await calls_of(reads, tuple(states))
    for call in calls:
        if call.status in ("waiting", "in_flight", "unknown"):
            detail = f"{call.intent_id} was sent again by itself and is {call.status.replace('_', ' ')}. Wait for it."
            raise ContractError("replay.under_way", detail)
        if call.status == "done" and states[call.intent_id].status != "done":
            raise ContractError("replay.under_way", f"{call.intent_id} is done; the process is about to take that up.")
    return [call for call in calls if call.status == "exception"]


def closed(call: Call, who: str, reason: str, at: int) -> CallChange:
    """The end of a call that is replaced. Its process is not told: it has moved on to the next one."""
    why = f"replayed: another call takes its place, by {who}: {reason}"
    return CallChange(
        msgspec.structs.replace(call, status="refused", open=0, ready=0, changed_at=at, reason=why), call.status, who
    )


def _again(record: Record, after: Record) -> dict[str, StepState]:
    """Where the steps stand that are done again, by the intent that each had until now."""
    process = record.process
    states = {}
    for name in (name for name, count in after.attempts.items() if count != record.attempts.get(name, 0)):
        undoing = name.startswith(_UNDO)
        step = name.removeprefix(_UNDO)
        state = (process.undone if undoing else process.steps).get(step)
        if state is not None:
            states[step_intent(record, step, undoing)] = state
    return states
