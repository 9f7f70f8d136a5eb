"""Approvers and delegations as they are written in settings."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from policies.approval import RANKS, UNNAMED, Delegation, Person

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_people(words: Iterable[str]) -> dict[str, Person]:
    """From "name=role". Raises ValueError for anything else, for a role that is not known, and for a name twice."""
    found: dict[str, Person] = {}
    for word in words:
        name, sign, role = (part.strip() for part in word.partition("="))
        if not sign or not name:
            raise ValueError(f"{word!r} is not name=role, as in anna=finance-manager")
        if role not in RANKS:
            raise ValueError(f"{role!r} is not a role; known: {', '.join(RANKS)}")
        if name in found:
            raise ValueError(f"{name!r} is named twice")
        found[name] = Person(name, role)
    return found


def read_delegations(words: Iterable[str]) -> list[Delegation]:
    """From "giver>taker until 2026-03-31T18:00:00Z". Raises ValueError for anything else."""
    found = []
    for word in words:
        names, _, until = word.partition(" until ")
        giver, _, taker = (part.strip() for part in names.partition(">"))
        try:
            moment = datetime.fromisoformat(until.strip())
        except ValueError:
            moment = None
        if not giver or not taker or giver == taker or moment is None or moment.tzinfo is None:
            raise ValueError(f"{word!r} is not giver>taker until 2026-03-31T18:00:00Z")
        found.append(Delegation(giver, taker, (moment - _EPOCH) // timedelta(microseconds=1)))
    return found


class Named(Struct, frozen=True):
    """An operator with a token of their own. `role`: as what they approve, if they do; `path`: the token's file."""

    name: str
    path: str
    role: str | None = None


def read_operators(words: Iterable[str]) -> dict[str, Named]:
    """From "name as role with file", or "name with file". Raises ValueError for anything else, and for a name twice."""
    found: dict[str, Named] = {}
    for word in words:
        who, sign, path = (part.strip() for part in word.partition(" with "))
        name, _, role = (part.strip() for part in who.partition(" as "))
        if not sign or name.split() != [name] or not path or "as" in (name, role):
            raise ValueError(f"{word!r} is not name as role with file, as in anna as finance-manager with /run/anna")
        if role and role not in RANKS:
            raise ValueError(f"{role!r} is not a role; known: {', '.join(RANKS)}")
        if name == UNNAMED:
            raise ValueError(f"{name!r} is what the holder of the one token is called; take another name")
        if name in found:
            raise ValueError(f"{name!r} is named twice")
        found[name] = Named(name, path, role or None)
    return found


def everybody(people: Iterable[str], operators: Iterable[str]) -> dict[str, Person]:
    """All who may approve, from both lists. Raises ValueError as they do, and for somebody with two roles."""
    found = read_people(people)
    for name, operator in read_operators(operators).items():
        if operator.role is None:
            continue
        if found.get(name, Person(name, operator.role)).role != operator.role:
            raise ValueError(f"{name!r} is a {found[name].role} in approval.people and a {operator.role} here")
        found[name] = Person(name, operator.role)
    return found


def of_finance(people: Mapping[str, Person]) -> frozenset[str]:
    """Who of them has a role that approves something."""
    return frozenset(name for name, person in people.items() if RANKS[person.role] > 0)
