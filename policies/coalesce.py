"""Superseded updates become one: forty changes of one record that wait are one call with the same end state.

Only operations that are declared here take part, and none of them moves money: each says what a record *is to be*,
not what is to be added to it. A `replace` states the whole record, a `patch` some of its fields (null clears one).
Folding them in their order gives one call: the last whole state, if there is one, with the later patches over it.

What must not be crossed. An operation that is not declared may read the record or depend on it, so within its key
nothing moves from one side of it to the other. A call that was ever sent may have had its effect, so it is not
touched and counts as such a wall as well. Records of different targets hold no field in common, so updates of one
may pass those of another.

The one call takes the place of the first that it stands for (number, lane, earliest deadline), so nobody waits for
longer, and nothing else of the key is overtaken by what was behind it, but for updates of the same record. Every
undeclared operation thus finds the state that it would have found, and the end state is the same; the property test
holds both against random histories.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from policies.lanes import LANES
from policies.order_lines import NEVER

Kind: TypeAlias = Literal["replace", "patch"]

COALESCIBLE: Mapping[str, Kind] = {
    "account.update": "patch",
    "contact.update": "patch",
    "entitlement.set": "replace",
    "case.link": "replace",
}
"""Operations whose calls may be folded, and what they say of their record. Never one that moves money."""


class Update(Struct, frozen=True):
    """A call that waits. Calls of one `key` go by `seq`; `target` is the record it is about.

    `body` is what a declared operation says of the record's fields. `sent`: it was sent before, whatever became of it.
    """

    seq: int
    key: str
    operation: str
    target: str
    body: Mapping[str, Any]
    lane: str = "standard"
    deadline: int = NEVER
    money: bool = False
    sent: bool = False


class Folded(Struct, frozen=True):
    """One call to make, and the numbers of those that it makes needless, in order; `call.seq` is not among them."""

    call: Update
    superseded: tuple[int, ...] = ()


def coalesce(waiting: Iterable[Update], declared: Mapping[str, Kind] = COALESCIBLE) -> list[Folded]:
    """The calls to make instead, by number. `waiting` in any order.

    Raises ValueError if a declared operation moves money: that is a fault in the table, not in the call.
    """
    done: list[Folded] = []
    open_: dict[tuple[str, str], list[Update]] = {}
    for update in sorted(waiting, key=lambda found: found.seq):
        if update.money and update.operation in declared:
            raise ValueError(f"{update.operation} moves money and is declared coalescible: take it out of the table")
        if update.sent or update.operation not in declared:
            for place in [place for place in open_ if place[0] == update.key]:
                done.append(_fold(open_.pop(place), declared))
            done.append(Folded(update))
        else:
            open_.setdefault((update.key, update.target), []).append(update)
    done += [_fold(run, declared) for run in open_.values()]
    return sorted(done, key=lambda folded: folded.call.seq)


def saved(folded: Iterable[Folded]) -> int:
    """Calls that need not be made."""
    return sum(len(one.superseded) for one in folded)


def _fold(run: Sequence[Update], declared: Mapping[str, Kind]) -> Folded:
    """One call for updates of one record with nothing between them that could tell the difference."""
    whole = max((n for n, update in enumerate(run) if declared[update.operation] == "replace"), default=0)
    body: dict[str, Any] = {}
    for update in run[whole:]:
        body |= update.body
    if declared[run[whole].operation] == "replace":
        body = {name: value for name, value in body.items() if value is not None}
    first = run[0]
    call = Update(
        first.seq,
        first.key,
        run[whole].operation,
        first.target,
        body,
        min((update.lane for update in run), key=LANES.index),
        min(update.deadline for update in run),
    )
    return Folded(call, tuple(update.seq for update in run[1:]))
