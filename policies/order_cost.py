"""What a call costs the one who has it made: the time for which it alone would keep the system busy.

A limit of N per W is kept busy for W / N by each unit; C places are kept busy for the C-th part of the time that a call
is there; L seconds of execution per W for W / L of each second that it executes, which is taken to be the time that it
is there. Limits per object keep their object busy and not the system, so they are left out. A call costs the most that
any of its limits says, so whoever makes slow calls pays for the places they hold, and where only the rate is scarce all
calls cost the same.
"""

from collections.abc import Iterable

from policies.limits import ConcurrencyLimit, ExecutionLimit, RateLimit, capacity

SPREAD = 2


def cost_us(limits: Iterable[object], held_ns: int, units: int = 1) -> int:
    """The cost of a call in microseconds of the system's time, 1 or more. `held_ns`: how long it is in flight."""
    return max([1, *(_busy_ns(limit, held_ns, units) // 1_000 for limit in limits)])


def settled_cost(expected: int, found: int) -> int:
    """What is charged in the end for a call that was charged `expected` at its start.

    Within a factor of two: one call that hangs, or whose answer we were slow to read, puts off its tenant's next one by
    one round and not by more. The bounds of the order hold with costs that differ by so much both ways, for calls that
    are expected to cost the same; what is slow as a rule is expected to be.
    """
    return min(max(found, -(-expected // SPREAD)), expected * SPREAD)


def _busy_ns(limit: object, held_ns: int, units: int) -> int:
    if getattr(limit, "per_object", False):
        return 0
    if isinstance(limit, RateLimit):
        return limit.window_ns * units // limit.limit
    if isinstance(limit, ConcurrencyLimit):
        return held_ns // limit.limit
    if isinstance(limit, ExecutionLimit):
        return held_ns * limit.window_ns // capacity(limit)
    return 0
