"""The shapes that a budget is made of and answers with. Times are nanoseconds of one monotonic clock."""

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct


class RateLimit(Struct, frozen=True, tag="rate"):
    """At most `limit` units of cost may arrive in any window of `window_ns` nanoseconds."""

    limit: int
    window_ns: int
    name: str


class ConcurrencyLimit(Struct, frozen=True, tag="concurrent"):
    """At most `limit` calls may be at the system at the same instant."""

    limit: int
    name: str = "concurrent"


Limit: TypeAlias = RateLimit | ConcurrencyLimit


class Lease(Struct, frozen=True):
    """The right to make one call, taken out of every limit at once. Opaque: hand it back."""

    id: int
    admitted_ns: int
    cost: int
    probe: bool = False


class Wait(Struct, frozen=True):
    """No call may start now.

    `until_ns` is when to ask again at the latest; None means that only the end of a call in flight can help.
    Ask again at every end as well: an end may make room sooner. `limit_name` names what is full (a limit, or
    "frozen", "probe", "return", "clock"); `reason` is a sentence for the person who asks why nothing moves.
    """

    until_ns: int | None
    limit_name: str
    reason: str


class Usage(Struct, frozen=True):
    """How full one limit is. `free_at_ns`: when one more unit fits, now or later; None: when a call ends."""

    name: str
    used: int
    limit: int
    window_ns: int | None
    free_at_ns: int | None


class Spend(Struct, frozen=True):
    """A call made by an earlier process.

    `arrived_by_ns`: the latest instant at which it can have arrived, if its end is known; else None and
    `safe_at_ns` is the instant by which it has surely arrived and ended (its time-out, plus some).
    """

    arrived_by_ns: int | None = None
    safe_at_ns: int | None = None
    cost: int = 1


class Freeze(Struct, frozen=True):
    """The system refused: nothing starts before `until_ns`, then one probe (its lease id) decides."""

    until_ns: int
    reason: str
    limit_name: str | None = None
    probe: int | None = None


class Return(Struct, frozen=True):
    """The way back after a freeze: calls in flight allowed so far; only calls after the probe widen it."""

    allowed: int
    probe: int


class BudgetState(Struct, frozen=True):
    """Everything a Budget knows, for a snapshot. Encodes with msgspec."""

    limits: tuple[Limit, ...]
    guard_ns: int
    history_ns: int
    arrivals: tuple[int, ...]
    busy: tuple[int, ...]
    held: tuple[Lease, ...]
    abandoned: tuple[tuple[Lease, int], ...]
    freeze: Freeze | None
    way_back: Return | None
    next_id: int
    latest_ns: int | None
    remembers_from_ns: int | None


def arrival_bound(started_ns: int, ended_ns: int, server_ns: int | None) -> int:
    """The latest instant at which an answered call can have arrived.

    `server_ns` is the duration that the system itself reports for the call (Server-Timing), rounded down, or
    None. A report that cannot be true (negative, or longer than the call took) is not believed: the answer is
    then the end of the call, which is always safe.
    """
    if server_ns is None or not 0 <= server_ns <= ended_ns - started_ns:
        return ended_ns
    return ended_ns - server_ns


def checked(limits: Iterable[Limit]) -> tuple[Limit, ...]:
    """The same limits as a tuple. Raises ValueError naming the limit that makes no sense, and what to do."""
    found = tuple(limits)
    names = [limit.name for limit in found]
    for limit in found:
        if limit.limit < 1:
            raise ValueError(f"limit {limit.name!r} is {limit.limit}, expected 1 or more; to stop calls, hold")
        if isinstance(limit, RateLimit) and limit.window_ns < 1:
            raise ValueError(f"limit {limit.name!r} has a window of {limit.window_ns} ns, expected 1 or more")
        if names.count(limit.name) > 1:
            raise ValueError(f"two limits are named {limit.name!r}; give each limit its own name")
    return found
