"""Plans for standing orders and live settings."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import NoReturn

import msgspec

from actors.controls import OPPOSITE, VERBS, Order
from actors.house import House
from actors.operator_effects import Effects, rfc3339
from actors.operator_places import Places, check, check_times, check_words
from actors.operator_plans import Plan, digest_of
from actors.operator_records import Command, Effect, Given, SettingCommand, Undo
from actors.operator_settings import RATE, overlaid, words
from actors.operator_windows import WINDOW, next_span
from actors.runtime.clock import microseconds, moment
from broker.store.reads import Control
from broker.store.rows import ControlEnd
from broker.store.unit import Unit
from contracts.errors import ContractError
from policies.limit_words import parse_limits
from policies.limits import Limit
from policies.scope import Scope

_DRY = "nothing was changed (dry run)"
_COUNT_SECONDS = 0.25
"""What the store cannot count in this time does not keep an order waiting."""


class OrderPlanner:
    """Checks commands about orders and settings, and says what they would do."""

    def __init__(self, house: House, places: Places, effects: Effects) -> None:
        self._house = house
        self._places = places
        self._effects = effects

    async def order(self, verb: str, command: Command) -> Plan:
        """The plan of `pause`, `hold`, `drain` or one of their ends.

        Raises:
            ContractError: operation.* or date.format.
        """
        scope = check(verb, command, self._places, self._house.clock.now())
        target = str(scope)
        standing = self._house.controls.standing(OPPOSITE.get(verb, verb), target)
        effect = await self._effect(verb, scope, command, standing)
        if verb in VERBS:
            return self._giving(verb, target, command, effect, standing)
        if standing is None:
            self._refuse_nothing(OPPOSITE[verb], target)
        return self._ending(OPPOSITE[verb], target, command, effect, standing)

    def _refuse_nothing(self, verb: str, target: str) -> NoReturn:
        controls = self._house.controls
        others = [o.target for o in (*controls.in_force(), *controls.to_come()) if o.verb == verb]
        detail = f"No {verb} of {target} is in force. In force: {', '.join(others) or 'none'}."
        raise ContractError("operation.nothing", detail, "/target", known=others)

    def _giving(
        self,
        verb: str,
        target: str,
        command: Command | SettingCommand,
        effect: Effect,
        before: Control | None,
        value: str | None = None,
    ) -> Plan:
        begins = command.begins if isinstance(command, Command) else None
        order = Order(
            verb,
            target,
            command.who,
            command.reason,
            until=microseconds(command.until) if command.until else None,
            begins=microseconds(begins) if begins else None,
            value=value,
        )

        def write(unit: Unit) -> None:
            self._house.controls.add(unit, order)

        def undo(at: int) -> Undo:
            return Undo(ends=(Given(verb, target, at),), orders=_back(before))

        note = "in force; it survives a restart"
        if begins is not None:
            note = f"will be in force from {rfc3339(begins)}; it survives a restart"
        return Plan(effect, command.who, command, _digest(before), write, undo, note)

    def _ending(
        self, verb: str, target: str, command: Command | SettingCommand, effect: Effect, before: Control | None
    ) -> Plan:
        def write(unit: Unit) -> None:
            unit.control_ends.append(ControlEnd(verb, target, unit.at, command.who, command.reason))

        back = Undo(orders=_back(before))
        return Plan(effect, command.who, command, _digest(before), write, lambda at: back, "ended")

    # effects -------------------------------------------------------------------------------------------------

    async def _effect(self, verb: str, scope: Scope, command: Command, standing: Control | None) -> Effect:
        calls, money = await self._count(scope, command.dry_run)
        system = self._effects.system_of(scope)
        eta, after = self._times(verb, calls, command.until, system)
        return Effect(
            verb,
            str(scope),
            False,
            calls,
            await self._effects.queued(scope),
            self._effects.in_flight(system),
            _DRY,
            money=money,
            eta=rfc3339(eta),
            eta_after=rfc3339(after),
            before=None if standing is None else _told(standing),
            until=rfc3339(command.until),
        )

    async def _count(self, scope: Scope, dry_run: bool) -> tuple[int, dict[str, str]]:
        """Calls and money under a scope. A dry run looks into the store; an order does not wait for it."""
        known = self._effects.waiting(scope)
        if dry_run:
            extent = await self._effects.extent(scope)
            return extent.calls, extent.money
        if known is not None:
            return known, {}
        try:
            async with asyncio.timeout(_COUNT_SECONDS):
                return (await self._effects.extent(scope)).calls, {}
        except TimeoutError:
            return 0, {}

    def _times(
        self, verb: str, calls: int, until: datetime | None, system: str
    ) -> tuple[datetime | None, datetime | None]:
        """When the last of so many calls may start, as things stand and with the command."""
        if verb not in ("pause", "hold", "resume", "release") or not calls:
            return None, None
        every = self._effects.all_waiting(system)
        flowing, nobody_knows = self._effects.eta(every - 1, system=system), self._effects.stopped(system)
        if verb in OPPOSITE:
            return (None if nobody_knows else flowing), flowing
        held = self._effects.eta(calls - 1, since=until, system=system) if until is not None else None
        return (None if nobody_knows else flowing), held

    # settings ------------------------------------------------------------------------------------------------

    async def setting(self, command: SettingCommand) -> Plan:
        """The plan of setting something live.

        Raises:
            ContractError: operation.* or date.format.
        """
        check_words(command.reason, command.who)
        check_times(None, command.until, self._house.clock.now())
        live, controls = self._house.live, self._house.controls
        target, value = live.checked(command.name, command.target, command.value)
        standing = controls.standing(command.name, target)
        after = value
        limits: tuple[Limit, ...] | None = None
        if command.name == RATE:
            limits = overlaid(live.configured, parse_limits(value.split(",")))
            after = words(limits)
        if command.name == WINDOW:
            after = (
                f"{value} ({next_span(value, live.configured_calendar.zone, self._house.clock.now()) or 'not soon'})"
            )
        effect = self._setting_effect("set", command, after, limits)
        return self._giving(command.name, target, command, effect, standing, value)

    async def unsetting(self, command: SettingCommand) -> Plan:
        """The plan of going back to what is configured.

        Raises:
            ContractError: operation.* codes.
        """
        check_words(command.reason, command.who)
        live = self._house.live
        target = live.checked_target(command.name, command.target)
        standing = self._house.controls.standing(command.name, target)
        if standing is None:
            self._refuse_nothing(command.name, target)
        after = words(live.configured) if command.name == RATE else "as configured"
        effect = self._setting_effect("unset", command, after, live.configured if command.name == RATE else None)
        return self._ending(command.name, target, command, effect, standing)

    def _setting_effect(
        self, verb: str, command: SettingCommand, after: str, limits: tuple[Limit, ...] | None
    ) -> Effect:
        effects, poster = self._effects, self._house.poster
        every = effects.all_waiting()
        times = every and limits is not None and not effects.stopped()
        return Effect(
            verb,
            f"{command.name} {command.target}",
            False,
            every,
            0,
            poster.in_flight() if poster else 0,
            _DRY,
            eta=rfc3339(effects.eta(every - 1)) if times else None,
            eta_after=rfc3339(effects.eta(every - 1, limits=limits)) if times else None,
            before=self._house.live.told(command.name, command.target),
            after=after,
            until=rfc3339(command.until),
        )


def _back(before: Control | None) -> tuple[Order, ...]:
    """The order that gives back what stood before."""
    if before is None:
        return ()
    names = [field.name for field in msgspec.structs.fields(Order)]
    return (Order(**{name: getattr(before, name) for name in names}),)


def _digest(before: Control | None) -> str:
    return digest_of(None if before is None else before.seq)


def _told(order: Control) -> str:
    until = f" until {rfc3339(moment(order.until))}" if order.until else ""
    return f"{order.verb} by {order.who}{until}: {order.reason}"
