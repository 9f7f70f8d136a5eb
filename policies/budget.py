"""The gate's arithmetic: how many calls a system may still meet, exact in every sliding window.

What counts is what the called system experiences. A call admitted at s and ended at e arrives there at an
instant that we do not know, somewhere in [s, e]. So a call counts against a window of length W

* while it is in flight, and
* after its end until a + W + guard, where a is the latest instant at which it can have arrived
  (its end, or its end minus the duration that the system itself reports: see `arrival_bound`).

A call of cost c is admitted at t only if, for every rate limit N per W that it counts in, counted + c <= N, and
for every concurrency limit C, in flight < C. All limits are taken together or none is. A limit of one operation
or of one object counts the calls of that operation, or on that object, and no others.

Why that is exact. Suppose some closed window of length W held arrivals of more than N units. Let L be the
call of that window that was admitted last, at t. L arrived at or after t, so every other call M of the window
arrived at or after t - W. M was admitted before L; at t it was either in flight, hence counted, or ended with
a(M) >= arrival(M) >= t - W, hence a(M) + W + guard > t, hence counted. So counted + cost(L) > N at t and L
was not admitted: contradiction. For concurrency: a call is at the system only within [s, e], and fewer than C
calls were within theirs when the last of them was admitted. The guard (1 ms unless told) absorbs the rounding
of clocks.

Execution time. A call counts its reserve r (or its time so far, if that is more) while it is in flight, and what
it executed, d, until e + W + guard. Suppose d <= r for every call, and that the calls which execute in some closed
window of length W do so for more than L in all. The last of them to be admitted, at t, arrived in or before the
window, so the window ends at or after t and begins at or after t - W; every other of them ended at or after
its beginning, so it was counted at t, with r or with d. The sum was above L, and the last was not admitted. So
the promise is as good as the reserve: unconditional if `call_ns` states what the system itself enforces, else
learned (`policies.budget_reserve`); what runs over its reserve is counted at once and narrows what follows.

Why it never idles. `admit` answers `Wait` only if a limit is full by that count, and `until_ns` is the first
instant at which the count falls far enough (sooner, never later, while a call runs over its reserve); so no call
waits while every limit has room. Exceptions on purpose: after a refusal by the system itself the gate comes back
step by step (`Budget.freeze`), and a sum of very many calls counts each for up to 1/512 longer (`policies.budget_sum`).

Everything is sorted sums (`policies.budget_tally`): a count is one bisection, the moment when enough has left is
another. `admit` and `ended` are O(log n) in the calls remembered for each limit that the call counts in. Memory is
some ten thousand steps for each kind of limit, however long and wide its windows, and for limits per object what the
objects of the longest such window need.

Time is integer nanoseconds of one monotonic clock. Nothing here awaits, so nothing can be cancelled half-way.
"""

from collections.abc import Iterable

from policies.budget_book import Book, spent
from policies.budget_freezes import Freezes
from policies.budget_gauge import Gauge, narrowest
from policies.budget_reserve import Reserves
from policies.budget_tally import Kind, kind_of
from policies.limits import (
    Ask,
    BudgetState,
    ConcurrencyLimit,
    ExecutionLimit,
    Freeze,
    Lease,
    Limit,
    RateLimit,
    Spend,
    Usage,
    Wait,
    arrival_bound,
    checked,
    execution_bound,
)

__all__ = [
    "Ask",
    "Budget",
    "BudgetState",
    "ConcurrencyLimit",
    "ExecutionLimit",
    "Lease",
    "Limit",
    "RateLimit",
    "Spend",
    "Usage",
    "Wait",
    "arrival_bound",
    "execution_bound",
]

GUARD_NS = 1_000_000
HISTORY_NS = 32 * 86_400_000_000_000
"""A month and a day: any window that is set live is exact at once. Old steps are put together, so it costs little."""
_ANY = Ask()


class Budget:
    """The limits of one system and what is spent of them. See the module for the promise and its proof.

    `guard_ns` is added to every window. Calls are remembered for at least `history_ns`, so that a longer
    window set live (`resize`) is exact at once; `remembers_from_ns` says since when nothing is forgotten.
    Raises ValueError for limits below 1 or names used twice.
    """

    def __init__(self, limits: Iterable[Limit], guard_ns: int = GUARD_NS, history_ns: int = HISTORY_NS) -> None:
        self._guard_ns = guard_ns
        self._book = Book(history_ns)
        self._freezes = Freezes(self._book)
        self._reserves = Reserves()
        self._next_id = 1
        self._latest_ns: int | None = None
        self._set(checked(limits))

    def _set(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._gauges = [Gauge(limit, self._book.tally(kind_of(limit)), self._guard_ns) for limit in limits]
        self._scoped = any(gauge.scoped for gauge in self._gauges)
        self._executes = [gauge for gauge in self._gauges if isinstance(gauge.limit, ExecutionLimit)]
        self._longest_ns: dict[Kind, int] = {}
        for gauge in self._gauges:
            kind = gauge.tally.kind
            self._longest_ns[kind] = max(self._longest_ns.get(kind, 0), gauge.window_ns or 0)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits in force."""
        return self._limits

    @property
    def scoped(self) -> bool:
        """Whether it depends on the call if it may start: a call may have to wait while others need not."""
        return self._scoped or self._freezes.narrow

    @property
    def in_flight(self) -> tuple[Lease, ...]:
        """Leases that were neither ended, abandoned nor forgotten, oldest first."""
        return tuple(self._book.held.values())

    @property
    def remembers_from_ns(self) -> int | None:
        """Since when nothing is forgotten; None: nothing ever was."""
        return self._book.remembers_from_ns

    @property
    def frozen(self) -> Freeze | None:
        """The refusal that holds everything back, if any."""
        whole = (its for its in self._freezes.all() if its.operation is None and its.object is None)
        return next(whole, None)

    @property
    def freezes(self) -> tuple[Freeze, ...]:
        """Every refusal that holds something back: everything, an operation, or an object."""
        return self._freezes.all()

    def admit(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Lease | Wait:
        """Take one call of `cost` units out of every limit it counts in, or say what is full and until when.

        Start the call at or after `now_ns`. Every lease must come back through exactly one of `ended`,
        `abandoned`, `forget`. Without `ask` it counts in the limits that all calls share. Raises ValueError if
        cost is below 1.
        """
        if cost < 1:
            raise ValueError(f"a call costs at least 1 unit, got {cost}")
        ask = ask or _ANY
        wait = self.obstacle(now_ns, cost, ask)
        if wait is not None:
            return wait
        self._advance(now_ns)
        lease = Lease(
            self._next_id,
            now_ns,
            cost,
            self._freezes.any and self._freezes.probes(ask),
            ask.operation,
            ask.object,
            ask.bytes,
            self._reserve(ask) if self._executes else 0,
        )
        self._next_id += 1
        self._book.hold(lease)
        if self._freezes.any:
            self._freezes.admitted(lease)
        return lease

    def obstacle(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Wait | None:
        """What keeps a call of `cost` units from starting now (the longest wait), or None. Takes nothing.

        Without `ask`: what keeps every call back, whatever it is.
        """
        of = ask or _ANY
        reserve_ns = 0 if not self._executes else 1 if ask is None else self._reserve(of)
        waits = []
        if (latest_ns := self._latest_ns) is not None and now_ns < latest_ns:
            waits.append(Wait(latest_ns, "clock", "the clock went back; waiting until it is where it was"))
        if self._freezes.any:
            waits += self._freezes.waits(now_ns, of)
        for gauge in self._gauges:
            wait = gauge.wait(now_ns, gauge.need(cost, of, reserve_ns), of.object)
            if wait is not None:
                waits.append(wait)
        return max(waits, key=_lateness) if waits else None

    def ended(
        self,
        lease: Lease,
        arrived_by_ns: int,
        free_at_ns: int | None = None,
        fine: bool = True,
        ended_ns: int | None = None,
        execution_ns: int | None = None,
    ) -> bool:
        """The answer came; the call had arrived by `arrived_by_ns` at the latest (see `arrival_bound`).

        The concurrency slot is free at once, or at `free_at_ns`. `fine` is False if the answer was a failure
        of the system (then a probe does not open a frozen gate). `ended_ns`: when the answer came; without it, the
        execution time that was reserved counts, with it what `execution_bound` tells, or `execution_ns`. Works for
        an abandoned call whose answer came late. Returns False, and changes nothing, if the lease is settled
        already. Raises ValueError if the bound lies before the admission: the lease then stays in flight, which is
        the safe side.
        """
        if arrived_by_ns < lease.admitted_ns:
            raise ValueError(
                f"call {lease.id}, admitted at {lease.admitted_ns}, cannot have arrived by {arrived_by_ns}; "
                "use  arrival_bound(), which does not believe impossible reports"
            )
        if not self._book.release(lease):
            return False
        if execution_ns is None:
            execution_ns = lease.execution_ns
            if ended_ns is not None:
                execution_ns = execution_bound(lease.admitted_ns, ended_ns, arrived_by_ns, self._guard_ns)
        if ended_ns is not None:
            self._reserves.ended(lease.operation, execution_ns)
        self._book.spend(spent(lease, execution_ns, arrived_by_ns=arrived_by_ns, ended_ns=ended_ns))
        if free_at_ns is not None:
            self._book.keep_busy(spent(lease, 0, safe_at_ns=free_at_ns))
        if not self._freezes.any:
            return True
        if fine:
            self._freezes.ended_fine(lease, lambda operation, object_: narrowest(self._gauges, operation, object_))
        else:
            self._freezes.unanswered(lease)
        return True

    def abandoned(self, lease: Lease, safe_at_ns: int) -> bool:
        """No answer will be awaited; the call has surely arrived and ended by `safe_at_ns`.

        Until then it counts as in flight in every limit, afterwards as arrived (and executed all the while) at
        `safe_at_ns`. A frozen gate whose probe is abandoned may send another at `safe_at_ns`. Returns False if the
        lease is settled.
        """
        if not self._book.unhold(lease):
            return False
        self._book.abandon(lease, safe_at_ns)
        self._freezes.unanswered(lease, safe_at_ns)
        return True

    def forget(self, lease: Lease) -> bool:
        """The call surely never left: give everything back. Returns False if the lease is settled already."""
        if not self._book.unhold(lease):
            return False
        self._freezes.unanswered(lease)
        return True

    def restore(self, spends: Iterable[Spend], now_ns: int) -> None:
        """Take over what earlier processes spent, before the first `admit`. Times are on this clock.

        Raises ValueError for a spend that has neither `arrived_by_ns` nor `safe_at_ns`.
        """
        for spend in sorted(spends, key=lambda spend: spend.bound_ns):
            if spend.arrived_by_ns is None:
                self._book.expect(spend)
            else:
                self._book.spend(spend)
        self._meet(now_ns)

    def freeze(
        self,
        until_ns: int,
        reason: str,
        limit_name: str | None = None,
        scope: str | None = None,
        object_: str | None = None,
    ) -> None:
        """The system refused. Nothing starts before `until_ns`, then exactly one probe until it ends fine.

        Frozen is what was refused: the calls of operation `scope`, those on `object_`, everything if neither is
        told; `limit_name`, if it is a limit of one operation, tells the operation too. The rest goes on.
        Several refusals: the latest time holds; a refusal never shortens a freeze and gives nothing back.
        After a fine probe the gate returns step by step (two calls in flight, one more per fine end) until it
        is as wide as its narrowest limit, so that the backlog does not come back in lockstep.
        """
        named = next((limit for limit in self._limits if limit.name == limit_name), None)
        operation = scope if named is None or scope is not None else named.operation
        self._freezes.refused(until_ns, reason, limit_name, operation, object_)

    def resize(self, limits: Iterable[Limit], now_ns: int) -> None:
        """Other limits from now on, for every call admitted from now on; what is spent stays spent.

        Every window that holds a call admitted after this moment keeps the new limits, calls admitted before
        included (back to `remembers_from_ns`); every window without one keeps the old. A limit of a new shape
        (operation, object, unit) counts the calls of the last `history_ns`, at most 20,000 of them. Raises
        ValueError as the constructor does, and then changes nothing.
        """
        new = checked(limits)
        self._book.history_ns = max(self._book.history_ns, *self._longest_ns.values(), 0)
        self._set(new)
        self._meet(now_ns)

    def usage(self, now_ns: int) -> list[Usage]:
        """How full each limit is now, in the order of the limits. Changes nothing."""
        return [gauge.usage(now_ns) for gauge in self._gauges]

    def counted(self, now_ns: int, operation: str | None = None) -> dict[str, int]:
        """What is taken of each limit in which such calls count, but of those per object; units as in `Usage`."""
        return {
            gauge.limit.name: gauge.shown(gauge.used(now_ns))
            for gauge in self._gauges
            if gauge.limit.operation in (None, operation) and not gauge.limit.per_object
        }

    def eta(self, now_ns: int, ahead: int, call_ns: int = 0) -> int:
        """When the call with `ahead` calls before it may start, if all cost 1 and every one goes as it can.

        An estimate: calls in flight are taken to end now, `call_ns` is the mean length of a call. Exact for
        one rate limit and calls without length. Never before the end of a freeze. Limits of one operation or object
        are left out.
        """
        start_ns = now_ns if self.frozen is None else max(now_ns, self.frozen.until_ns)
        told = [start_ns]
        for gauge in self._gauges:
            if gauge.limit.operation is None and not gauge.limit.per_object and gauge.tally.kind.unit != "bytes":
                units = max(call_ns, 1) if gauge in self._executes else 1
                told.append(gauge.eta(start_ns, ahead, call_ns, units))
        return max(told)

    def gauge(self, limit: Limit) -> Gauge:
        """A limit, of ours or another, beside what is spent of its kind; to ask only."""
        return Gauge(limit, self._book.tally(kind_of(limit)), self._guard_ns)

    def snapshot(self) -> BudgetState:
        """The whole state, to go on later exactly as if nothing had happened (`from_snapshot`)."""
        book = self._book
        return BudgetState(
            limits=self._limits,
            guard_ns=self._guard_ns,
            history_ns=book.history_ns,
            meters=book.states(self._latest_ns or 0),
            recent=tuple(book.recent),
            expected=tuple(book.expected),
            busy=tuple(book.busy),
            held=self.in_flight,
            abandoned=tuple(book.abandoned.values()),
            refusals=self._freezes.states(),
            reserves=self._reserves.snapshot(),
            next_id=self._next_id,
            latest_ns=self._latest_ns,
            remembers_from_ns=self.remembers_from_ns,
        )

    @classmethod
    def from_snapshot(cls, state: BudgetState) -> "Budget":
        """The budget as it was. If its process died meanwhile, call `abandoned` for each of `in_flight`."""
        budget = cls((), state.guard_ns, state.history_ns)
        book = budget._book
        book.held.update((lease.id, lease) for lease in state.held)
        book.abandoned.update((lease.id, (lease, spend)) for lease, spend in state.abandoned)
        book.expected.extend(state.expected)
        book.busy.extend(state.busy)
        book.recent.extend(state.recent)
        book.take(state.meters)
        book.remembers_from_ns = state.remembers_from_ns
        budget._freezes = Freezes(book, state.refusals)
        budget._reserves = Reserves(state.reserves)
        budget._next_id, budget._latest_ns = state.next_id, state.latest_ns
        budget._set(state.limits)
        return budget

    # -- what stands in the way

    def _reserve(self, ask: Ask) -> int:
        """The execution time to set aside for a call: what it says, what a limit states, or what was learned."""
        counting = [gauge for gauge in self._executes if gauge.tally.covers(ask.operation, ask.object)]
        if not counting:
            return 0
        stated = [gauge.limit.call_ns for gauge in counting if isinstance(gauge.limit, ExecutionLimit)]
        known = [call_ns for call_ns in [ask.execution_ns, *stated] if call_ns is not None]
        capacity_ns = min(gauge.capacity for gauge in counting)
        reserve_ns = min(known) if known else self._reserves.estimate(ask.operation, capacity_ns)
        return min(reserve_ns, capacity_ns)

    # -- time

    def _meet(self, now_ns: int) -> None:
        self._advance(now_ns if self._latest_ns is None else max(self._latest_ns, now_ns))

    def _advance(self, now_ns: int) -> None:
        self._latest_ns = now_ns
        self._book.advance(now_ns, self._longest_ns, self._guard_ns)


def _lateness(wait: Wait) -> tuple[bool, int]:
    return (wait.until_ns is None, wait.until_ns or 0)
