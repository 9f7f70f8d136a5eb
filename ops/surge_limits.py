"""The limits of a surge against a profile: shortened windows, narrower and wider amounts, and the way between two sets.

A published window of five minutes or a day is longer than anybody watches. So the windows can be shortened, each to a
length that is stated, with the same number of calls in them; execution seconds are time as well and are shortened with
their window. What is shortened says so, in the words that go into the ERP's log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec

from ops.sandbox.limits import Concurrent, Execution, Limit

SHORT_SECONDS = {60: 1, 300: 60, 3_600: 60, 86_400: 100, 31 * 86_400: 1_000}
"""A published window, and what it is shortened to: every limit of a profile still has its turn to be the narrow one."""
LIFTED = 1_000_000
"""In place of a limit that is no more: none of a daemon's limits can be taken away live, and this is none."""
STEERED_SECONDS_MAX = 60
"""Longer windows keep their amount when limits are changed in mid-run: a change there would act only much later."""


def word(limit: Limit) -> str:
    """A limit as settings and commands write it."""
    before = f"{limit.op}: " if limit.op else ""
    behind = " per object" if limit.per else ""
    match limit:
        case Concurrent():
            return f"{before}{limit.limit} concurrent{behind}"
        case Execution():
            return f"{before}{limit.limit} execution-seconds/{limit.seconds}s{behind}"
        case _:
            return f"{before}{limit.limit}/{limit.seconds}s{behind}"


def words(limits: Iterable[Limit]) -> list[str]:
    """Several."""
    return [word(limit) for limit in limits]


def shortened(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """The same limits in short windows; those of other windows as they are."""
    return tuple(_short(limit) for limit in limits)


def _short(limit: Limit) -> Limit:
    if isinstance(limit, Concurrent) or limit.seconds not in SHORT_SECONDS:
        return limit
    seconds = SHORT_SECONDS[limit.seconds]
    if isinstance(limit, Execution):
        return msgspec.structs.replace(limit, seconds=seconds, limit=max(1, limit.limit * seconds // limit.seconds))
    return msgspec.structs.replace(limit, seconds=seconds)


def told(profile: str, limits: Sequence[Limit]) -> str:
    """How the windows were shortened, for the log of the ERP."""
    windows = {one.seconds for one in limits if not isinstance(one, Concurrent)} & SHORT_SECONDS.keys()
    shorter = ((long, SHORT_SECONDS[long]) for long in sorted(windows))
    said = (f"{long} s to {short} s ({Fraction(short, long)})" for long, short in shorter)
    execution = ", execution seconds with them" if any(isinstance(one, Execution) for one in limits) else ""
    return f"windows of profile {profile} shortened for this run: {', '.join(said)}; amounts as published{execution}"


def steered(limits: Sequence[Limit], percent: int) -> tuple[Limit, ...]:
    """The limits at so many percent, at least 1; those of long windows as they are."""
    return tuple(
        limit
        if not isinstance(limit, Concurrent) and limit.seconds > STEERED_SECONDS_MAX
        else msgspec.structs.replace(limit, limit=max(1, limit.limit * percent // 100))
        for limit in limits
    )


def _window(limit: Limit) -> tuple[object, ...]:
    return type(limit), getattr(limit, "seconds", None), limit.op, limit.per


def both(before: Iterable[Limit], after: Iterable[Limit]) -> tuple[Limit, ...]:
    """What keeps the one set and the other: of each window the narrower."""
    found: dict[tuple[object, ...], Limit] = {}
    for limit in (*before, *after):
        known = found.setdefault(_window(limit), limit)
        found[_window(limit)] = min(known, limit, key=lambda one: one.limit)
    return tuple(found.values())


def instead(before: Iterable[Limit], after: Sequence[Limit]) -> tuple[Limit, ...]:
    """The second set, with the windows that only the first has lifted."""
    named = {_window(limit) for limit in after}
    lifted = (msgspec.structs.replace(one, limit=LIFTED) for one in before if _window(one) not in named)
    return (*after, *lifted)
