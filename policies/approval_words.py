"""Approvers and delegations as they are written in settings."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from policies.approval import RANKS, Delegation, Person

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
