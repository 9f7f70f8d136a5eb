"""Why a process is not done yet: for whom it waits, or which of its calls it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from actors.approvals import iso
from actors.explain_calls import CallExplainer
from actors.explain_queued import QueueExplainer
from actors.explain_words import IT, SOON, Explanation, clause, said_of
from actors.house import House
from actors.operator_records import CANCELLED
from actors.processes_exposure import exposed
from actors.processes_record import DOMAIN, Record
from actors.processes_results import told_as
from actors.wave_explain import WaveExplainer
from broker.store.rows import Call, ProcessRow
from contracts.codec import decode
from policies.process import OVER, TABLES, Step, StepState, states

Story = tuple[str, str, str, str | None, str | None]
"""State for scripts, sentence, owner, ETA, and why there is none."""
_OUTCOMES = {
    "posted": "It is posted in every system",
    "refused": "It was refused before anything was done",
    "compensated": "{who}; what was done before was undone",
    "rejected": "It was not approved",
    "expired": "Nobody approved it in time",
}


_SETTLED = ("done", "refused")
_A_PERSONS = "exception"
_NAMES = {"erp": "The ERP", "crm": "The CRM"}
_READS = frozenset(step.operation for table in TABLES.values() for step in table.steps if step.reads)


class ProcessExplainer:
    """Answers for processes; what waits for a call or a queue has the reasons of that."""

    def __init__(self, house: House, calls: CallExplainer, queues: QueueExplainer) -> None:
        self._house = house
        self._calls = calls
        self._queues = queues
        self._waves = WaveExplainer(house, calls, queues)

    async def process(self, key: str, row: ProcessRow) -> Explanation | None:
        """What is true of a process; None when nothing is kept of it.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        record = await record_of(self._house, row)
        if record is None:
            return None
        if record.process.phase == "approval" and (case := await self._waves.case(key, record, row)) is not None:
            return case
        found = await self._house.store.reads.calls_by_key(row.key)
        calls = [call for call in found if call.tenant == row.tenant]
        match record.process.phase:
            case "approval":
                return Explanation(key, *waits(record))
            case "stuck":
                return await self._mended(key, record, calls) or Explanation(key, *_stuck(record))
            case "ended":
                return await self._ended(key, record, {call.intent_id: call for call in calls})
            case _:
                return await self._under_way(key, record, calls)

    async def _under_way(self, key: str, record: Record, calls: Sequence[Call]) -> Explanation:
        call = pending(record, calls)
        if call is None:
            return Explanation(key, "deciding", "Its next step is taken in a moment.", IT, no_eta=SOON)
        told = await self._over(key, call) if call.status in _SETTLED else None
        settled = told is not None
        told = told or said_of(call.system, await self._calls.call(key, call))
        if record.process.phase != "turning_back":
            return told
        why = clause(record.process.reason or "a step was refused")
        left = "" if settled else f"of that {call.system} {call.operation} is left: "
        sentence = f"It is being taken back because {why}, and {left}{told.sentence[:1].lower()}{told.sentence[1:]}"
        return Explanation(key, "turning_back", sentence, told.owner, told.eta, told.no_eta)

    async def _mended(self, key: str, record: Record, calls: Sequence[Call]) -> Explanation | None:
        """That the call at which it is stuck goes on again, or ended otherwise; None while that is as it was."""
        known = {call.intent_id: call for call in calls}
        for state in _stuck_at(record):
            call = known.get(state.intent_id)
            if call is None or (call.status, call.reason) == (state.status, state.reason):
                continue
            if call.status in _SETTLED:
                return await self._over(key, call)
            told = said_of(call.system, await self._calls.call(key, call))
            how = "It is stuck once more at" if call.status == "exception" else "It was stuck and goes on again with"
            sentence = f"{how} {call.system} {call.operation}: {told.sentence[:1].lower()}{told.sentence[1:]}"
            return Explanation(key, told.state if call.open else "stuck", sentence, told.owner, told.eta, told.no_eta)
        return None

    async def _ended(self, key: str, record: Record, calls: Mapping[str, Call]) -> Explanation:
        """How it ended, and what of it is left: a person's work, or on its way again."""
        for trouble in await self._house.store.reads.exceptions(record.request.process_id):
            mine = calls.get(trouble.intent_id or "")
            if mine is not None and (differs := await self._calls.differs(key, mine)) is not None:
                return said_of(mine.system, differs)
        outcome = record.process.outcome or "posted"
        left = [await self._left(key, step, state, calls) for step, state in _not_done(record)]
        if not left:
            return Explanation(key, outcome, f"{ending(record)}.", no_eta="it is over")
        sentence = f"{ending(record, everywhere=False)}; but {'; '.join(clause(one.sentence) for one in left)}."
        first = next((one for one in left if one.state == _A_PERSONS), left[0])
        return Explanation(key, outcome, sentence, first.owner, first.eta, first.no_eta)

    async def _left(self, key: str, step: Step, state: StepState, calls: Mapping[str, Call]) -> Explanation:
        """What has become of a step that failed and on which nothing depends, as part of a sentence."""
        call = calls.get(state.intent_id)
        what = "{system} was {{}}told of it" if step.tells else "its {operation} was {{}}done at {system}"
        done = what.format(system=step.system, operation=step.operation)
        if call is not None and call.status in _SETTLED and call.status != state.status:
            over = await self._over(key, call) or Explanation(key, call.status, _end(call), no_eta="it is over")
            return msgspec.structs.replace(over, sentence=over.sentence[:1].lower() + over.sentence[1:])
        if call is not None and call.open:
            told = said_of(call.system, await self._calls.call(key, call))
            sentence = f"{done.format('not yet ')}: {told.sentence[:1].lower()}{told.sentence[1:]}"
            return msgspec.structs.replace(told, sentence=sentence)
        owner = step.owner
        if call is not None and call.status == "exception":
            owner = (await self._calls.call(key, call)).owner
        why = f" ({clause(state.reason)})" if state.reason else ""
        sentence = f"{done.format('not ')}{why}, which is with the {owner} team"
        return Explanation(key, _A_PERSONS, sentence, owner, no_eta=f"it depends on the {owner} team")

    async def _over(self, key: str, call: Call) -> Explanation | None:
        """Why a process has not taken up yet that its call has ended; None when it was never told so."""
        name, reads = told_as(call), self._house.store.reads
        message = next((one for one in await reads.messages_by_id(name) if one.tenant == call.tenant), None)
        if message is None:
            return None
        what = f"{_end(call)}, and the message of that to its process"
        if message.handled_at is None:
            return await self._queues.queued(key, message, what)
        for trouble in await reads.exceptions(call.key):
            if trouble.message_id == name:
                sentence = f"{what} needs the {trouble.owner} team: {clause(trouble.cause)}."
                no_eta = f"it depends on the {trouble.owner} team"
                return Explanation(key, f"exception.{trouble.failure}", sentence, trouble.owner, no_eta=no_eta)
        return Explanation(key, "deciding", f"{_end(call)}, and its next step is taken in a moment.", IT, no_eta=SOON)


async def record_of(house: House, row: ProcessRow) -> Record | None:
    """The checkpoint of a process, with what its incident has come to since.

    Raises:
        TimeoutError: the store took too long to answer.
    """
    reads = house.store.reads
    found = await reads.states(DOMAIN, [row.id])
    records = [decode(found[row.id][1], Record)] if row.id in found else []
    return next(iter(await exposed(reads, records)), None)


def _stuck_at(record: Record) -> list[StepState]:
    """What a person must mend before it can go on: undoings, or else steps that everything depends on."""
    process = record.process
    bad = [state for state in process.undone.values() if state.status in ("refused", "exception")]
    vital = [process.steps[step.name] for step in TABLES[record.request.kind].steps if step.vital]
    return bad or [state for state in vital if state.status == "exception"]


def _stuck(record: Record) -> Story:
    table, process = TABLES[record.request.kind], record.process
    exact = "; ".join(f"{step} at {words}" for step, words in states(process, table).items())
    owner = next((undo.owner for undo in table.plan() if undo.step in process.undone), "finance")
    sentence = f"It needs the {owner} team: {clause(process.reason or '')}; now: {exact}."
    return ("stuck", sentence, owner, None, f"it depends on the {owner} team")


def ending(record: Record, everywhere: bool = True) -> str:
    """How it ended, why, and the documents that it has made: a sentence without its end.

    `everywhere`: no system is left out of what was done and told.
    """
    process, request = record.process, record.request
    head = _OUTCOMES[process.outcome or "posted"] if everywhere or process.outcome != "posted" else "It is posted"
    reads = {step.name for step in TABLES[request.kind].steps if step.reads}
    done = {name: state for name, state in process.steps.items() if name not in reads}
    documents = {**done, **{f"undo {name}": state for name, state in process.undone.items()}}
    made = ", ".join(f"{name} {state.document}" for name, state in documents.items() if state.document)
    why = f" ({clause(process.reason)})" if process.reason and process.outcome != "posted" else ""
    return f"{head.format(who=_refuser(record))}{why}: {made or 'no documents'}"


def _refuser(record: Record) -> str:
    """Who would not have a step on which the rest depended."""
    table, states_ = TABLES[record.request.kind], record.process.steps
    for step in table.steps:
        state = states_[step.name]
        if step.vital and state.status == "refused" and (state.reason or "").startswith(CANCELLED):
            return f"Its {step.operation} was cancelled"
        if step.vital and state.status == "refused":
            return f"{_NAMES.get(step.system, step.system.capitalize())} refused it"
    return "A step of it was refused"


def _not_done(record: Record) -> list[tuple[Step, StepState]]:
    """Steps that failed without a consequence for the others."""
    steps, states = TABLES[record.request.kind].steps, record.process.steps
    found = [(step, states[step.name]) for step in steps if not step.vital]
    return [(step, state) for step, state in found if state.status in ("refused", "exception")]


def waits(record: Record) -> Story:
    """For whom it waits, since when, and until when."""
    needed, given = record.need, [vote.who for vote in record.votes]
    people = "1 person" if needed.people == 1 else f"{needed.people} people"
    so_far = f"; {' and '.join(given)} approved so far" if given else ""
    expires = iso(record.expires_at or 0)
    escalates = _escalation(record)
    sentence = (
        f"It waits for approval by {people} of role {needed.role} or higher since {iso(record.since)}{so_far} "
        f"({clause(needed.why)}), {escalates}and is given up at {expires}."
    )
    return ("approval", sentence, needed.role, None, f"it depends on people; without an answer it ends at {expires}")


def _escalation(record: Record) -> str:
    at = record.escalates_at
    return f"goes to the next role at {iso(at)} " if at is not None and at < (record.expires_at or 0) else ""


def pending(record: Record, calls: Sequence[Call]) -> Call | None:
    """The call that a running process waits for first, in the order of its steps; one that has ended, if all have."""
    known = {call.intent_id: call for call in calls}
    waits = [*record.process.undone.values(), *record.process.steps.values()]
    mine = [known[state.intent_id] for state in waits if state.status not in OVER and state.intent_id in known]
    return next((call for call in mine if call.status not in _SETTLED), next(iter(mine), None))


def _end(call: Call) -> str:
    """That a call has ended and how, as the beginning of a sentence. What was only read has made no document."""
    system = "the ERP" if call.system == "erp" else call.system
    if call.status == "done":
        document = f" as {call.document}" if call.document and call.operation not in _READS else ""
        return f"Its {call.operation} is done at {system}{document}"
    if (call.reason or "").startswith(CANCELLED):
        return f"Its {call.operation} at {system} was {clause((call.reason or '').partition(': ')[2])}"
    return f"Its {call.operation} was refused by {system} ({clause(call.reason or 'it gave no reason')})"
