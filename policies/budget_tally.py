"""What is spent, counted for one kind of limit: which calls, in which unit, and for all of them or for each object.

Limits of the same kind share a tally, whatever their windows: 60 a minute and 5,000 a day read the same sum.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from policies.budget_sum import SlidingSum
from policies.limits import ConcurrencyLimit, ExecutionLimit, Lease, Limit, MeterState, Spend

_FORGET_AT = 256
"""Steps that no window can hold any more are dropped so many at a time."""


class Kind(Struct, frozen=True):
    """`unit`: calls, bytes, execution (nanoseconds) or slots. `operation`: None counts every call."""

    unit: str
    operation: str | None = None
    per_object: bool = False


def kind_of(limit: Limit) -> Kind:
    """Where a limit reads what is spent of it."""
    if isinstance(limit, ConcurrencyLimit):
        return Kind("slots", limit.operation, limit.per_object)
    if isinstance(limit, ExecutionLimit):
        return Kind("execution", limit.operation, limit.per_object)
    return Kind(limit.unit, limit.operation, limit.per_object)


class Meter:
    """Units in flight, units expected to have arrived later, and units that arrived."""

    __slots__ = ("_expected", "_held", "_overruns", "added", "past")

    def __init__(self, past: SlidingSum | None = None) -> None:
        self.past = SlidingSum() if past is None else past
        self.added = 0
        """Rises by as much as `counted` or more, falls by as much or less. Time alone lets `counted` only fall, unless
        calls run over their reserve."""
        self._held = 0
        self._overruns: list[int] = []  # sorted; when calls in flight have used up what was set aside
        self._expected: list[tuple[int, int]] = []  # sorted; (the instant by which it has arrived, units)

    def hold(self, units: int, overrun_ns: int | None = None) -> None:
        """A call in flight counts so many units; from `overrun_ns` on one more for each nanosecond."""
        self._held += units
        self.added += units
        if overrun_ns is not None:
            insort(self._overruns, overrun_ns)

    def release(self, units: int, overrun_ns: int | None = None) -> None:
        """Take back what `hold` did."""
        self._held -= units
        self.added -= units
        if overrun_ns is not None:
            self._overruns.remove(overrun_ns)

    def expect(self, at_ns: int, units: int) -> None:
        """They count as in flight until an instant, and as arrived then."""
        insort(self._expected, (at_ns, units))
        self.added += units

    def arrive(self, at_ns: int, units: int) -> None:
        """They have arrived, at this instant at the latest."""
        self.past.add(at_ns, units)
        self.added += units

    def unexpect(self, at_ns: int, units: int) -> None:
        """Take back what `expect` did, before `advance` has passed that instant."""
        self._expected.remove((at_ns, units))

    def advance(self, now_ns: int) -> None:
        """What was expected by now has arrived."""
        if not self._expected or self._expected[0][0] > now_ns:
            return
        due = bisect_right(self._expected, now_ns, key=_instant)
        for at_ns, units in self._expected[:due]:
            self.past.add(at_ns, units)
        del self._expected[:due]

    def tidy(self, now_ns: int, horizon_ns: int) -> int | None:
        """The same, and what came before the horizon is forgotten if it is much: the last instant forgotten."""
        self.advance(now_ns)
        self.past.thin(now_ns)
        return self.past.forget(horizon_ns, _FORGET_AT)

    def in_flight(self, now_ns: int) -> int:
        """Units held now, time beyond the reserve included."""
        if not self._overruns or self._overruns[0] > now_ns:
            return self._held
        over = bisect_right(self._overruns, now_ns)
        return self._held + sum(now_ns - at_ns for at_ns in self._overruns[:over])

    def counted(self, now_ns: int, since_ns: int) -> int:
        """Units that may have arrived later than an instant, those in flight included."""
        counted = self.in_flight(now_ns) + self.past.after(since_ns)
        if self._expected:
            first = bisect_right(self._expected, since_ns, key=_instant)
            counted += sum(units for _, units in self._expected[first:])
        return counted

    def leaves(self, since_ns: int, units: int) -> int | None:
        """Of the units counted after an instant, when the last of the first so many has arrived; None: in flight."""
        seen = self.past.until(since_ns)
        for at_ns, more in self._expected[bisect_right(self._expected, since_ns, key=_instant) :]:
            arrived = self.past.reaches(seen + units)
            if arrived is not None and arrived <= at_ns:
                return arrived
            units -= more
            if self.past.until(at_ns) - seen >= units:
                return at_ns
        return self.past.reaches(seen + units)

    def idle(self, since_ns: int) -> bool:
        """Whether nothing is counted after an instant."""
        newest = self.past.newest()
        return not self._held and not self._expected and (newest is None or newest <= since_ns)


class Tally:
    """The meters of one kind: one, or one for each object."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._everything = kind.operation is None and not kind.per_object
        self._slots = kind.unit == "slots"
        self._executes = kind.unit == "execution"
        self._meters: dict[str | None, Meter] = {} if kind.per_object else {None: Meter()}
        """By object; the one least recently used first."""

    def covers(self, operation: str | None, object_: str | None) -> bool:
        """Whether such a call counts here."""
        if self._everything:
            return True
        if self.kind.per_object and object_ is None:
            return False
        return self.kind.operation is None or self.kind.operation == operation

    def units(self, call: Lease | Spend) -> int:
        """What the call counts here."""
        if self._slots:
            return 1
        match self.kind.unit:
            case "calls":
                return call.cost
            case "bytes":
                return call.bytes
            case _:
                return call.execution_ns

    def meter(self, object_: str | None) -> Meter:
        """The meter of an object (of everything, if not per object); an empty one, not kept, if nothing is known."""
        found = self._meters.get(object_ if self.kind.per_object else None)
        return Meter() if found is None else found

    def objects(self) -> Iterator[tuple[str | None, Meter]]:
        """All meters, by object."""
        yield from self._meters.items()

    def hold(self, lease: Lease) -> None:
        """A call starts."""
        if self.covers(lease.operation, lease.object):
            self._touch(lease.object).hold(self.units(lease), self._overrun_ns(lease))

    def release(self, lease: Lease) -> None:
        """It is no longer in flight."""
        if self.covers(lease.operation, lease.object):
            self._touch(lease.object).release(self.units(lease), self._overrun_ns(lease))

    def expect(self, spend: Spend) -> None:
        """A call whose end nobody waits for: it is over by `safe_at_ns`."""
        if self.covers(spend.operation, spend.object):
            self._touch(spend.object).expect(spend.bound_ns, self.units(spend))

    def unexpect(self, spend: Spend) -> None:
        """Its answer came after all."""
        if self.covers(spend.operation, spend.object):
            self._touch(spend.object).unexpect(spend.bound_ns, self.units(spend))

    def arrive(self, spend: Spend) -> None:
        """A call whose end is known. It takes no slot any more."""
        if not self._slots and self.covers(spend.operation, spend.object) and (units := self.units(spend)):
            at_ns = spend.end_bound_ns if self._executes else spend.bound_ns
            self._touch(spend.object).arrive(at_ns, units)

    def advance(self, now_ns: int, horizon_ns: int) -> int | None:
        """What was expected has arrived; what came before `horizon_ns` is forgotten, a little at a time.

        Returns the last instant of which something was forgotten, or None.
        """
        if not self.kind.per_object:
            return self._meters[None].tidy(now_ns, horizon_ns)
        for object_, meter in list(islice(self._meters.items(), 2)):
            meter.tidy(now_ns, horizon_ns)
            del self._meters[object_]
            if not meter.idle(horizon_ns):
                self._meters[object_] = meter
        return None

    def _touch(self, object_: str | None) -> Meter:
        if not self.kind.per_object:
            return self._meters[None]
        meter = self._meters.pop(object_, None) or Meter()
        self._meters[object_] = meter
        return meter

    def _overrun_ns(self, lease: Lease) -> int | None:
        return lease.admitted_ns + lease.execution_ns if self._executes else None

    # -- snapshots

    def states(self, now_ns: int) -> Iterator[MeterState]:
        """What has arrived by now, meter by meter."""
        for object_, meter in self._meters.items():
            meter.advance(now_ns)
            base, first, at, upto = meter.past.steps()
            yield MeterState(*_fields(self.kind), object_, base, first, at, upto)

    def take(self, state: MeterState) -> None:
        """Go on from what `states` told of one meter."""
        past = SlidingSum.of(state.base, state.first, state.at, state.upto)
        self._meters[state.object] = Meter(past)


def _fields(kind: Kind) -> tuple[str, str | None, bool]:
    return kind.unit, kind.operation, kind.per_object


def _instant(entry: tuple[int, int]) -> int:
    return entry[0]
