"""What stands between a waiting call and its system: budget, breakers, retry budget and the order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from actors.adapters.port import Absent, Answer, Failed, Lost, NotSent
from broker.store.rows import Call
from policies.budget import Ask, Budget
from policies.governor import Governor
from policies.lanes import DEFAULT_FLOORS_PERCENT
from policies.limits import Lease, Limit, Spend, Wait
from policies.order import Order, Share
from policies.order_cost import cost_us
from policies.recoverability import FailureClass
from policies.restarts import Backoff
from policies.retries import Blocked, Breaker, Pass, RetryBudget
from policies.signals import NOTHING, Reading

_SECOND_NS = 1_000_000_000
ASK_TO_FIND = Ask("find")
ASK_FOR_LIMITS = Ask("limits")
DOUBTS_MAX = 3
"""So often in a row a refused credential that may be a full system is taken for that."""


class Admission(msgspec.Struct, frozen=True):
    """The right to make one call now. Hand it back through exactly one of the gate's endings."""

    call: Call
    lease: Lease
    passage: Pass
    operation: str


class Closed(msgspec.Struct, frozen=True):
    """Nothing may start: `until_ns` (boot clock) at the latest, or until something ends or arrives."""

    until_ns: int | None
    what: str
    reason: str


class Steering(msgspec.Struct, frozen=True):
    """How the gate takes what the system says. `rest_seconds_max`: the longest rest before the next probe."""

    adapt: bool = True
    reserve_percent: int = 0
    rest_seconds_max: float = 60.0


def look_up_of(operation: str) -> str:
    """The operation of a look-up, which may work while the other does not."""
    return f"{operation}.find"


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
        steering: Steering | None = None,
    ) -> None:
        self.steering = steering or Steering()
        self.ceilings = tuple(limits)
        """The limits that are configured or set; the budget may hold narrower ones that were learned."""
        self.budget = Budget(self.ceilings)
        self.governor = Governor(self.budget, 0, self.steering.reserve_percent, self.steering.adapt)
        self.order = Order(floors, tenants, workloads)
        self._breakers: dict[str, Breaker] = {}
        self._retries = RetryBudget()
        self._random = random
        self._held: Closed | None = None
        """Until when the first of those set aside for limits of their own has to wait."""
        self._well = False
        self._doubts = 0

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

    def set_limits(self, limits: Iterable[Limit], now_ns: int) -> None:
        """Other limits are configured from now on; what was learned below them stays. Raises ValueError as Budget."""
        self.governor.set_ceilings(ceilings := tuple(limits), now_ns)
        self.ceilings = ceilings

    def _breaker(self, operation: str) -> Breaker:
        if operation not in self._breakers:
            cap_ns = int(self.steering.rest_seconds_max * _SECOND_NS)
            backoff = Backoff(base_ns=min(30 * _SECOND_NS, cap_ns), cap_ns=cap_ns)
            self._breakers[operation] = Breaker(backoff=backoff)
        return self._breakers[operation]

    def resting(self, operation: str, now_ns: int) -> Closed | None:
        """Why calls of this operation may not start just now, while others may."""
        breaker = self._breakers.get(operation)
        blocked = None if breaker is None else breaker.obstacle(now_ns)
        return None if blocked is None else _resting(operation, blocked)

    def resting_operations(self, now_ns: int) -> list[str]:
        """Operations of which no call may start just now."""
        return [operation for operation in self._breakers if self.resting(operation, now_ns) is not None]

    def rests(self, now_ns: int) -> list[Closed]:
        """All operations that may not start just now, the one that may first in front."""
        found = [rest for operation in self._breakers if (rest := self.resting(operation, now_ns)) is not None]
        return sorted(found, key=lambda rest: (rest.until_ns is None, rest.until_ns or 0))

    def admit(self, waiting: Waiting, now_ns: int) -> Admission | Closed:
        """Admit the call whose turn it is. Calls of operations that are `resting` are to be blocked in the order."""
        if (obstacle := self.budget.obstacle(now_ns)) is not None:
            return self._shut(obstacle)
        call = self._next(waiting, now_ns)
        if call is None:
            if waiting.unread:
                return Closed(now_ns, "reading", "the next calls are being read from the store")
            if self._held is not None:
                return self._held
            return Closed(now_ns + _SECOND_NS, "retries", "repeated calls wait: the ERP fails too often")
        passage = self._breaker(call.operation).permit(now_ns)
        if isinstance(passage, Blocked):
            return _resting(call.operation, passage)
        lease = self._lease(now_ns, ask_to_post(call))
        if call.sent == 0:
            self._retries.first_call()
        return Admission(waiting.take(), lease, passage, call.operation)

    def _next(self, waiting: Waiting, now_ns: int) -> Call | None:
        """The first call that may go; passed over are those whose repetition is not affordable, or whose operation or
        object has no room: what they leave is used by the others."""
        if self._retries.affordable:
            waiting.bring_back()
        if self._held is not None and self._held.until_ns is not None and self._held.until_ns <= now_ns:
            self._room_again(waiting)
        while (call := waiting.first()) is not None:
            if (own := self.held_back(call, now_ns)) is not None:
                self._held = _earlier(self._held, own)
            elif call.sent == 0 or self._retries.take(now_ns, True):
                return call
            waiting.set_aside()
        if waiting.unread or not waiting.bring_back():
            return None
        call = waiting.first()
        if call is None or self.held_back(call, now_ns) is not None:
            return None
        return call if self._retries.take(now_ns, False) else None

    def _room_again(self, waiting: Waiting) -> None:
        self._held = None
        while waiting.bring_back():
            pass

    def held_back(self, call: Call, now_ns: int) -> Closed | None:
        """Why this call may not be posted now although others may: a limit of its operation or of its object is full.

        Such a call is set aside; a limit of the whole system holds back every call, and this is not asked.
        """
        if not self.budget.scoped:
            return None
        ask = ask_to_post(call)
        obstacle = self.budget.obstacle(now_ns, ask=ask) or self.governor.object_obstacle(ask, now_ns)
        return None if obstacle is None else self._shut(obstacle)

    def on_object(self, call: Call, now_ns: int) -> Closed | None:
        """Why calls on the object of this one may not start, although others may."""
        ask = ask_to_post(call)
        its = next((its for its in self.budget.freezes if its.object is not None and its.object == ask.object), None)
        if its is not None:
            return Closed(its.until_ns, "frozen", f"calls on {its.object}: {its.reason}")
        wait = self.governor.object_obstacle(ask, now_ns)
        return None if wait is None else self._shut(wait)

    def admit_look_up(self, call: Call, now_ns: int) -> Admission | Closed:
        """Admit a look-up: it goes before everything else, because its outcome decides about money."""
        if (obstacle := self.budget.obstacle(now_ns, ask=ASK_TO_FIND)) is not None:
            return self._shut(obstacle)
        operation = look_up_of(call.operation)
        passage = self._breaker(operation).permit(now_ns)
        if isinstance(passage, Blocked):
            return _resting(operation, passage)
        return Admission(call, self._lease(now_ns, ASK_TO_FIND), passage, operation)

    def admit_question(self, now_ns: int) -> Lease | Closed:
        """Admit a question for the system's limits: a call of the budget like any other."""
        return self.admit_errand(ASK_FOR_LIMITS, now_ns)

    def admit_errand(self, ask: Ask, now_ns: int, probe: bool = False) -> Lease | Closed:
        """Admit a call that is not work: a question for the limits, a page of a listing, a look-up of a comparison.

        `probe`: it may be the first call after a refusal, because there is no work to be it.
        """
        if (obstacle := self.budget.obstacle(now_ns, ask=ask)) is not None:
            return self._shut(obstacle)
        if self.budget.frozen is not None and not probe:
            return Closed(None, "probe", "the probe after a refusal is real work, not a question")
        return self._lease(now_ns, ask)

    def _lease(self, now_ns: int, ask: Ask) -> Lease:
        lease = self.budget.admit(now_ns, ask=ask)
        assert isinstance(lease, Lease), "no obstacle, so there is room"
        self.governor.admitted(lease, now_ns)
        return lease

    def _shut(self, wait: Wait) -> Closed:
        """A limit that is full, or that a refusal has frozen: `what` tells them apart, also under one name."""
        frozen = self.budget.frozen
        is_freeze = frozen is not None and frozen.reason == wait.reason
        return Closed(wait.until_ns, "frozen" if is_freeze else wait.limit_name, wait.reason)

    # endings -------------------------------------------------------------------------------------------------

    def believe(self, answer: Answer) -> Answer:
        """The answer as it is to be taken: a credential that worked a moment ago may be refused by a full system."""
        refusal, outcome = answer.reading.refusal, answer.outcome
        if refusal is None or not refusal.suspected or not isinstance(outcome, Failed):
            return answer
        if not self._well or self._doubts >= DOUBTS_MAX:
            return answer
        self._doubts += 1
        why = Failed(FailureClass.THROTTLED, outcome.code, refusal.sentence, outcome.retry_after_seconds)
        return msgspec.structs.replace(answer, outcome=why)

    def answered(
        self,
        admission: Admission,
        arrived_by_ns: int,
        fine: bool,
        now_ns: int,
        reading: Reading = NOTHING,
        took_ns: int = 0,
    ) -> None:
        """An answer came; `fine` unless it says that the system could not take the call."""
        self.budget.ended(admission.lease, arrived_by_ns, fine=fine, ended_ns=now_ns)
        self.governor.answered(admission.lease, reading, took_ns, fine, now_ns)
        self._look_again()
        breaker = self._breaker(admission.operation)
        if fine:
            if reading.refusal is None:
                self._well, self._doubts = True, 0
            breaker.succeeded(admission.passage)
            self._retries.succeeded()
        else:
            self._failed(admission, now_ns)

    def throttled(
        self,
        admission: Admission,
        arrived_by_ns: int,
        asked_seconds: float | None,
        reason: str,
        now_ns: int,
        reading: Reading = NOTHING,
    ) -> None:
        """The system refused for its limits: narrow, freeze for as long as it said, then one probe."""
        self.governor.refused(admission.lease, reading, asked_seconds, reason, now_ns)
        self._not_taken(admission, arrived_by_ns, now_ns)

    def object_refused(
        self,
        admission: Admission,
        arrived_by_ns: int,
        asked_seconds: float | None,
        reason: str,
        now_ns: int,
        reading: Reading = NOTHING,
    ) -> None:
        """The system refused for the object of the call: only calls on that object stand still, then one probe."""
        self.governor.refused_object(admission.lease, reading, asked_seconds, reason, now_ns)
        self._not_taken(admission, arrived_by_ns, now_ns)

    def _not_taken(self, admission: Admission, arrived_by_ns: int, now_ns: int) -> None:
        """A refusal for a limit: the call counts as made, and says nothing about the system's health."""
        self.budget.ended(admission.lease, arrived_by_ns, fine=False, ended_ns=now_ns)
        self._look_again()
        self._breaker(admission.operation).unsent(admission.passage)

    def unanswered(self, admission: Admission, safe_at_ns: int, now_ns: int, reading: Reading = NOTHING) -> None:
        """No answer: the call may be at the system until `safe_at_ns`."""
        self.budget.abandoned(admission.lease, safe_at_ns)
        self.governor.answered(admission.lease, reading, 0, False, now_ns)
        self._look_again()
        self._failed(admission, now_ns)

    def question_ended(self, lease: Lease, answer: Answer, bound_ns: int, now_ns: int, told: Iterable[Limit]) -> None:
        """The question for the limits came back with `told`, or it was refused, or nobody answered."""
        self.errand_ended(lease, answer, bound_ns, now_ns)
        if isinstance(answer.outcome, Absent):
            self.governor.told(told, now_ns)

    def errand_ended(self, lease: Lease, answer: Answer, bound_ns: int, now_ns: int) -> None:
        """A call that is not work came back (`Absent`: all is well), or it was refused, or nobody answered."""
        match answer.outcome:
            case NotSent():
                self.budget.forget(lease)
                self.governor.gone(lease)
            case Lost():
                self.budget.abandoned(lease, bound_ns)
                self.governor.gone(lease)
            case Failed(FailureClass.THROTTLED, _, reason, after):
                self.governor.refused(lease, answer.reading, after, reason, now_ns)
                self.budget.ended(lease, bound_ns, fine=False)
            case _:
                fine = isinstance(answer.outcome, Absent)
                self.budget.ended(lease, bound_ns, fine=fine)
                self.governor.answered(lease, answer.reading, 0, False, now_ns)

    def _failed(self, admission: Admission, now_ns: int) -> None:
        breaker = self._breaker(admission.operation)
        was_open = breaker.open
        breaker.failed(admission.passage, now_ns, self._random())
        if breaker.open and not was_open:
            self._retries.storm()

    def unsent(self, admission: Admission, now_ns: int, unreachable: bool) -> None:
        """It never left; `unreachable` when the system could not even be connected to."""
        self.budget.forget(admission.lease)
        self.governor.gone(admission.lease)
        self._look_again()
        breaker = self._breaker(admission.operation)
        if unreachable:
            self._failed(admission, now_ns)
        else:
            breaker.unsent(admission.passage)

    def _look_again(self) -> None:
        """An end may have made room for those set aside."""
        if self._held is not None:
            self._held = msgspec.structs.replace(self._held, until_ns=0)


def ask_to_post(call: Call) -> Ask:
    """What the limits have to know of a call before it is posted."""
    return Ask("post", call.object)


def _earlier(one: Closed | None, other: Closed) -> Closed:
    if one is None or one.until_ns is None:
        return other
    return one if other.until_ns is None or one.until_ns <= other.until_ns else other


def _resting(operation: str, blocked: Blocked) -> Closed:
    return Closed(blocked.until_ns, "breaker", f"{operation}: {blocked.reason}")
