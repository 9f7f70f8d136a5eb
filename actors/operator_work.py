"""Plans for waiting work: cancel, reprioritise, move, purge.

Money is never dropped silently. A waiting money call that was never sent can be cancelled: it becomes refused, and
those who wait for its result are told so. One that is in flight, of unknown outcome, or was sent before, is not
cancelled; purge takes no money at all, and only after what it takes was exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from actors.caller.results import Results
from actors.caller.steps import Step
from actors.house import House
from actors.operator_effects import Effects, money_of, rfc3339
from actors.operator_exports import Export
from actors.operator_places import Places, check_words
from actors.operator_plans import Plan, digest_of
from actors.operator_records import CANCELLED, KEYS_MAX, Effect, Moved, Undo, WorkCommand
from actors.runtime.clock import microseconds
from broker.store.operators import Filter, OperatorReads
from broker.store.rows import Call, CallMove, ExceptionEnd, ExceptionRecord
from broker.store.unit import Unit
from contracts.errors import CODES, ContractError
from policies.lanes import LANES
from policies.scope import Scope

WORK_VERBS = ("cancel", "reprioritise", "move", "purge")
OBJECTS_MAX = 5_000
"""Objects that one command may concern: it is one transaction, during which no call starts."""
NAMED_MAX = 200
"""Objects that an effect names."""
_DRY = "nothing was changed (dry run)"


class WorkPlanner:
    """Checks commands about waiting work, finds what they concern, and says what they would do."""

    def __init__(self, house: House, places: Places, effects: Effects) -> None:
        self._house = house
        self._places = places
        self._effects = effects
        self._reads = OperatorReads(house.store.reads)
        self._results = Results(house.broker, house.registry, house.caller_domain, house.teller)
        self._export = Export(house.store.directory)

    async def plan(self, verb: str, command: WorkCommand) -> Plan:
        """The plan of a verb.

        Raises:
            ContractError: operation.* codes.
        """
        check_words(command.reason, command.who)
        if not command.keys and command.scope is None:
            raise ContractError("operation.target", "Name keys, or a scope such as tenant:acme.", "/keys")
        if len(command.keys) > KEYS_MAX:
            detail = f"{len(command.keys)} keys, at most {KEYS_MAX} in one command."
            raise ContractError("operation.too_many", detail, "/keys", limit=KEYS_MAX, actual=len(command.keys))
        if verb == "purge":
            return await self._purge(command)
        scope = None if command.scope is None else self._places.scope("hold", command.scope)
        if scope is not None and scope.place in self._places.beside:
            detail = f"{verb} is about the calls to the ERP; those to {scope.place} follow from the process."
            raise ContractError("operation.target", detail, "/scope")
        match verb:
            case "cancel":
                return await self._cancel(command, scope)
            case "reprioritise":
                return await self._reprioritise(command, scope)
        return await self._move(command, scope)

    # finding -------------------------------------------------------------------------------------------------

    async def by_intent(self, intents: Sequence[str]) -> list[Call]:
        """Calls by intent id, as they are stored now."""
        wanted, found = set(intents), []
        for start in range(0, len(intents), KEYS_MAX):
            keys = tuple(intents[start : start + KEYS_MAX])
            found += [
                call for call in await self._reads.calls(Filter(keys=keys), 2 * KEYS_MAX) if call.intent_id in wanted
            ]
        return found

    async def _find(self, command: WorkCommand, scope: Scope | None) -> list[Call]:
        """The calls that a command is about; open ones for a scope, whatever state they are in for keys."""
        at = self._house.now()
        wanted = Filter(
            keys=command.keys,
            system=self._house.system,
            tenant=scope.tenant if scope else None,
            lane=scope.lane if scope else None,
            operation=scope.operation if scope else None,
            status=None if command.keys else "waiting",
            requested_before=None if command.older_seconds is None else at - command.older_seconds * 1_000_000,
        )
        controls = self._house.controls
        found = await self._reads.matching(
            wanted, lambda call: scope is None or scope.covers(controls.subject_of(call)), OBJECTS_MAX + 1
        )
        if len(found) > OBJECTS_MAX:
            detail = f"It concerns more than {OBJECTS_MAX} calls. Narrow it, by lane, partition or age, and repeat."
            raise ContractError("operation.too_many", detail, "/scope", limit=OBJECTS_MAX)
        if not found:
            raise ContractError("operation.nothing", "No call is known under these keys or in this scope.", "/keys")
        return found

    # verbs ---------------------------------------------------------------------------------------------------

    async def _cancel(self, command: WorkCommand, scope: Scope | None) -> Plan:
        found = await self._find(command, scope)
        for call in found if command.keys else ():
            if (why := _uncancellable(call)) is not None:
                raise ContractError("operation.money", f"{call.intent_id} {why}.", "/keys")
        mine = [call for call in found if _uncancellable(call) is None]
        left = [call.intent_id for call in found if _uncancellable(call) is not None]
        if not mine:
            detail = "Nothing of it can be cancelled: everything was sent before. Hold it, or wait for its outcome."
            raise ContractError("operation.money", detail, "/scope")
        effect = self._effect("cancel", command, mine, left, _DRY)
        effect = msgspec.structs.replace(effect, before="waiting", after="refused, and told to those who wait for it")
        note = f"{len(mine)} calls are cancelled; their senders are told that they were refused"
        return Plan(
            effect,
            command.who,
            command,
            _digest(mine),
            partial(self._write_cancel, mine, command),
            lambda at: None,
            note,
            calls=True,
        )

    def _write_cancel(self, calls: Sequence[Call], command: WorkCommand, unit: Unit) -> None:
        for call in calls:
            reason = f"{CANCELLED}: cancelled by {command.who}: {command.reason}"
            closed = msgspec.structs.replace(call, status="refused", open=0, ready=0, changed_at=unit.at, reason=reason)
            part = self._results.unit("waiting", Step(closed), None, unit.at)
            unit.call_changes += [msgspec.structs.replace(change, actor=command.who) for change in part.call_changes]
            unit.items += part.items
            unit.accepts += part.accepts
            unit.milestones += part.milestones

    async def _reprioritise(self, command: WorkCommand, scope: Scope | None) -> Plan:
        if command.lane not in LANES:
            detail = f"Expected one of {', '.join(LANES)}."
            raise ContractError("operation.lane", detail, "/lane", known=list(LANES))
        found = await self._find(command, scope)
        mine = [call for call in found if call.status == "waiting" and call.lane != command.lane]
        return self._moving("reprioritise", command, found, mine, command.lane, None)

    async def _move(self, command: WorkCommand, scope: Scope | None) -> Plan:
        if command.not_before is None or command.not_before.tzinfo is None:
            detail = "Say when, with the offset from UTC, as in 2026-03-01T22:00:00Z."
            raise ContractError("date.format", detail, "/not_before")
        moment = microseconds(command.not_before)
        found = await self._find(command, scope)
        mine = [call for call in found if call.status == "waiting" and call.not_before != moment]
        # until then the system may still do what was sent before, and could refuse what comes meanwhile
        mine = [call for call in mine if not call.unanswered_at or moment > call.not_before]
        return self._moving("move", command, found, mine, None, moment)

    def _moving(
        self,
        verb: str,
        command: WorkCommand,
        found: Sequence[Call],
        mine: Sequence[Call],
        lane: str | None,
        not_before: int | None,
    ) -> Plan:
        if not mine:
            detail = "Everything it names is there already, or is no longer waiting."
            raise ContractError("operation.nothing", detail, "/keys")
        left = [call.intent_id for call in found if call not in mine]
        moves = [
            CallMove(
                call,
                lane or call.lane,
                _ref(call, lane or call.lane),
                call.not_before if not_before is None else not_before,
                command.who,
                command.reason,
            )
            for call in mine
        ]
        effect = self._effect(verb, command, mine, left, _DRY)
        effect = msgspec.structs.replace(effect, **self._change(mine, lane, command))
        undo = Undo(
            moves=tuple(
                Moved(
                    m.call.seq, m.call.intent_id, m.call.lane, m.call.order_ref, m.call.not_before, m.lane, m.not_before
                )
                for m in moves
            )
        )

        def write(unit: Unit) -> None:
            unit.call_moves += moves

        note = f"{len(mine)} calls have their new place"
        return Plan(effect, command.who, command, _digest(mine), write, lambda at: undo, note, calls=True)

    def _change(self, calls: Sequence[Call], lane: str | None, command: WorkCommand) -> dict[str, str | None]:
        """Before and after as text, and what it does to the time of the last of them."""
        house, effects = self._house, self._effects
        before = ", ".join(sorted({call.lane for call in calls}))
        ahead = {
            name: sum(house.store.counters.waiting(house.system, up) for up in LANES[: n + 1])
            for n, name in enumerate(LANES)
        }
        last = max(ahead[call.lane] for call in calls)
        eta = None if effects.stopped() else rfc3339(effects.eta(last - 1))
        if lane is None:
            when = command.not_before
            after = None if effects.stopped() else rfc3339(effects.eta(len(calls) - 1, since=when))
            return {
                "before": f"in line ({before})",
                "after": f"not before {rfc3339(when)}",
                "eta": eta,
                "eta_after": after,
            }
        line = ahead[lane] + sum(LANES.index(call.lane) > LANES.index(lane) for call in calls)
        after = None if effects.stopped() else rfc3339(effects.eta(line - 1))
        return {"before": before, "after": lane, "eta": eta, "eta_after": after}

    async def _purge(self, command: WorkCommand) -> Plan:
        """Messages that no door could accept and that were set aside. What stands for money stays."""
        before = None if command.older_seconds is None else self._house.now() - command.older_seconds * 1_000_000
        wanted = (command.scope or "").removeprefix("failure:")
        if command.scope is not None and command.scope == wanted:
            detail = "Purge takes what was set aside: name keys, or a class of failure, as in failure:json.syntax."
            raise ContractError("operation.money", detail, "/scope")
        found: list[ExceptionRecord] = await self._reads.exceptions(
            command.keys, wanted or None, before, OBJECTS_MAX + 1
        )
        if len(found) > OBJECTS_MAX:
            detail = f"It concerns more than {OBJECTS_MAX}. Narrow it by age, and repeat."
            raise ContractError("operation.too_many", detail, "/scope", limit=OBJECTS_MAX)
        mine = [record for record in found if _purgeable(record)]
        left = [record.intent_id or record.key for record in found if record not in mine]
        if not mine:
            detail = "Nothing of it can be purged: what is left is about money, or holds no message."
            raise ContractError("operation.money", detail, "/keys")
        target = command.scope or ", ".join(command.keys[:3])
        effect = Effect("purge", target, False, 0, len(mine), 0, _DRY)
        effect = msgspec.structs.replace(
            effect, keys=[record.key for record in mine[:NAMED_MAX]], left_alone=left[:NAMED_MAX]
        )

        def write(unit: Unit) -> None:
            unit.exception_ends += [ExceptionEnd(record.seq, unit.at) for record in mine]

        digest = digest_of([record.seq for record in mine])
        note = f"{len(mine)} set-aside messages are purged; the export has them whole"
        export = partial(self._export.write, mine)
        return Plan(effect, command.who, command, digest, write, lambda at: None, note, prepare=export)

    def _effect(self, verb: str, command: WorkCommand, calls: Sequence[Call], left: Sequence[str], note: str) -> Effect:
        target = command.scope or ", ".join(command.keys[:3]) + (" ..." if len(command.keys) > 3 else "")
        return Effect(
            verb,
            target,
            False,
            len(calls),
            0,
            0,
            note,
            money=money_of(calls),
            keys=[call.intent_id for call in calls[:NAMED_MAX]],
            left_alone=list(left[:NAMED_MAX]),
        )


def _purgeable(record: ExceptionRecord) -> bool:
    """Whether it is a message that no door could accept (its failure is one of a door's codes).

    What was accepted and waits for a decision may be somebody's credit.
    """
    return record.failure in CODES and record.intent_id is None and record.body is not None


def _uncancellable(call: Call) -> str | None:
    """Why a call cannot be cancelled, in words that follow its name; None if it can."""
    if call.status == "waiting":
        if call.sent == 0:
            return None
        return f"was sent {call.sent} times before, so nobody but the ERP may say that it is not posted"
    return {
        "in_flight": "is at the ERP right now",
        "unknown": "has an unknown outcome and is being looked up at the ERP",
        "done": f"is posted as {call.document}; reverse it with a debit",
        "refused": "is refused already",
        "exception": "is with a person already",
    }[call.status]


def _ref(call: Call, lane: str) -> str:
    """The order reference of a call in a lane (see `RequestCall` in broker/life.py)."""
    system, tenant, _, key = call.order_ref.split("|", 3)
    return f"{system}|{tenant}|{lane}|{key}"


def _digest(calls: Sequence[Call]) -> str:
    return digest_of([(call.seq, call.status, call.changed_at, call.lane, call.not_before) for call in calls])
