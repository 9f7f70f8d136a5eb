"""What an order can be about, and whether it makes sense: checked the same with a daemon and without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from actors.controls import OPPOSITE
from actors.operator_records import Command
from contracts.errors import ContractError, nearest
from policies.lanes import LANES
from policies.scope import Scope, parse_scope

REASON_MAX = 500
WHO_MAX = 100


class Places(msgspec.Struct, frozen=True):
    """What an order can be about. `queues`: the queues of each domain; `operations`: what is called at the systems.

    `beside`: the other systems that are connected.
    """

    system: str
    caller_domain: str
    queues: Mapping[str, Sequence[str]]
    partitions: int = 4
    operations: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def of(self, verb: str) -> list[str]:
        """What this verb can name: calls can be held, whatever moves can be paused, and doors are closed together."""
        lanes = [f"lane:{lane}" for lane in LANES]
        match OPPOSITE.get(verb, verb):
            case "drain":
                return ["all", *lanes]
            case "hold":
                return ["all", self.system, self.caller_domain, *self.beside, *lanes]
        return ["all", *sorted(self.queues), self.system, *self.beside, *lanes]

    def scope(self, verb: str, target: str) -> Scope:
        """The scope of a target, if the verb has an effect on it.

        Raises:
            ContractError: operation.target.
        """
        try:
            scope = parse_scope(target)
        except ValueError as error:
            raise self._refusal(verb, target, f"{error}.") from None
        if not self._has_place(verb, scope):
            raise self._refusal(verb, target, "")
        if scope.partition is not None and scope.partition >= self.partitions:
            raise self._refusal(verb, target, f"The partitions are 0 to {self.partitions - 1}.")
        if scope.operation is not None and not self._has_operation(verb, scope.operation):
            raise self._refusal(verb, target, f"The operations are {', '.join(self.operations)}.")
        return scope

    def _has_place(self, verb: str, scope: Scope) -> bool:
        if not scope.place.startswith("queue:"):
            return scope.place in self.of(verb)
        known = any(scope.place.removeprefix("queue:") in queues for queues in self.queues.values())
        return known and not scope.narrow and OPPOSITE.get(verb, verb) == "pause"

    def _has_operation(self, verb: str, wanted: str) -> bool:
        if OPPOSITE.get(verb, verb) == "drain":
            return False
        return any(known == wanted or known.startswith(wanted + ".") for known in self.operations)

    def _refusal(self, verb: str, target: str, why: str) -> ContractError:
        known = self.of(verb)
        queues = [f"queue:{queue}" for of_domain in self.queues.values() for queue in of_domain]
        pausing = OPPOSITE.get(verb, verb) == "pause"
        guess = nearest(target, [*known, *queues] if pausing else known)
        hint = f' Did you mean "{guess}"?' if guess else ""
        also = ", or queue:NAME" if pausing else ""
        parts = "tenant:NAME, partition:N" + ("" if OPPOSITE.get(verb, verb) == "drain" else ", operation:NAME")
        detail = f"{verb} takes one of {', '.join(known)}{also}, narrowed by {parts}. {why}{hint}".strip()
        return ContractError("operation.target", detail, "/target", known=known, nearest=guess)


def check(verb: str, command: Command, places: Places, now: datetime) -> Scope:
    """What an order is about, if it names something, gives a reason and has not ended.

    Raises:
        ContractError: operation.* or date.format, with the path.
    """
    scope = places.scope(verb, command.target)
    check_words(command.reason, command.who)
    if verb in OPPOSITE and (command.until or command.begins):
        path = "/until" if command.until else "/begins"
        raise ContractError("operation.until", f"{verb} takes effect at once; leave it out.", path)
    check_times(command.begins, command.until, now)
    return scope


def check_words(reason: str, who: str) -> None:
    """Raise ContractError operation.reason or operation.who unless both say something printable."""
    _check_text(reason, REASON_MAX, "operation.reason", "Say why", "/reason")
    _check_text(who, WHO_MAX, "operation.who", "Say who you are", "/who")


def check_times(begins: datetime | None, until: datetime | None, now: datetime) -> None:
    """Raise ContractError date.format or operation.until unless begin and end are in the future, in this order."""
    for path, at in (("/begins", begins), ("/until", until)):
        if at is None:
            continue
        if at.tzinfo is None:
            raise ContractError("date.format", "Give the offset from UTC, as in 2026-03-01T14:00:00Z.", path)
        if at <= now:
            what = "no end" if path == "/until" else "at once"
            raise ContractError("operation.until", f"It is past already; leave it out for {what}.", path)
    if begins is not None and until is not None and until <= begins:
        raise ContractError("operation.until", "It would end before it begins.", "/until")


def _check_text(text: str, characters_max: int, code: str, wish: str, path: str) -> None:
    if not text.strip() or len(text) > characters_max or not text.isprintable():
        raise ContractError(code, f"{wish}, in 1 to {characters_max} printable characters.", path)
