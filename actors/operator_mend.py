"""Plans for what is with a person: send it again (`retry`), or say what has become of it (`settle`).

Retry never sends blindly: a call of unknown outcome is looked up first. Many at once go behind a canary
(`policies/mass_retry.py`). Settle is for what no system can tell: a person has looked, and answers with their name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import msgspec

from actors.caller.results import Results
from actors.caller.steps import Step
from actors.house import House
from actors.operator_effects import money_of
from actors.operator_places import check_words
from actors.operator_plans import Plan, digest_of
from actors.operator_records import Effect, WorkCommand
from actors.processes_explain import record_of
from actors.retries import Retries, calls_of, concerns, put_in_line
from broker.store.operators import Filter, OperatorReads
from broker.store.rows import Call, ExceptionEnd
from broker.store.unit import Unit
from contracts.errors import ContractError
from policies.approval import may_replay
from policies.mass_retry import WAVE_MAX, Run

MEND_VERBS = ("retry", "settle")
OBJECTS_MAX = 5_000
NAMED_MAX = 200
_DRY = "nothing was changed (dry run)"


class SettleCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say of one stuck call what has become of it: posted as `document`, or (`not_posted`) that it never will be."""

    key: str
    reason: str
    who: str
    document: str | None = None
    not_posted: bool = False
    dry_run: bool = False


class MendPlanner:
    """Checks the commands, finds the calls, and says what would be done."""

    def __init__(self, house: House, retries: Retries) -> None:
        self._house = house
        self._retries = retries
        self._reads = OperatorReads(house.store.reads)
        self._results = Results(house.broker, house.registry, house.caller_domain, house.teller)

    # retry ---------------------------------------------------------------------------------------------------

    async def retry(self, command: WorkCommand, holder: str) -> Plan:
        """The plan of sending stuck calls again. `holder`: whose token it is.

        Raises:
            ContractError: operation.* codes.
        """
        check_words(command.reason, command.who)
        stuck, failures = await self._stuck(command)
        if not stuck:
            raise ContractError("operation.nothing", "No call with a person is known under these keys.", "/keys")
        if len(stuck) > OBJECTS_MAX:
            detail = f"It concerns more than {OBJECTS_MAX}. Name fewer, or a class of failure, and repeat."
            raise ContractError("operation.too_many", detail, "/keys", limit=OBJECTS_MAX)
        await self._refuse_own(stuck, {command.who, holder})
        effect = self._effect("retry", command.scope or ", ".join(command.keys[:3]), stuck)
        digest = digest_of([(call.intent_id, call.changed_at) for call in stuck])
        if len(stuck) == 1:
            unit = Unit(self._house.now())
            await put_in_line(self._reads, unit, stuck, command.who, command.reason)
            write, after = (
                partial(_copy, unit),
                "looked up first" if failures == {"unknown_outcome"} else "in line again",
            )
        else:
            write = partial(self._begin, stuck, command)
            after = f"one canary; if it ends fine, 2, 4, ... at most {WAVE_MAX} at a time; none after one that fails"
        effect = msgspec.structs.replace(effect, before="with a person", after=after)
        note = f"{len(stuck)} go again; while the cause remains, it costs 1 call"
        return Plan(effect, command.who, command, digest, write, lambda at: None, note, calls=True)

    def _begin(self, stuck: Sequence[Call], command: WorkCommand, unit: Unit) -> None:
        id = f"retry-{self._house.entropy.new_id()[:12]}"
        intents = tuple(call.intent_id for call in stuck)
        self._retries.begin(unit, Run(id=id, who=command.who, reason=command.reason, waiting=intents))

    async def _stuck(self, command: WorkCommand) -> tuple[list[Call], set[str]]:
        """Calls in exception that the command names, oldest first, and the classes of their failures."""
        failure = (command.scope or "").removeprefix("failure:") or None
        if command.scope is not None and failure == command.scope:
            detail = "Retry takes keys, or a class of failure, as in failure:closed_period."
            raise ContractError("operation.target", detail, "/scope")
        rows = await self._reads.exceptions((), failure, None, 20_000)
        rows = [row for row in rows if row.intent_id is not None]
        if command.keys:
            rows = [row for row in rows if row.key in command.keys or row.intent_id in command.keys]
        found = await calls_of(self._reads, [str(row.intent_id) for row in rows])
        return [call for call in found if call.status == "exception"], {row.failure for row in rows}

    # settle --------------------------------------------------------------------------------------------------

    async def settle(self, command: SettleCommand, holder: str) -> Plan:
        """The plan of a person's word about one stuck call. `holder`: whose token it is.

        Raises:
            ContractError: operation.* codes.
        """
        check_words(command.reason, command.who)
        if (command.document is None) != command.not_posted:
            detail = "Say either under which document it is posted, or that it is not."
            raise ContractError("operation.value", detail, "/document")
        found = [c for c in await self._reads.calls(Filter(keys=(command.key,)), 50) if c.status == "exception"]
        if len(found) != 1:
            detail = f"{len(found)} calls with a person are known under {command.key}; name one by its intent id."
            raise ContractError("operation.nothing", detail, "/key")
        call = found[0]
        await self._refuse_own([call], {command.who, holder})
        status = "refused" if command.not_posted else "done"
        effect = self._effect("settle", call.intent_id, found)
        effect = msgspec.structs.replace(effect, before=call.reason, after=command.document or "not posted: refused")
        rows = await self._reads.exceptions((call.key,), None, None, 1_000)
        ends = [row.seq for row in rows if concerns(row, call)]
        write = partial(self._write_settled, call, status, ends, command)
        note = f"{call.intent_id} is {'refused' if command.not_posted else 'posted'} by the word of {command.who}"
        return Plan(effect, command.who, command, digest_of(call.changed_at), write, lambda at: None, note, calls=True)

    def _write_settled(self, call: Call, status: str, ends: Sequence[int], command: SettleCommand, unit: Unit) -> None:
        why = f"settled: {command.who} has looked: {command.reason}"
        over = msgspec.structs.replace(
            call, status=status, open=0, ready=0, changed_at=unit.at, reason=why, document=command.document
        )
        part = self._results.unit("exception", Step(over), None, unit.at)
        unit.call_changes += [msgspec.structs.replace(change, actor=command.who) for change in part.call_changes]
        unit.items += part.items
        unit.accepts += part.accepts
        unit.milestones += part.milestones
        unit.exception_ends += [ExceptionEnd(seq, unit.at) for seq in ends]

    async def _refuse_own(self, calls: Sequence[Call], names: Collection[str]) -> None:
        """Raise ContractError approval.* if one of these asked for one of the processes, or ever approved it."""
        teller = self._house.teller
        mine = {(call.tenant, call.key) for call in calls if teller is not None and teller.waits_for(call)}
        for tenant, key in sorted(mine):
            for row in await self._house.store.reads.processes(key):
                if row.tenant != tenant or (record := await record_of(self._house, row)) is None:
                    continue
                votes = (*record.old_votes, *record.votes)
                for refused in [may_replay(record.ask(), votes, who) for who in sorted(names)]:
                    if refused is not None:
                        raise ContractError(refused.code, refused.sentence, "/who")

    def _effect(self, verb: str, target: str, calls: Sequence[Call]) -> Effect:
        names = [call.intent_id for call in calls[:NAMED_MAX]]
        return Effect(verb, target, False, len(calls), 0, 0, _DRY, money=money_of(calls), keys=names)


def _copy(planned: Unit, unit: Unit) -> None:
    """The rows of a planned unit, at the moment at which they are written."""
    unit.call_changes += planned.call_changes
    unit.exception_ends += [msgspec.structs.replace(end, at=unit.at) for end in planned.exception_ends]
