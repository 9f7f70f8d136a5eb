"""Operator verbs: durable, audited, in force before they are answered, the same from the command line and over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.erp_requests import OPERATION
from actors.house import House
from actors.operator_effects import Effects, rfc3339
from actors.operator_mend import MendPlanner, SettleCommand
from actors.operator_orders import OrderPlanner
from actors.operator_places import Places, check_words
from actors.operator_plans import Plan, Plans
from actors.operator_records import Command, CommitCommand, Effect, SettingCommand, Undo, UndoCommand, WorkCommand
from actors.operator_work import WORK_VERBS, WorkPlanner
from actors.retries import Retries
from actors.runtime.clock import moment
from actors.settings import SYSTEMS
from broker.store.rows import AuditRow, CallMove, ControlEnd
from broker.store.unit import Unit
from contracts.errors import ContractError
from policies.process import operations_of

__all__ = [
    "Command",
    "CommitCommand",
    "Effect",
    "Operations",
    "SettingCommand",
    "SettleCommand",
    "UndoCommand",
    "WorkCommand",
]


class Operations:
    """Carries out the verbs on a house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._plans = Plans(house)
        beside = tuple(name for name in SYSTEMS if name in house.posters)
        operations = (OPERATION, *operations_of(beside))
        places = Places(house.system, house.caller_domain, house.consumed, house.partitions, operations, beside)
        effects = Effects(house)
        self.places, self._effects = places, effects
        self._orders = OrderPlanner(house, places, effects)
        self._work = WorkPlanner(house, places, effects)
        self._mend = MendPlanner(house, Retries(house.store))

    async def run(self, verb: str, command: Command) -> Effect:
        """Carry out `pause`, `hold`, `drain` or their ends `resume`, `release`, `undrain`.

        Returns when no call can start any more that the order forbids. Calls in flight go on to their end; the
        effect says how many there are.

        Raises:
            ContractError: operation.* codes; nothing was changed.
            StoreUnavailable: it could not be made durable and is not in force.
        """
        return await self._answer(await self._orders.order(verb, command), command.dry_run)

    async def set(self, command: SettingCommand, unset: bool = False) -> Effect:
        """Set something live, or take that back; it acts on the backlog before this returns.

        Raises:
            ContractError, StoreUnavailable: as `run`.
        """
        plan = await self._orders.unsetting(command) if unset else await self._orders.setting(command)
        return await self._answer(plan, command.dry_run)

    async def work(self, verb: str, command: WorkCommand) -> Effect:
        """Carry out `cancel`, `reprioritise`, `move` or `purge` on waiting work.

        What is named by a scope, and every purge, is shown first (`dry_run`) and carried out by its token.

        Raises:
            ContractError, StoreUnavailable: as `run`.
        """
        if not command.dry_run and (command.scope is not None or verb == "purge"):
            detail = f"Look first: {verb} with dry_run says what it concerns, and gives the token that carries it out."
            raise ContractError("operation.look_first", detail, "/dry_run")
        return await self._answer(await self._work.plan(verb, command), command.dry_run)

    async def mend(self, verb: str, command: WorkCommand | SettleCommand, holder: str) -> Effect:
        """Carry out `retry` or `settle` on calls that are with a person; what a class of failure names is shown first.

        `holder`: whose token it is, whatever name the command is kept under.

        Raises:
            ContractError, StoreUnavailable: as `run`.
        """
        if isinstance(command, WorkCommand) and command.scope is not None and not command.dry_run:
            detail = f"Look first: {verb} with dry_run says what it concerns, and gives the token that carries it out."
            raise ContractError("operation.look_first", detail, "/dry_run")
        return await self._answer(await self._mending(command, holder), command.dry_run)

    async def _mending(self, command: WorkCommand | SettleCommand, holder: str) -> Plan:
        if isinstance(command, SettleCommand):
            return await self._mend.settle(command, holder)
        return await self._mend.retry(command, holder)

    async def _answer(self, plan: Plan, dry_run: bool) -> Effect:
        return await self._plans.show(plan) if dry_run else await self._plans.carry_out(plan)

    async def commit(self, command: CommitCommand, holder: str) -> Effect:
        """Carry out exactly what a dry run has shown, in the name of whoever carries it out (`holder`: as in `mend`).

        Raises:
            ContractError: operation.token, or operation.moved when the world is no longer as it was shown.
            StoreUnavailable: nothing was changed.
        """
        check_words("as shown", command.who)
        shown = await self._plans.shown(command.token)
        plan = await self._again(shown.verb, shown.command, command.who, holder)
        if plan.digest != shown.digest:
            detail = "What this command concerns has changed since it was shown. Nothing was done; look again."
            raise ContractError("operation.moved", detail, "/token")
        return await self._plans.carry_out(plan, shown.id)

    async def _again(self, verb: str, text: str, who: str, holder: str) -> Plan:
        """The plan of a command that was kept as JSON, in the name of whoever carries it out."""
        kind: Any = {"set": SettingCommand, "unset": SettingCommand, **dict.fromkeys(WORK_VERBS, WorkCommand)}
        kind |= {"retry": WorkCommand, "settle": SettleCommand}
        command = msgspec.structs.replace(msgspec.json.decode(text, type=kind.get(verb, Command)), who=who)
        match command:
            case SettingCommand():
                return await (self._orders.setting(command) if verb == "set" else self._orders.unsetting(command))
            case SettleCommand():
                return await self._mending(command, holder)
            case WorkCommand() if verb == "retry":
                return await self._mending(command, holder)
            case WorkCommand():
                return await self._work.plan(verb, command)
        return await self._orders.order(verb, command)

    # undo ----------------------------------------------------------------------------------------------------

    async def undo(self, command: UndoCommand) -> Effect:
        """Take back a done operation: what it gave ends, what it ended is given back, what it moved goes back.

        Calls that are no longer where it put them are left alone, and named.

        Raises:
            ContractError: operation.no_undo, or operation.moved when others have changed it since.
            StoreUnavailable: nothing was changed.
        """
        check_words(command.reason, command.who)
        record, undo = await self._plans.done(command.operation)
        unit = Unit(self._house.now())
        self._undo_orders(unit, undo, command)
        left = await self._undo_moves(unit, undo, command)
        self._plans.take_back(unit, record.id)
        facts = {"operation": record.id, "reason": command.reason, "left_alone": left or None}
        entry = AuditRow(
            *(unit.at, command.who, "operation.undone", record.verb, facts),
            cause=command.reason,
            inputs=f"operation {record.id}",
        )
        unit.audits.append(entry)
        await self._plans.write(unit, bool(undo.moves))
        note = f"{record.verb} of {record.id} is undone"
        if left:
            note += f"; {len(left)} calls had gone on meanwhile and are left alone"
        moved = len(unit.call_moves)
        return Effect("undo", record.verb, True, moved, 0, 0, note, left_alone=left, operation=record.id)

    def _undo_orders(self, unit: Unit, undo: Undo, command: UndoCommand) -> None:
        controls = self._house.controls
        for given in undo.ends:
            standing = controls.standing(given.verb, given.target)
            if standing is None or standing.since != given.since:
                detail = f"The {given.verb} of {given.target} that it gave is no longer in force."
                raise ContractError("operation.moved", detail, "/operation")
            unit.control_ends.append(ControlEnd(given.verb, given.target, unit.at, command.who, command.reason))
        ended = {(given.verb, given.target) for given in undo.ends}
        for order in undo.orders:
            if order.until is not None and order.until <= unit.at:
                continue
            if (order.verb, order.target) not in ended and controls.standing(order.verb, order.target):
                detail = f"Another {order.verb} of {order.target} is in force meanwhile."
                raise ContractError("operation.moved", detail, "/operation")
            controls.add_back(unit, order)

    async def _undo_moves(self, unit: Unit, undo: Undo, command: UndoCommand) -> list[str]:
        """Have the unit move back what stands where it was put; intent ids of the rest."""
        found = {call.seq: call for call in await self._work.by_intent([moved.intent_id for moved in undo.moves])}
        left = []
        for moved in undo.moves:
            call = found.get(moved.seq)
            where = (moved.lane_after, moved.not_before_after)
            if call is None or call.status != "waiting" or (call.lane, call.not_before) != where:
                left.append(moved.intent_id)
                continue
            unit.call_moves.append(
                CallMove(call, moved.lane, moved.order_ref, moved.not_before, command.who, command.reason)
            )
        return left

    # looking -------------------------------------------------------------------------------------------------

    def eta_of_all(self) -> str | None:
        """When the last of all waiting calls may start; None when nothing waits, or nobody can say."""
        waiting = self._effects.all_waiting()
        return None if not waiting or self._effects.stopped() else rfc3339(self._effects.eta(waiting - 1))

    async def history(self, limit: int) -> list[dict[str, Any]]:
        """The last operations, newest first, with what undoes them."""
        return [
            {
                "operation": record.id,
                "verb": record.verb,
                "who": record.who,
                "at": rfc3339(moment(record.done_at or record.made_at)),
                "effect": msgspec.json.decode(record.effect),
                "can_be_undone": record.undo is not None and record.undone_at is None,
                "undone_at": rfc3339(moment(record.undone_at)) if record.undone_at else None,
            }
            for record in await self._plans.operations(limit)
        ]
