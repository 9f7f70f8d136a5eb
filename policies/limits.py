"""The shapes that a budget is made of and answers with. Times are nanoseconds of one monotonic clock."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import Struct

SECOND_NS = 1_000_000_000


class RateLimit(Struct, frozen=True, tag="rate"):
    """At most `limit` units (calls by their cost, or bytes) may arrive in any window of `window_ns` nanoseconds.

    `operation`: only calls of that operation count; None: every call. `per_object`: each object has a limit of its
    own; a call that names no object is in none of them.
    """

    limit: int
    window_ns: int
    name: str
    operation: str | None = None
    per_object: bool = False
    unit: Literal["calls", "bytes"] = "calls"


class ConcurrencyLimit(Struct, frozen=True, tag="concurrent"):
    """At most `limit` calls (of an operation, on an object) may be at the system at the same instant."""

    limit: int
    name: str = "concurrent"
    operation: str | None = None
    per_object: bool = False


class ExecutionLimit(Struct, frozen=True, tag="execution"):
    """At most `limit` seconds may be spent executing in any window of `window_ns` nanoseconds.

    What a call costs is known only at its end, so it is admitted with a reserve: `call_ns` if the longest execution
    of a call is stated, else what has been learned (`policies.budget_reserve`).
    """

    limit: int
    window_ns: int
    name: str
    operation: str | None = None
    per_object: bool = False
    call_ns: int | None = None


Limit: TypeAlias = RateLimit | ConcurrencyLimit | ExecutionLimit


class Ask(Struct, frozen=True):
    """What limits have to know of a call besides its cost: all that is None or 0 counts in no limit that needs it.

    `operation`: `post`, `find`, ...; `object`: the thing at the system that it touches; `bytes`: of its request;
    `execution_ns`: the longest it can execute, where the caller knows better than what was learned.
    """

    operation: str | None = None
    object: str | None = None
    bytes: int = 0
    execution_ns: int | None = None


class Lease(Struct, frozen=True):
    """The right to make one call, taken out of every limit at once. Opaque: hand it back.

    `execution_ns` is the execution time reserved for it.
    """

    id: int
    admitted_ns: int
    cost: int
    probe: bool = False
    operation: str | None = None
    object: str | None = None
    bytes: int = 0
    execution_ns: int = 0


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
    """How full one limit is. `free_at_ns`: when one more unit fits, now or later; None: when a call ends.

    `used` and `limit` are calls, bytes or (rounded up) execution seconds. Of a limit per object, the fullest object.
    """

    name: str
    used: int
    limit: int
    window_ns: int | None
    free_at_ns: int | None
    object: str | None = None


class Spend(Struct, frozen=True):
    """A call made by an earlier process, or `cost` calls that are remembered as one.

    `arrived_by_ns`: the latest instant at which it can have arrived, if its end is known; else None and
    `safe_at_ns` is the instant by which it has surely arrived and ended (its time-out, plus some).
    `execution_ns`: how long it executed at most; it ended at `ended_ns`, or that long after it arrived.
    """

    arrived_by_ns: int | None = None
    safe_at_ns: int | None = None
    cost: int = 1
    operation: str | None = None
    object: str | None = None
    bytes: int = 0
    execution_ns: int = 0
    ended_ns: int | None = None

    @property
    def bound_ns(self) -> int:
        """The latest instant at which it can have arrived. Raises ValueError if none is known."""
        bound = self.safe_at_ns if self.arrived_by_ns is None else self.arrived_by_ns
        if bound is None:
            raise ValueError("a restored call needs arrived_by_ns, or safe_at_ns if its end is not known")
        return bound

    @property
    def end_bound_ns(self) -> int:
        """The latest instant at which it can have executed."""
        if self.arrived_by_ns is None:
            return self.bound_ns
        return self.arrived_by_ns + self.execution_ns if self.ended_ns is None else self.ended_ns


class Freeze(Struct, frozen=True):
    """The system refused: nothing starts before `until_ns`, then one probe (its lease id) decides.

    Frozen is what `operation` and `object` name; everything if both are None.
    """

    until_ns: int
    reason: str
    limit_name: str | None = None
    probe: int | None = None
    operation: str | None = None
    object: str | None = None


class Return(Struct, frozen=True):
    """The way back after a freeze: calls in flight allowed so far; only calls after the probe widen it."""

    allowed: int
    probe: int


class RefusalState(Struct, frozen=True):
    """The freeze of one scope and the way back from it, for a snapshot."""

    operation: str | None
    object: str | None
    freeze: Freeze | None
    way_back: Return | None


class MeterState(Struct, frozen=True):
    """What one meter has counted, for a snapshot: which calls it counts, and the steps of its sum."""

    unit: str
    operation: str | None
    per_object: bool
    object: str | None
    base: int
    first: tuple[int, ...]
    at: tuple[int, ...]
    upto: tuple[int, ...]


class ReserveState(Struct, frozen=True):
    """What was learned about the execution time of one operation, for a snapshot."""

    operation: str | None
    seen: int
    longest_ns: int
    before_ns: int


class BudgetState(Struct, frozen=True):
    """Everything a Budget knows, for a snapshot. Encodes with msgspec."""

    limits: tuple[Limit, ...]
    guard_ns: int
    history_ns: int
    meters: tuple[MeterState, ...]
    recent: tuple[Spend, ...]
    expected: tuple[Spend, ...]
    busy: tuple[Spend, ...]
    held: tuple[Lease, ...]
    abandoned: tuple[tuple[Lease, Spend], ...]
    refusals: tuple[RefusalState, ...]
    reserves: tuple[ReserveState, ...]
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


def execution_bound(started_ns: int, ended_ns: int, arrived_by_ns: int, rounding_ns: int) -> int:
    """How long an answered call can have executed: since it arrived by the system's own report, else the whole time.

    `arrived_by_ns` is what `arrival_bound` gave; `rounding_ns` is what the report may have been rounded down by.
    """
    if arrived_by_ns >= ended_ns:
        return max(ended_ns - started_ns, 0)
    return max(min(ended_ns - arrived_by_ns + rounding_ns, ended_ns - started_ns), 0)


def capacity(limit: Limit) -> int:
    """The limit in the units that are counted: calls, bytes, or nanoseconds of execution."""
    return limit.limit * SECOND_NS if isinstance(limit, ExecutionLimit) else limit.limit


def window_of(limit: Limit) -> int | None:
    """The window in nanoseconds; None for a limit of calls at the same time."""
    return None if isinstance(limit, ConcurrencyLimit) else limit.window_ns


def checked(limits: Iterable[Limit]) -> tuple[Limit, ...]:
    """The same limits as a tuple. Raises ValueError naming the limit that makes no sense, and what to do."""
    found = tuple(limits)
    names = [limit.name for limit in found]
    for limit in found:
        if limit.limit < 1:
            raise ValueError(f"limit {limit.name!r} is {limit.limit}, expected 1 or more; to stop calls, hold")
        if (window_ns := window_of(limit)) is not None and window_ns < 1:
            raise ValueError(f"limit {limit.name!r} has a window of {window_ns} ns, expected 1 or more")
        if isinstance(limit, ExecutionLimit) and limit.call_ns is not None and limit.call_ns < 1:
            raise ValueError(f"limit {limit.name!r} states {limit.call_ns} ns for one call, expected 1 or more")
        if names.count(limit.name) > 1:
            raise ValueError(f"two limits are named {limit.name!r}; give each limit its own name")
    return found
