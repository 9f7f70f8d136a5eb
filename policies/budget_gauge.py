"""One limit beside what is spent of it: whether a call fits, and if not, from when on it would.

While there is plenty of room that is known without counting: what was counted once, and all that was added since, is
never less than what counts now (`Meter.added`). Only where that bound does not fit is counted anew.
"""

from collections.abc import Iterable

from policies.budget_tally import Tally
from policies.limits import Ask, ConcurrencyLimit, ExecutionLimit, Limit, RateLimit, Usage, Wait, capacity, window_of

NANOSECOND = 1_000_000_000


class Gauge:
    """A limit and its tally. Asking changes nothing. Times are monotonic nanoseconds."""

    def __init__(self, limit: Limit, tally: Tally, guard_ns: int) -> None:
        self.limit = limit
        self.tally = tally
        self.capacity = capacity(limit)
        self.window_ns = window_of(limit)
        self._span_ns = 0 if self.window_ns is None else self.window_ns + guard_ns
        kind = tally.kind
        self._meter = None if kind.per_object or kind.unit == "execution" else tally.meter(None)
        self._counted_ns = 0
        self._fits_until = 0
        """Since then: while the meter has not added more than this, everything fits."""

    @property
    def scoped(self) -> bool:
        """Whether it depends on the call if it counts here, or how much."""
        limit = self.limit
        plain = isinstance(limit, ConcurrencyLimit) or (isinstance(limit, RateLimit) and limit.unit == "calls")
        return not plain or limit.operation is not None or limit.per_object

    def need(self, cost: int, ask: Ask, reserve_ns: int) -> int:
        """What a call takes of it; 0 if it does not count here."""
        kind = self.tally.kind
        if not self.tally.covers(ask.operation, ask.object):
            return 0
        if kind.unit == "calls":
            return cost
        if kind.unit == "slots":
            return 1
        return ask.bytes if kind.unit == "bytes" else reserve_ns

    def used(self, now_ns: int, object_: str | None = None) -> int:
        """What is taken of it."""
        return self.tally.meter(object_).counted(now_ns, now_ns - self._span_ns)

    def wait(self, now_ns: int, need: int, object_: str | None) -> Wait | None:
        """Why so much more does not fit now, or None if it does (or if nothing is needed)."""
        meter = self._meter
        if need == 0 or (meter and meter.added + need <= self._fits_until and now_ns >= self._counted_ns):
            return None
        used = self.used(now_ns, object_)
        if meter is not None:
            self._counted_ns, self._fits_until = now_ns, meter.added + self.capacity - used
        if used + need <= self.capacity:
            return None
        until_ns = self.room_at(now_ns, used, need, object_)
        return Wait(until_ns, self.limit.name, self._why(used, need, object_))

    def room_at(self, now_ns: int, used: int, need: int, object_: str | None) -> int | None:
        """The first instant at which so much more fits, or None if an end of a call must come first."""
        excess = used + need - self.capacity
        if need > self.capacity:
            return None
        if excess <= 0:
            return now_ns
        leaving = self.tally.meter(object_).leaves(now_ns - self._span_ns, excess)
        return None if leaving is None else leaving + self._span_ns

    def eta(self, now_ns: int, ahead: int, call_ns: int, units: int) -> int:
        """When the call with `ahead` calls before it fits, if each takes `units` and all in flight end now."""
        meter = self.tally.meter(None)
        fit = max(self.capacity // units, 1)
        rounds, place = divmod(ahead, fit)
        used = self.used(now_ns)
        if self.window_ns is None:
            return now_ns + (rounds + (place >= fit - used)) * call_ns
        excess = used + (place + 1) * units - self.capacity
        if excess <= 0:
            return now_ns + rounds * self._span_ns
        leaving = meter.leaves(now_ns - self._span_ns, excess)
        return (now_ns if leaving is None else leaving) + (rounds + 1) * self._span_ns

    def shown(self, used: int) -> int:
        """For people: calls, bytes or (rounded up) execution seconds."""
        return -(-used // NANOSECOND) if isinstance(self.limit, ExecutionLimit) else used

    def usage(self, now_ns: int) -> Usage:
        """How full it is; of a limit per object, the fullest object."""
        fullest, used = None, 0
        for object_, _ in self.tally.objects():
            if (its := self.used(now_ns, object_)) > used:
                fullest, used = object_, its
        free_at = self.room_at(now_ns, used, 1, fullest)
        return Usage(self.limit.name, self.shown(used), self.limit.limit, self.window_ns, free_at, fullest)

    def _why(self, used: int, need: int, object_: str | None) -> str:
        name = self.limit.name
        limit, unit = self.limit.limit, "calls"
        if isinstance(self.limit, ExecutionLimit):
            used, need, unit = -(-used // NANOSECOND), -(-need // NANOSECOND), "execution seconds"
        elif isinstance(self.limit, RateLimit):
            unit = "bytes" if self.limit.unit == "bytes" else "units"
        if need > limit:
            return f"the call costs {need} {unit} and {name} never allows more than {limit}; split it"
        of = f" of {object_}" if self.limit.per_object else ""
        if self.window_ns is None:
            return f"{used} of {limit} calls{of} are in flight ({name})"
        return f"{used} of {limit} {unit}{of} are spent in the last {self.window_ns / 1e9:g} s ({name})"


def narrowest(gauges: Iterable[Gauge], operation: str | None, object_: str | None) -> int:
    """The smallest limit that such calls stand under, in calls."""
    widths = [
        gauge.limit.limit
        for gauge in gauges
        if gauge.tally.kind.unit in ("calls", "slots") and gauge.tally.covers(operation, object_)
    ]
    return min(widths, default=1)
