"""Why a process is not done yet: for whom it waits, or which of its calls it waits for."""

from __future__ import annotations

from collections.abc import Sequence

from actors.approvals import iso
from actors.explain_words import clause
from actors.house import House
from actors.processes_record import DOMAIN, Record
from broker.store.rows import Call, ProcessRow
from contracts.codec import decode
from policies.process import OVER, TABLES, states

Story = tuple[str, str, str, str | None, str | None]
"""State for scripts, sentence, owner, ETA, and why there is none."""
_OUTCOMES = {
    "posted": "It is posted in every system",
    "refused": "It was refused before anything was done",
    "compensated": "The ERP refused it; what was done before was undone",
    "rejected": "It was not approved",
    "expired": "Nobody approved it in time",
}


async def record_of(house: House, row: ProcessRow) -> Record | None:
    """The checkpoint of a process.

    Raises:
        TimeoutError: the store took too long to answer.
    """
    found = await house.store.reads.states(DOMAIN, [row.id])
    return decode(found[row.id][1], Record) if row.id in found else None


def story(record: Record) -> Story | None:
    """What is true of the process as a whole; None while it waits for calls, which have reasons of their own."""
    process, request = record.process, record.request
    match process.phase:
        case "approval":
            return _waits(record)
        case "stuck":
            table = TABLES[request.kind]
            exact = "; ".join(f"{step} at {words}" for step, words in states(process, table).items())
            owner = next((undo.owner for undo in table.plan() if undo.step in process.undone), "finance")
            sentence = f"It needs the {owner} team: {clause(process.reason or '')}; now: {exact}."
            return ("stuck", sentence, owner, None, f"it depends on the {owner} team")
        case "ended":
            outcome = process.outcome or "posted"
            reads = {step.name for step in TABLES[request.kind].steps if step.reads}
            done = {name: state for name, state in process.steps.items() if name not in reads}
            documents = {**done, **{f"undo {name}": state for name, state in process.undone.items()}}
            made = ", ".join(f"{name} {state.document}" for name, state in documents.items() if state.document)
            why = f" ({clause(process.reason)})" if process.reason else ""
            return (outcome, f"{_OUTCOMES[outcome]}{why}: {made or 'no documents'}.", "nobody", None, "it is over")
    return None


def _waits(record: Record) -> Story:
    needed, given = record.need, [vote.who for vote in record.votes]
    people = "1 person" if needed.people == 1 else f"{needed.people} people"
    so_far = f"; {' and '.join(given)} approved so far" if given else ""
    expires = iso(record.expires_at or 0)
    escalates = _escalation(record)
    sentence = (
        f"It waits for approval by {people} of role {needed.role} or higher since {iso(record.opened_at)}{so_far} "
        f"({clause(needed.why)}), {escalates}and is given up at {expires}."
    )
    return ("approval", sentence, needed.role, None, f"it depends on people; without an answer it ends at {expires}")


def _escalation(record: Record) -> str:
    at = record.escalates_at
    return f"goes to the next role at {iso(at)} " if at is not None and at < (record.expires_at or 0) else ""


def pending(record: Record, calls: Sequence[Call]) -> Call | None:
    """The call that a running process waits for first, in the order of its steps."""
    known = {call.intent_id: call for call in calls}
    waits = [*record.process.undone.values(), *record.process.steps.values()]
    started = (known.get(state.intent_id) for state in waits if state.status not in OVER and state.intent_id)
    return next((call for call in started if call is not None), None)
