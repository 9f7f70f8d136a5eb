"""The gate's arithmetic: how many calls a system may still meet, exact in every sliding window.

What counts is what the called system experiences. A call admitted at s and ended at e arrives there at an
instant that we do not know, somewhere in [s, e]. So a call counts against a window of length W

* while it is in flight, and
* after its end until a + W + guard, where a is the latest instant at which it can have arrived
  (its end, or its end minus the duration that the system itself reports: see `arrival_bound`).

A call of cost c is admitted at t only if, for every rate limit N per W, counted + c <= N, and for every
concurrency limit C, in flight < C. All limits are taken together or none is.

Why that is exact. Suppose some closed window of length W held arrivals of more than N units. Let L be the
call of that window that was admitted last, at t. L arrived at or after t, so every other call M of the window
arrived at or after t - W. M was admitted before L; at t it was either in flight, hence counted, or ended with
a(M) >= arrival(M) >= t - W, hence a(M) + W + guard > t, hence counted. So counted + cost(L) > N at t and L
was not admitted: contradiction. For concurrency: a call is at the system only within [s, e], and fewer than C
calls were within theirs when the last of them was admitted. The guard (1 ms unless told) absorbs the rounding
of clocks.

Why it never idles. `admit` answers `Wait` only if a limit is full by that count, and `until_ns` is the first
instant at which the count falls far enough; so no call waits while every limit has room. The one exception is
on purpose: after a refusal by the system itself the gate comes back step by step (`Budget.freeze`).

The spent calls stand in one sorted list, one entry per unit of cost, shared by all limits: a count is one
bisection, the k-th slot to come free is one index. `admit` and `ended` are O(log n) in the calls remembered,
besides moving the pointers behind an insertion (in C, nearly always at the tail). Memory is bounded by what
the limits admit within the longest window or `history_ns`, whichever is longer.

Time is integer nanoseconds of one monotonic clock. Nothing here awaits, so nothing can be cancelled half-way.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from policies.limits import (
    BudgetState,
    ConcurrencyLimit,
    Freeze,
    Lease,
    Limit,
    RateLimit,
    Spend,
    Usage,
    Wait,
    arrival_bound,
    checked,
)
from policies.refusals import Refusals

__all__ = [
    "Budget",
    "BudgetState",
    "ConcurrencyLimit",
    "Lease",
    "Limit",
    "RateLimit",
    "Spend",
    "Usage",
    "Wait",
    "arrival_bound",
]

GUARD_NS = 1_000_000
HISTORY_NS = 300_000_000_000
_PRUNE_AT = 256


class Budget:
    """The limits of one system and what is spent of them. See the module for the promise and its proof.

    `guard_ns` is added to every window. Calls are remembered for at least `history_ns`, so that a longer
    window set live (`resize`) is exact at once; `remembers_from_ns` says since when nothing is forgotten.
    Raises ValueError for limits below 1 or names used twice.
    """

    def __init__(self, limits: Iterable[Limit], guard_ns: int = GUARD_NS, history_ns: int = HISTORY_NS) -> None:
        self._limits = checked(limits)
        self._guard_ns = guard_ns
        self._history_ns = history_ns
        self._arrivals: list[int] = []  # sorted; one entry per unit of cost whose arrival bound is known
        self._busy: list[int] = []  # sorted; ends (known or assumed) of calls that are no longer held
        self._held: dict[int, Lease] = {}
        self._abandoned: dict[int, tuple[Lease, int]] = {}
        self._held_units = 0
        self._refusals = Refusals()
        self._next_id = 1
        self._latest_ns: int | None = None
        self.remembers_from_ns: int | None = None

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits in force."""
        return self._limits

    @property
    def in_flight(self) -> tuple[Lease, ...]:
        """Leases that were neither ended, abandoned nor forgotten, oldest first."""
        return tuple(self._held.values())

    @property
    def frozen(self) -> Freeze | None:
        """The refusal that holds everything back, if any."""
        return self._refusals.freeze

    def admit(self, now_ns: int, cost: int = 1) -> Lease | Wait:
        """Take one call of `cost` units out of every limit, or say what is full and until when.

        Start the call at or after `now_ns`. Every lease must come back through exactly one of `ended`,
        `abandoned`, `forget`. Raises ValueError if cost is below 1.
        """
        if cost < 1:
            raise ValueError(f"a call costs at least 1 unit, got {cost}")
        wait = self.obstacle(now_ns, cost)
        if wait is not None:
            return wait
        self._latest_ns = now_ns
        self._prune(now_ns)
        lease = Lease(self._next_id, now_ns, cost, probe=self.frozen is not None)
        self._next_id += 1
        self._held[lease.id] = lease
        self._held_units += cost
        self._refusals.admitted(lease)
        return lease

    def obstacle(self, now_ns: int, cost: int = 1) -> Wait | None:
        """What keeps a call of `cost` units from starting now (the longest wait), or None. Takes nothing."""
        return max(self._waits(now_ns, cost), key=_lateness, default=None)

    def ended(self, lease: Lease, arrived_by_ns: int, free_at_ns: int | None = None, fine: bool = True) -> bool:
        """The answer came; the call had arrived by `arrived_by_ns` at the latest (see `arrival_bound`).

        The concurrency slot is free at once, or at `free_at_ns`. `fine` is False if the answer was a failure
        of the system (then a probe does not open a frozen gate). Works for an abandoned call whose answer
        came late. Returns False, and changes nothing, if the lease is settled already. Raises ValueError if
        the bound lies before the admission: the lease then stays in flight, which is the safe side.
        """
        if arrived_by_ns < lease.admitted_ns:
            raise ValueError(
                f"call {lease.id}, admitted at {lease.admitted_ns}, cannot have arrived by {arrived_by_ns}; "
                "use  arrival_bound(), which does not believe impossible reports"
            )
        if not self._release(lease):
            return False
        self._spend(arrived_by_ns, lease.cost)
        if free_at_ns is not None:
            insort(self._busy, free_at_ns)
        if fine:
            self._refusals.ended_fine(lease, min((limit.limit for limit in self._limits), default=1))
        else:
            self._refusals.unanswered(lease)
        return True

    def abandoned(self, lease: Lease, safe_at_ns: int) -> bool:
        """No answer will be awaited; the call has surely arrived and ended by `safe_at_ns`.

        Until then it counts as in flight in every limit, afterwards as arrived at `safe_at_ns`. A frozen gate
        whose probe is abandoned may send another at `safe_at_ns`. Returns False if the lease is settled.
        """
        if not self._unhold(lease):
            return False
        self._spend(safe_at_ns, lease.cost)
        insort(self._busy, safe_at_ns)
        self._abandoned[lease.id] = (lease, safe_at_ns)
        self._refusals.unanswered(lease, safe_at_ns)
        return True

    def forget(self, lease: Lease) -> bool:
        """The call surely never left: give everything back. Returns False if the lease is settled already."""
        if not self._unhold(lease):
            return False
        self._refusals.unanswered(lease)
        return True

    def restore(self, spends: Iterable[Spend], now_ns: int) -> None:
        """Take over what earlier processes spent, before the first `admit`. Times are on this clock.

        Raises ValueError for a spend that has neither `arrived_by_ns` nor `safe_at_ns`.
        """
        found = list(spends)
        for spend in found:
            bound = spend.safe_at_ns if spend.arrived_by_ns is None else spend.arrived_by_ns
            if bound is None:
                raise ValueError("a restored call needs arrived_by_ns, or safe_at_ns if its end is not known")
            self._arrivals.extend([bound] * spend.cost)
            if spend.arrived_by_ns is None:
                self._busy.append(bound)
        self._arrivals.sort()
        self._busy.sort()
        self._latest_ns = now_ns if self._latest_ns is None else max(self._latest_ns, now_ns)

    def freeze(self, until_ns: int, reason: str, limit_name: str | None = None) -> None:
        """The system refused. Nothing starts before `until_ns`, then exactly one probe until it ends fine.

        Several refusals: the latest time holds; a refusal never shortens a freeze and gives nothing back.
        After a fine probe the gate returns step by step (two calls in flight, one more per fine end) until it
        is as wide as its narrowest limit, so that the backlog does not come back in lockstep.
        """
        self._refusals.refused(until_ns, reason, limit_name)

    def resize(self, limits: Iterable[Limit], now_ns: int) -> None:
        """Other limits from now on, for every call admitted from now on; what is spent stays spent.

        Every window that holds a call admitted after this moment keeps the new limits, calls admitted before
        included (back to `remembers_from_ns`); every window without one keeps the old. Raises ValueError as
        the constructor does, and then changes nothing.
        """
        new = checked(limits)
        self._history_ns = max(self._history_ns, self._longest_ns())
        self._limits = new
        self._latest_ns = now_ns if self._latest_ns is None else max(self._latest_ns, now_ns)

    def usage(self, now_ns: int) -> list[Usage]:
        """How full each limit is now, in the order of the limits. Changes nothing."""
        found = []
        for limit in self._limits:
            used = self._used(limit, now_ns)
            free_at = now_ns if used < limit.limit else self._room_at(limit, now_ns, 1)
            window_ns = limit.window_ns if isinstance(limit, RateLimit) else None
            found.append(Usage(limit.name, used, limit.limit, window_ns, free_at))
        return found

    def eta(self, now_ns: int, ahead: int, call_ns: int = 0) -> int:
        """When the call with `ahead` calls before it may start, if all cost 1 and every one goes as it can.

        An estimate: calls in flight are taken to end now, `call_ns` is the mean length of a call. Exact for
        one rate limit and calls without length. Never before the end of a freeze.
        """
        start_ns = now_ns if self.frozen is None else max(now_ns, self.frozen.until_ns)
        return max((self._eta(limit, start_ns, ahead, call_ns) for limit in self._limits), default=start_ns)

    def snapshot(self) -> BudgetState:
        """The whole state, to go on later exactly as if nothing had happened (`from_snapshot`)."""
        return BudgetState(
            self._limits,
            self._guard_ns,
            self._history_ns,
            tuple(self._arrivals),
            tuple(self._busy),
            self.in_flight,
            tuple(self._abandoned.values()),
            self._refusals.freeze,
            self._refusals.way_back,
            self._next_id,
            self._latest_ns,
            self.remembers_from_ns,
        )

    @classmethod
    def from_snapshot(cls, state: BudgetState) -> "Budget":
        """The budget as it was. If its process died meanwhile, call `abandoned` for each of `in_flight`."""
        budget = cls(state.limits, state.guard_ns, state.history_ns)
        budget._arrivals = list(state.arrivals)
        budget._busy = list(state.busy)
        budget._held = {lease.id: lease for lease in state.held}
        budget._abandoned = {lease.id: (lease, safe_at) for lease, safe_at in state.abandoned}
        budget._held_units = sum(lease.cost for lease in state.held)
        budget._refusals = Refusals(state.freeze, state.way_back)
        budget._next_id = state.next_id
        budget._latest_ns = state.latest_ns
        budget.remembers_from_ns = state.remembers_from_ns
        return budget

    # -- what stands in the way

    def _waits(self, now_ns: int, cost: int) -> Iterator[Wait]:
        if self._latest_ns is not None and now_ns < self._latest_ns:
            yield Wait(self._latest_ns, "clock", "the clock went back; waiting until it is where it was")
        refused = self._refusals.obstacle(now_ns)
        if refused is not None:
            yield refused
        if self._refusals.way_back is not None:
            yield from self._limit_wait(ConcurrencyLimit(self._refusals.way_back.allowed, "return"), now_ns, 1)
        for limit in self._limits:
            yield from self._limit_wait(limit, now_ns, cost if isinstance(limit, RateLimit) else 1)

    def _limit_wait(self, limit: Limit, now_ns: int, cost: int) -> Iterator[Wait]:
        used = self._used(limit, now_ns)
        if used + cost > limit.limit:
            yield Wait(self._room_at(limit, now_ns, cost), limit.name, _why(limit, used, cost))

    # -- counting

    def _used(self, limit: Limit, now_ns: int) -> int:
        if isinstance(limit, ConcurrencyLimit):
            return len(self._held) + len(self._busy) - bisect_right(self._busy, now_ns)
        return self._held_units + len(self._arrivals) - self._first_counted(limit, now_ns)

    def _first_counted(self, limit: RateLimit, now_ns: int) -> int:
        return bisect_right(self._arrivals, now_ns - limit.window_ns - self._guard_ns)

    def _room_at(self, limit: Limit, now_ns: int, cost: int) -> int | None:
        """The first instant at which `cost` more units fit, or None if an end of a call must come first."""
        if cost > limit.limit:
            return None
        excess = self._used(limit, now_ns) + cost - limit.limit
        if isinstance(limit, ConcurrencyLimit):
            return _at(self._busy, bisect_right(self._busy, now_ns) + excess - 1)
        leaving = _at(self._arrivals, self._first_counted(limit, now_ns) + excess - 1)
        return None if leaving is None else leaving + limit.window_ns + self._guard_ns

    def _eta(self, limit: Limit, now_ns: int, ahead: int, call_ns: int) -> int:
        rounds, place = divmod(ahead, limit.limit)
        if isinstance(limit, ConcurrencyLimit):
            waits = place >= limit.limit - self._used(limit, now_ns)
            return now_ns + (rounds + waits) * call_ns
        period_ns = limit.window_ns + self._guard_ns
        excess = self._used(limit, now_ns) + place + 1 - limit.limit
        if excess <= 0:
            return now_ns + rounds * period_ns
        leaving = _at(self._arrivals, self._first_counted(limit, now_ns) + excess - 1)
        first = now_ns if leaving is None else leaving
        return first + (rounds + 1) * period_ns

    def _longest_ns(self) -> int:
        return max((limit.window_ns for limit in self._limits if isinstance(limit, RateLimit)), default=0)

    # -- changing

    def _spend(self, arrived_by_ns: int, cost: int) -> None:
        if cost == 1:
            insort(self._arrivals, arrived_by_ns)
            return
        place = bisect_right(self._arrivals, arrived_by_ns)
        self._arrivals[place:place] = [arrived_by_ns] * cost

    def _unhold(self, lease: Lease) -> bool:
        if self._held.pop(lease.id, None) is None:
            return False
        self._held_units -= lease.cost
        return True

    def _release(self, lease: Lease) -> bool:
        """Take a lease out of what is held or abandoned; False if it is in neither."""
        if self._unhold(lease):
            return True
        entry = self._abandoned.pop(lease.id, None)
        if entry is None:
            return False
        safe_at_ns = entry[1]
        first = bisect_left(self._arrivals, safe_at_ns)
        del self._arrivals[first : first + lease.cost]
        del self._busy[bisect_left(self._busy, safe_at_ns)]
        return True

    def _prune(self, now_ns: int) -> None:
        """Forget what no window can hold any more; a little at a time, so that it costs O(1) per call."""
        gone = bisect_right(self._busy, now_ns)
        if gone:
            settled = [key for key, (_, safe_at) in self._abandoned.items() if safe_at <= now_ns]
            for key in settled:
                del self._abandoned[key]
            del self._busy[:gone]
        horizon = now_ns - max(self._history_ns, self._longest_ns()) - self._guard_ns
        old = bisect_right(self._arrivals, horizon)
        if old >= _PRUNE_AT and 2 * old >= len(self._arrivals):
            self.remembers_from_ns = self._arrivals[old - 1] + 1
            del self._arrivals[:old]


def _lateness(wait: Wait) -> tuple[bool, int]:
    return (wait.until_ns is None, wait.until_ns or 0)


def _at(times: list[int], index: int) -> int | None:
    return times[index] if index < len(times) else None


def _why(limit: Limit, used: int, cost: int) -> str:
    if cost > limit.limit:
        return f"the call costs {cost} units and {limit.name} never allows more than {limit.limit}; split it"
    if isinstance(limit, ConcurrencyLimit):
        return f"{used} of {limit.limit} calls are in flight ({limit.name})"
    return f"{used} of {limit.limit} units are spent in the last {limit.window_ns / 1e9:g} s ({limit.name})"
