"""What stands between a waiting call and its system: budget, breaker, retry budget and the order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from broker.store.rows import Call
from policies.budget import Budget
from policies.lanes import DEFAULT_FLOORS_PERCENT
from policies.limits import Lease, Limit, Spend, Wait
from policies.order import Order, Share
from policies.order_cost import cost_us
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


class Waiting(Protocol):
    """What waits, as the gate has to see it: see `Worklist`."""

    def first(self) -> Call | None:
        """The call that goes next, if one may."""
        ...

    @property
    def unread(self) -> bool:
        """There is no first only because the store has to be asked."""
        ...

    def take(self) -> Call:
        """The first is about to be made."""
        ...

    def set_aside(self) -> None:
        """The first may not go, the others may."""
        ...

    def bring_back(self) -> bool:
        """Some of those set aside are in line again; whether there were any."""
        ...


class Gate:
    """Admits the calls of one system. Every decision is by the policies; this only asks them in the right order."""

    def __init__(
        self,
        limits: Iterable[Limit],
        random: Callable[[], float],
        floors: Mapping[str, int] = DEFAULT_FLOORS_PERCENT,
        tenants: Mapping[str, Share] | None = None,
        workloads: Mapping[str, Share] | None = None,
    ) -> None:
        self.budget = Budget(limits)
        self.order = Order(floors, tenants, workloads)
        self._breaker = Breaker()
        self._retries = RetryBudget()
        self._random = random

    def steer(
        self,
        tenants: Mapping[str, Share] | None = None,
        workloads: Mapping[str, Share] | None = None,
        floors: Mapping[str, int] | None = None,
    ) -> None:
        """Other shares and floors, from the next call on, for what waits already as well. None leaves as it is.

        Raises ValueError for shares or floors that cannot be kept; then nothing of that kind is changed.
        """
        if tenants is not None:
            self.order.set_tenants(tenants)
        if workloads is not None:
            self.order.set_workloads(workloads)
        if floors is not None:
            self.order.set_floors(floors)

    def cost(self, held_ns: int) -> int:
        """What a call costs that is in flight for so long, for fair shares."""
        return cost_us(self.budget.limits, held_ns)

    def restore(self, spends: Iterable[Spend], now_ns: int) -> None:
        """Count what earlier processes spent."""
        self.budget.restore(spends, now_ns)

    def admit(self, waiting: Waiting, now_ns: int) -> Admission | Closed:
        """Admit the call whose turn it is."""
        if (obstacle := self.budget.obstacle(now_ns)) is not None:
            return _closed(obstacle)
        passage = self._breaker.permit(now_ns)
        if isinstance(passage, Blocked):
            return Closed(passage.until_ns, "breaker", passage.reason)
        call = self._next(waiting, now_ns)
        if call is None:
            self._breaker.unsent(passage)
            if waiting.unread:
                return Closed(now_ns, "reading", "the next calls are being read from the store")
            return Closed(now_ns + _SECOND_NS, "retries", "repeated calls wait: the ERP fails too often")
        lease = self._lease(now_ns)
        if call.sent == 0:
            self._retries.first_call()
        return Admission(waiting.take(), lease, passage)

    def _next(self, waiting: Waiting, now_ns: int) -> Call | None:
        """The first call that may go; those are passed over whose repetition is not affordable."""
        if self._retries.affordable:
            waiting.bring_back()
        while (call := waiting.first()) is not None:
            if call.sent == 0 or self._retries.take(now_ns, True):
                return call
            waiting.set_aside()
        if waiting.unread or not waiting.bring_back():
            return None
        call = waiting.first()
        return call if call is not None and self._retries.take(now_ns, False) else None

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
