"""Operator verbs: durable, audited, in force before they are answered, the same from the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from actors.controls import OPPOSITE, VERBS, Order
from actors.house import House
from actors.runtime.clock import microseconds
from contracts.errors import ContractError, nearest
from policies.lanes import LANES

REASON_MAX = 500
WHO_MAX = 100


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


class Places(msgspec.Struct, frozen=True):
    """What an order can be about. `queues`: the queues of each domain."""

    system: str
    caller_domain: str
    queues: Mapping[str, Sequence[str]]

    def of(self, verb: str) -> list[str]:
        """What this verb can name: calls can be held, whatever moves can be paused, and doors are closed together."""
        lanes = [f"lane:{lane}" for lane in LANES]
        match OPPOSITE.get(verb, verb):
            case "drain":
                return ["all"]
            case "hold":
                return ["all", self.system, self.caller_domain, *lanes]
        return ["all", *sorted(self.queues), self.system, *lanes]

    def has(self, verb: str, target: str) -> bool:
        """Whether the verb has an effect on the target."""
        queue = target.removeprefix("queue:")
        is_queue = queue != target and any(queue in queues for queues in self.queues.values())
        return target in self.of(verb) or (is_queue and OPPOSITE.get(verb, verb) == "pause")


def check(verb: str, command: Command, places: Places, now: datetime) -> None:
    """Refuse an order that names nothing, gives no reason or has ended.

    Raises:
        ContractError: operation.* or date.format, with the path.
    """
    target = command.target
    if not places.has(verb, target):
        known = places.of(verb)
        queues = [f"queue:{queue}" for of_domain in places.queues.values() for queue in of_domain]
        also = ", or queue:NAME" if OPPOSITE.get(verb, verb) == "pause" else ""
        guess = nearest(target, [*known, *queues] if also else known)
        hint = f' Did you mean "{guess}"?' if guess else ""
        detail = f"{verb} takes one of {', '.join(known)}{also}.{hint}"
        raise ContractError("operation.target", detail, "/target", known=known, nearest=guess)
    _check_text(command.reason, REASON_MAX, "operation.reason", "Say why", "/reason")
    _check_text(command.who, WHO_MAX, "operation.who", "Say who you are", "/who")
    if command.until is not None:
        if verb in OPPOSITE:
            raise ContractError("operation.until", f"{verb} takes effect at once; leave it out.", "/until")
        if command.until.tzinfo is None:
            raise ContractError("date.format", "Give the offset from UTC, as in 2026-03-01T14:00:00Z.", "/until")
        if command.until <= now:
            raise ContractError("operation.until", "It is past already; leave it out for no end.", "/until")


def _check_text(text: str, characters_max: int, code: str, wish: str, path: str) -> None:
    if not text.strip() or len(text) > characters_max or not text.isprintable():
        raise ContractError(code, f"{wish}, in 1 to {characters_max} printable characters.", path)


class Operations:
    """Carries out the verbs on a house."""

    def __init__(self, house: House) -> None:
        self._house = house

    def places(self) -> Places:
        """What can be named."""
        house = self._house
        return Places(house.system, house.caller_domain, house.consumed)

    async def run(self, verb: str, command: Command) -> Effect:
        """Carry out `pause`, `hold`, `drain` or their ends `resume`, `release`, `undrain`.

        Returns when no call can start any more that the order forbids. Calls in flight go on to their end; the
        effect says how many there are.

        Raises:
            ContractError: operation.* codes; nothing was changed.
            StoreUnavailable: it could not be made durable and is not in force.
        """
        check(verb, command, self.places(), self._house.clock.now())
        if not command.dry_run:
            if verb in VERBS:
                until = microseconds(command.until) if command.until else None
                await self._house.controls.give(Order(verb, command.target, command.who, command.reason, until))
            else:
                await self._end(verb, command)
            for poster in self._house.posters.values():
                await poster.settle_orders()
        return await self._effect(verb, command)

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
        queued = sum(row.ready for row in await house.queues() if self._concerns(command.target, row.queue))
        flying = sum(poster.in_flight() for poster in house.posters.values())
        note = "nothing was changed (dry run)" if command.dry_run else "in force; it survives a restart"
        if not command.dry_run and verb in OPPOSITE:
            note = "ended"
        return Effect(verb, command.target, not command.dry_run, waiting, queued, flying, note)

    def _concerns(self, target: str, queue: str) -> bool:
        parts = queue.split(".")
        named = {f"queue:{queue}", "all", *(parts[1:2]), *(f"lane:{part}" for part in parts[2:3])}
        return target in named
