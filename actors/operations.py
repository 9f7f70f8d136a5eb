"""Operator verbs: durable, audited, in force before they are answered, the same from the command line and over HTTP."""

from __future__ import annotations

from datetime import datetime

import msgspec

from actors.controls import OPPOSITE, VERBS, Order
from actors.house import House
from actors.runtime.clock import microseconds
from contracts.errors import ContractError, nearest
from policies.lanes import LANES

REASON_MAX = 500


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator asks for; `until` is RFC 3339 with an offset."""

    target: str
    reason: str
    who: str
    until: datetime | None = None
    dry_run: bool = False


class Effect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the command did, or would do: work that stands still or moves on because of it."""

    verb: str
    target: str
    done: bool
    waiting_calls: int
    queued_messages: int
    in_flight_calls: int
    note: str


class Operations:
    """Carries out the verbs on a house."""

    def __init__(self, house: House) -> None:
        self._house = house

    def targets(self) -> list[str]:
        """What can be named."""
        domains = sorted(self._house.consumed)
        return ["all", *domains, self._house.system, *(f"lane:{lane}" for lane in LANES)]

    async def run(self, verb: str, command: Command) -> Effect:
        """Carry out `pause`, `hold`, `drain` or their ends `resume`, `release`, `undrain`.

        Returns when no call can start any more that the order forbids. Calls in flight go on to their end; the
        effect says how many there are.

        Raises:
            ContractError: operation.* codes; nothing was changed.
            StoreUnavailable: it could not be made durable and is not in force.
        """
        self._check(verb, command)
        if not command.dry_run:
            if verb in VERBS:
                until = microseconds(command.until) if command.until else None
                await self._house.controls.give(Order(verb, command.target, command.who, command.reason, until))
            else:
                await self._end(verb, command)
            if self._house.poster is not None:
                await self._house.poster.settle_orders()
        return await self._effect(verb, command)

    def _check(self, verb: str, command: Command) -> None:
        known = self.targets()
        target = command.target
        if target not in known and not target.startswith("queue:tidegate."):
            raise ContractError(
                "operation.target",
                f"Expected one of {', '.join(known)}, or queue:NAME.",
                "/target",
                known=known,
                nearest=nearest(target, known),
            )
        if not command.reason.strip() or len(command.reason) > REASON_MAX:
            raise ContractError("operation.reason", f"Say why, in 1 to {REASON_MAX} characters.", "/reason")
        if command.until is not None:
            if command.until.tzinfo is None:
                raise ContractError("date.format", "Give the offset from UTC, as in 2026-03-01T14:00:00Z.", "/until")
            if command.until <= self._house.clock.now():
                raise ContractError("operation.until", "It is past already; leave it out for no end.", "/until")

    async def _end(self, verb: str, command: Command) -> None:
        opposite = OPPOSITE[verb]
        if not await self._house.controls.end(opposite, command.target, command.who, command.reason):
            others = [o.target for o in self._house.controls.in_force() if o.verb == opposite]
            listed = ", ".join(others) or "none"
            detail = f"No {opposite} of {command.target} is in force. In force: {listed}."
            raise ContractError("operation.nothing", detail, "/target", known=others)

    async def _effect(self, verb: str, command: Command) -> Effect:
        house = self._house
        lanes = [command.target.removeprefix("lane:")] if command.target.startswith("lane:") else list(LANES)
        waiting = sum(house.store.counters.waiting(house.system, lane) for lane in lanes)
        queued = sum(row.ready for row in await house.broker.statistics() if self._concerns(command.target, row.queue))
        flying = house.poster.in_flight() if house.poster else 0
        note = "nothing was changed (dry run)" if command.dry_run else "in force; it survives a restart"
        if not command.dry_run and verb in OPPOSITE:
            note = "ended"
        return Effect(verb, command.target, not command.dry_run, waiting, queued, flying, note)

    def _concerns(self, target: str, queue: str) -> bool:
        parts = queue.split(".")
        named = {f"queue:{queue}", "all", *(parts[1:2]), *(f"lane:{part}" for part in parts[2:3])}
        return target in named
