"""What stands between a waiting call and its system: budget, breaker, retry budget and the order of lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from broker.store.rows import Call
from policies.budget import Budget
from policies.lanes import DEFAULT_FLOORS_PERCENT, LanePicker
from policies.limits import Lease, Limit, Spend, Wait
from policies.retries import Blocked, Breaker, Pass, RetryBudget

_SECOND_NS = 1_000_000_000


class Admission(msgspec.Struct, frozen=True):
    """The right to make one call now. Hand it back through exactly one of the gate's endings."""

    call: Call
    lease: Lease
    passage: Pass


class Closed(msgspec.Struct, frozen=True):
    """Nothing may start: `until_ns` (boot clock) at the latest, or until something ends or arrives."""

    until_ns: int | None
    what: str
    reason: str


class Gate:
    """Admits the calls of one system. Every decision is by the policies; this only asks them in the right order."""

    def __init__(
        self,
        limits: Iterable[Limit],
        random: Callable[[], float],
        floors: Mapping[str, int] = DEFAULT_FLOORS_PERCENT,
    ) -> None:
        self.budget = Budget(limits)
        self._breaker = Breaker()
        self._retries = RetryBudget()
        self._lanes = LanePicker(floors)
        self._random = random
        self.weights: dict[str, int] = {}
        self.minima: dict[str, int] = {}

    def restore(self, spends: Iterable[Spend], now_ns: int) -> None:
        """Count what earlier processes spent."""
        self.budget.restore(spends, now_ns)

    def admit(self, heads: Mapping[str, Call], fresh: Mapping[str, Call], now_ns: int) -> Admission | Closed:
        """Admit the head of the lane whose turn it is. `heads` is not empty; `fresh` are the first never sent."""
        if (obstacle := self.budget.obstacle(now_ns)) is not None:
            return _closed(obstacle)
        passage = self._breaker.permit(now_ns)
        if isinstance(passage, Blocked):
            return Closed(passage.until_ns, "breaker", passage.reason)
        going = self._may_go(heads, fresh, now_ns)
        lane = self._lanes.pick(going)
        if lane is None:
            self._breaker.unsent(passage)
            return Closed(now_ns + _SECOND_NS, "retries", "repeated calls wait: the ERP fails too often")
        lease = self._lease(now_ns)
        if going[lane].sent == 0:
            self._retries.first_call()
        return Admission(going[lane], lease, passage)

    def _may_go(self, heads: Mapping[str, Call], fresh: Mapping[str, Call], now_ns: int) -> Mapping[str, Call]:
        """The heads; or the calls behind them that were never sent, when repeating is due and not affordable."""
        lane = self._lanes.peek(heads)
        repeats = lane is not None and heads[lane].sent > 0
        return fresh if repeats and not self._retries.take(now_ns, bool(fresh)) else heads

    def admit_look_up(self, call: Call, now_ns: int) -> Admission | Closed:
        """Admit a look-up: it goes before everything else, because its outcome decides about money."""
        if (obstacle := self.budget.obstacle(now_ns)) is not None:
            return _closed(obstacle)
        passage = self._breaker.permit(now_ns)
        if isinstance(passage, Blocked):
            return Closed(passage.until_ns, "breaker", passage.reason)
        return Admission(call, self._lease(now_ns), passage)

    def _lease(self, now_ns: int) -> Lease:
        lease = self.budget.admit(now_ns)
        assert isinstance(lease, Lease), "no obstacle, so there is room"
        return lease

    def set_shares(self, weights: Mapping[str, int], minima: Mapping[str, int], floors: Mapping[str, int]) -> None:
        """Shares of tenants (weight; percent at least) and floors of lanes, from the next call on.

        Raises:
            ValueError: floors that leave no room.
        """
        self.weights, self.minima = dict(weights), dict(minima)
        self._lanes = LanePicker(floors, self._lanes.snapshot())

    # endings -------------------------------------------------------------------------------------------------

    def answered(self, admission: Admission, arrived_by_ns: int, fine: bool, now_ns: int) -> None:
        """An answer came; `fine` unless it says that the system could not take the call."""
        self.budget.ended(admission.lease, arrived_by_ns, fine=fine)
        if fine:
            self._breaker.succeeded(admission.passage)
            self._retries.succeeded()
        else:
            self._breaker.failed(admission.passage, now_ns, self._random())

    def throttled(self, admission: Admission, arrived_by_ns: int, until_ns: int, reason: str) -> None:
        """The system refused for its limits: freeze until it said, then one probe."""
        self.budget.freeze(until_ns, reason)
        self.budget.ended(admission.lease, arrived_by_ns, fine=False)
        self._breaker.unsent(admission.passage)

    def unanswered(self, admission: Admission, safe_at_ns: int, now_ns: int) -> None:
        """No answer: the call may be at the system until `safe_at_ns`."""
        self.budget.abandoned(admission.lease, safe_at_ns)
        self._breaker.failed(admission.passage, now_ns, self._random())

    def unsent(self, admission: Admission, now_ns: int, unreachable: bool) -> None:
        """It never left; `unreachable` when the system could not even be connected to."""
        self.budget.forget(admission.lease)
        if unreachable:
            self._breaker.failed(admission.passage, now_ns, self._random())
        else:
            self._breaker.unsent(admission.passage)


def _closed(wait: Wait) -> Closed:
    return Closed(wait.until_ns, wait.limit_name, wait.reason)
