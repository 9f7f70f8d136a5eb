"""What is spent: calls in flight, calls that nobody waits for any more, calls whose end is known."""

from collections import deque
from collections.abc import Iterable

from msgspec.structs import replace

from policies.budget_tally import Kind, Tally
from policies.limits import Lease, MeterState, Spend

RECENT_MAX = 20_000
"""Ended calls that are kept one by one, for limits of a new shape."""
OBJECT_HISTORY_NS = 300_000_000_000
"""What is remembered of each object at least; there may be very many of them."""
CALLS = Kind("calls")
SLOTS = Kind("slots")


class Book:
    """Every call stands in each tally that it counts in, and in exactly one of these lists. Times are nanoseconds."""

    def __init__(self, history_ns: int) -> None:
        self.history_ns = history_ns
        self.held: dict[int, Lease] = {}
        self.abandoned: dict[int, tuple[Lease, Spend]] = {}
        self.expected: list[Spend] = []
        """Restored calls that may still be under way."""
        self.busy: list[Spend] = []
        """Slots that stay taken after the end of their call."""
        self.recent: deque[Spend] = deque(maxlen=RECENT_MAX)
        self.remembers_from_ns: int | None = None
        self._tallies = {kind: Tally(kind) for kind in (CALLS, SLOTS)}

    def tally(self, kind: Kind) -> Tally:
        """The tally of a kind; a new one counts what is in flight and what is remembered."""
        if kind not in self._tallies:
            tally = self._tallies[kind] = Tally(kind)
            for spend in self.recent:
                tally.arrive(spend)
            self._fill(tally)
        return self._tallies[kind]

    def hold(self, lease: Lease) -> None:
        """A call starts."""
        self.held[lease.id] = lease
        for tally in self._tallies.values():
            tally.hold(lease)

    def unhold(self, lease: Lease) -> bool:
        """It is no longer in flight, and counts nowhere; False if it was not."""
        if self.held.pop(lease.id, None) is None:
            return False
        for tally in self._tallies.values():
            tally.release(lease)
        return True

    def release(self, lease: Lease) -> bool:
        """Take a lease out of what is held or abandoned; False if it is in neither."""
        if self.unhold(lease):
            return True
        entry = self.abandoned.pop(lease.id, None)
        if entry is None:
            return False
        for tally in self._tallies.values():
            tally.unexpect(entry[1])
        return True

    def abandon(self, lease: Lease, safe_at_ns: int) -> None:
        """A call that was in flight is over by `safe_at_ns`, and may have executed all the while."""
        spend = spent(lease, max(safe_at_ns - lease.admitted_ns, 0), safe_at_ns=safe_at_ns)
        self.abandoned[lease.id] = (lease, spend)
        for tally in self._tallies.values():
            tally.expect(spend)

    def spend(self, spend: Spend) -> None:
        """A call whose end is known."""
        for tally in self._tallies.values():
            tally.arrive(spend)
        self.recent.append(spend)

    def expect(self, spend: Spend) -> None:
        """A call of an earlier process that may still be under way."""
        self.expected.append(spend)
        for tally in self._tallies.values():
            tally.expect(spend)

    def keep_busy(self, spend: Spend) -> None:
        """The slot of a call that has ended stays taken until `safe_at_ns`."""
        self.busy.append(spend)
        for tally in self._tallies.values():
            if tally.kind.unit == "slots":
                tally.expect(spend)

    def advance(self, now_ns: int, longest_ns: dict[Kind, int], guard_ns: int) -> None:
        """Time has gone on: what was expected has arrived, and what no window can hold any more is forgotten.

        `longest_ns`: the longest window that reads a tally.
        """
        if self.abandoned or self.expected or self.busy:
            self._arrive(now_ns)
        for kind, tally in self._tallies.items():
            history_ns = min(self.history_ns, OBJECT_HISTORY_NS) if kind.per_object else self.history_ns
            reach_ns = 0 if kind.unit == "slots" else max(history_ns, longest_ns.get(kind, 0)) + guard_ns
            forgot_ns = tally.advance(now_ns, now_ns - reach_ns)
            if forgot_ns is not None and reach_ns and not kind.per_object:
                self.remembers_from_ns = max(self.remembers_from_ns or 0, forgot_ns + 1)
        while self.recent and self.recent[0].bound_ns < now_ns - self.history_ns:
            self.recent.popleft()

    def _arrive(self, now_ns: int) -> None:
        over = [key for key, (_, spend) in self.abandoned.items() if spend.bound_ns <= now_ns]
        gone = [self.abandoned.pop(key)[1] for key in over]
        gone += [spend for spend in self.expected if spend.bound_ns <= now_ns]
        self.recent.extend(replace(spend, arrived_by_ns=spend.bound_ns, ended_ns=spend.bound_ns) for spend in gone)
        for waiting in (self.expected, self.busy):
            if waiting:
                waiting[:] = [spend for spend in waiting if spend.bound_ns > now_ns]

    def states(self, now_ns: int) -> tuple[MeterState, ...]:
        """What has arrived, tally by tally."""
        return tuple(state for tally in self._tallies.values() for state in tally.states(now_ns))

    def take(self, states: Iterable[MeterState]) -> None:
        """Go on from the states of another book, whose lists were taken over before; nothing else was counted yet."""
        for state in states:
            kind = Kind(state.unit, state.operation, state.per_object)
            self._tallies.setdefault(kind, Tally(kind)).take(state)
        for tally in self._tallies.values():
            self._fill(tally)

    def _fill(self, tally: Tally) -> None:
        """Count what is not yet over."""
        for lease in self.held.values():
            tally.hold(lease)
        for spend in [*self.expected, *(spend for _, spend in self.abandoned.values())]:
            tally.expect(spend)
        if tally.kind.unit == "slots":
            for spend in self.busy:
                tally.expect(spend)


def spent(
    lease: Lease,
    execution_ns: int,
    arrived_by_ns: int | None = None,
    safe_at_ns: int | None = None,
    ended_ns: int | None = None,
) -> Spend:
    """What a call has spent."""
    return Spend(
        arrived_by_ns, safe_at_ns, lease.cost, lease.operation, lease.object, lease.bytes, execution_ns, ended_ns
    )
