"""Mass retries on their way: kept in the store, taken up again by every process, moved on once a second."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from loguru import logger

from actors.caller.steps import put_back
from actors.processes_record import PREFIXES
from broker.store.operators import Filter, OperatorReads
from broker.store.rows import AuditRow, Call, CallChange, ExceptionEnd, ExceptionRecord, StateRow
from broker.store.store import Store
from broker.store.unit import Unit
from contracts.codec import decode, encode
from contracts.envelope import decode_envelope
from contracts.errors import ContractError
from policies.mass_retry import Run, go_on
from policies.process import STICKING

DOMAIN = "retries"


class Retries:
    """Every run is a row of its own; a row that is over stays, to be shown."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reads = OperatorReads(store.reads)

    async def runs(self) -> list[tuple[int, Run]]:
        """Every run with the version of its row, by id.

        Raises:
            TimeoutError: the store took too long to answer.
        """
        return [(version, decode(body, Run)) for version, body in await self._reads.states_of(DOMAIN)]

    def begin(self, unit: Unit, run: Run) -> None:
        """Have a unit begin a run; its canary goes with the next step."""
        self._save(unit, 0, run)

    def _save(self, unit: Unit, version: int, run: Run) -> None:
        unit.states.append(StateRow(DOMAIN, run.id, version + 1, encode(run), unit.at))

    async def step(self, at: int) -> None:
        """Look at what is out, and send what may go. `at` in microseconds since the epoch.

        Raises:
            StoreUnavailable, Conflict, TimeoutError: some runs did not move; the next step looks anew.
        """
        for version, run in await self.runs():
            if run.over:
                continue
            unit = Unit(at)
            gone = await self._go_on(run, unit)
            if gone != run:
                self._save(unit, version, gone)
                await self._store.commit(unit)

    async def _go_on(self, run: Run, unit: Unit) -> Run:
        out = {call.intent_id: (call.status, call.reason) for call in await calls_of(self._reads, run.out)}
        gone, send = go_on(run, {intent: out.get(intent, ("refused", "it is not there")) for intent in run.out})
        if gone.stopped and not run.stopped:
            logger.warning("retry {} stopped after {} calls: {}", run.id, gone.fine + gone.failed, gone.stopped)
            facts = {"reason": gone.stopped, "left": len(gone.waiting)}
            unit.audits.append(AuditRow(unit.at, run.who, "retry.stopped", run.id, facts))
        stuck = [call for call in await calls_of(self._reads, send) if call.status == "exception"]
        await put_in_line(self._reads, unit, stuck, run.who, run.reason)
        there = tuple(call.intent_id for call in stuck)
        return msgspec.structs.replace(gone, out=(*(i for i in gone.out if i not in send), *there))


async def calls_of(reads: OperatorReads, intents: Sequence[str]) -> list[Call]:
    """Calls by intent id, as they are stored now."""
    if not intents:
        return []
    wanted = set(intents)
    found = await reads.calls(Filter(keys=tuple(intents)), 2 * len(intents) + 10)
    return [call for call in found if call.intent_id in wanted]


async def put_in_line(reads: OperatorReads, unit: Unit, calls: Sequence[Call], who: str, reason: str) -> None:
    """Have a unit put stuck calls back (of unknown outcome: to be looked up first) and close their exceptions."""
    rows: list[ExceptionRecord] = []
    if calls:
        rows = await reads.exceptions(tuple({call.key for call in calls}), None, None, 10_000)
    ends: dict[int, ExceptionEnd] = {}
    for call in calls:
        mine = [row for row in rows if row.intent_id == call.intent_id]
        unknown = any(row.failure == "unknown_outcome" for row in mine) or not mine or call.unanswered_at > 0
        unit.call_changes.append(CallChange(put_back(call, unknown, who, reason, unit.at), "exception", who))
        ends |= {row.seq: ExceptionEnd(row.seq, unit.at) for row in rows if concerns(row, call)}
    unit.exception_ends += ends.values()


def concerns(row: ExceptionRecord, call: Call) -> bool:
    """Whether an exception is nobody's work any more once this call goes on: its own, and that its process is stuck at
    it. Should it get stuck again, that is an exception of its own."""
    if row.intent_id is not None:
        return row.intent_id == call.intent_id
    of_process = call.intent_id.partition("-")[0] in PREFIXES and call.operation in STICKING
    return row.failure == "process_stuck" and of_process and row.key == call.key and of_tenant(row, call.tenant)


def of_tenant(row: ExceptionRecord, tenant: str) -> bool:
    """Whether an exception is this tenant's; others may have the same key. Where it does not say, its message does."""
    if row.tenant:
        return row.tenant == tenant
    try:
        return decode_envelope(row.body or b"").tenant == tenant
    except ContractError:
        return False
