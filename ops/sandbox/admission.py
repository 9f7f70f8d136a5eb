"""How the ERP enforces its limits on arrivals.

A refused call is logged and counts as an arrival like any other (strict: hammering never helps), but it
occupies none of the concurrent slots. What limits of one object say is known only when the body of the call was read:
such a call is counted there with the instant of its arrival, and refused then.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from ops.sandbox.limits import SECOND_NS, Concurrent, Execution, Limit, Rate


class Refusal(msgspec.Struct, frozen=True):
    """Which limit a call broke, and after how many whole seconds it may have room again.

    `rule` names what the limit counts, where it does not count every call: "post", "object", "post object".
    """

    code: str
    retry_after_seconds: int
    rule: str = ""


class RateWindow:
    """Exact sliding window over arrivals: it keeps the last `limit` of them and nothing else."""

    def __init__(self, limit: Rate) -> None:
        self._window_ns = limit.seconds * SECOND_NS
        self._arrivals: deque[int] = deque(maxlen=limit.limit)

    def arrive(self, now_ns: int) -> int:
        """Count an arrival; give 0 when the window had room, else the nanoseconds until it has."""
        arrivals = self._arrivals
        full = len(arrivals) == arrivals.maxlen and arrivals[0] > now_ns - self._window_ns
        late = bool(arrivals) and now_ns < arrivals[-1]  # its body was read after that of a call that arrived later
        arrivals.append(now_ns)
        if late:
            ordered = sorted(arrivals)
            arrivals.clear()
            arrivals.extend(ordered)
        return max(arrivals[0] + self._window_ns - now_ns, 1) if full else 0


class ExecutionWindow:
    """Exact sliding sum of execution time, by the ends of calls."""

    def __init__(self, limit: Execution) -> None:
        self._limit_ns = limit.limit * SECOND_NS
        self._window_ns = limit.seconds * SECOND_NS
        self._ended: deque[tuple[int, int]] = deque()
        self._used_ns = 0

    def end(self, ended_ns: int, duration_ns: int) -> None:
        """Count a call that ended; ends come in increasing order."""
        self._ended.append((ended_ns, duration_ns))
        self._used_ns += duration_ns

    def has_room(self, now_ns: int, running_ns: int) -> bool:
        """Whether less than the limit is used; `running_ns` is the time so far of the calls in progress."""
        while self._ended and self._ended[0][0] <= now_ns - self._window_ns:
            self._used_ns -= self._ended.popleft()[1]
        return self._used_ns + running_ns < self._limit_ns


class Scope:
    """Limits that count the same calls: all, those of one operation, those on one object."""

    def __init__(self, limits: Iterable[Limit], rule: str = "") -> None:
        limits = tuple(limits)
        self._rule = rule
        self._rates = [RateWindow(limit) for limit in limits if isinstance(limit, Rate)]
        self._executions = [ExecutionWindow(limit) for limit in limits if isinstance(limit, Execution)]
        self._slots = min((limit.limit for limit in limits if isinstance(limit, Concurrent)), default=None)
        self._started_sum_ns = 0
        self.in_progress = 0

    def judge(self, now_ns: int) -> Refusal | None:
        """Count an arrival in every window, also when an earlier one refuses it, and say which has no room."""
        wait_ns = max([rate.arrive(now_ns) for rate in self._rates], default=0)
        if wait_ns > 0:
            return Refusal("rate.exceeded", -(-wait_ns // SECOND_NS), self._rule)
        if self._slots is not None and self.in_progress >= self._slots:
            return Refusal("concurrency.exceeded", 1, self._rule)
        running_ns = self.in_progress * now_ns - self._started_sum_ns
        if not all(window.has_room(now_ns, running_ns) for window in self._executions):
            return Refusal("execution.exceeded", 1, self._rule)
        return None

    def begin(self, arrived_ns: int) -> None:
        """An admitted call takes a slot."""
        self.in_progress += 1
        self._started_sum_ns += arrived_ns

    def end(self, arrived_ns: int, ended_ns: int) -> None:
        """It gives the slot back, and its execution time is known."""
        self.in_progress -= 1
        self._started_sum_ns -= arrived_ns
        self.ended(arrived_ns, ended_ns)

    def ended(self, arrived_ns: int, ended_ns: int) -> None:
        """Count the execution time of a call."""
        for window in self._executions:
            window.end(ended_ns, ended_ns - arrived_ns)


class Admission:
    """All limits of a profile together, told of every arrival and every end (monotonic nanoseconds)."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        limits = tuple(limits)
        self._all = Scope(limit for limit in limits if limit.op is None and limit.per is None)
        ops = {limit.op for limit in limits if limit.op is not None and limit.per is None}
        self._ops = {op: Scope([x for x in limits if x.op == op and x.per is None], op) for op in ops}
        self._each = [limit for limit in limits if limit.per is not None]
        self._objects: dict[tuple[str | None, str], Scope] = {}

    @property
    def in_progress(self) -> int:
        """Calls that have a slot."""
        return self._all.in_progress

    def arrive(self, now_ns: int, op: str = "post") -> Refusal | None:
        """Count an arrival in every window and take a slot, or say which limit has no room."""
        return _take(self._scopes(op), now_ns)

    def touch(self, arrived_ns: int, op: str, account: str) -> Refusal | None:
        """The call that arrived then is about this object: the same for the limits of each object."""
        return _take(self._of(op, account), arrived_ns)

    def end(self, arrived_ns: int, ended_ns: int, op: str = "post", account: str | None = None) -> None:
        """Give the slot of an admitted call back and count its execution time; `account` if it was let touch one."""
        for scope in [*self._scopes(op), *(self._of(op, account) if account is not None else ())]:
            scope.end(arrived_ns, ended_ns)

    def resume(self, arrived_ns: int, op: str, account: str | None) -> None:
        """A call of the past that is still in progress takes its slot again."""
        for scope in self._scopes(op):
            scope.begin(arrived_ns)
        for scope in self._of(op, account) if account is not None else ():
            scope.judge(arrived_ns)
            scope.begin(arrived_ns)

    def remember(self, arrivals: Iterable[tuple[int, str]], ends: Iterable[tuple[int, int, str, str | None]]) -> None:
        """Fill the windows with the past of an earlier process.

        Arrivals are (arrived, operation), ends (arrived, ended, operation, account).
        """
        for arrived_ns, op in sorted(arrivals):
            for scope in self._scopes(op):
                scope.judge(arrived_ns)
        ends = list(ends)
        for arrived_ns, _, op, account in sorted(ends, key=lambda end: end[0]):
            for scope in self._of(op, account) if account is not None else ():
                scope.judge(arrived_ns)
        for arrived_ns, ended_ns, op, account in sorted(ends, key=lambda end: end[1]):
            for scope in [*self._scopes(op), *(self._of(op, account) if account is not None else ())]:
                scope.ended(arrived_ns, ended_ns)

    def _scopes(self, op: str) -> list[Scope]:
        return [self._all, self._ops[op]] if op in self._ops else [self._all]

    def _of(self, op: str, account: str) -> list[Scope]:
        found = []
        for kind in {limit.op for limit in self._each if limit.op in (None, op)}:
            if (kind, account) not in self._objects:
                its = [limit for limit in self._each if limit.op == kind]
                self._objects[kind, account] = Scope(its, f"{kind} object" if kind else "object")
            found.append(self._objects[kind, account])
        return found


def _take(scopes: list[Scope], arrived_ns: int) -> Refusal | None:
    """A slot in each of them, or in none."""
    refusals = [refusal for scope in scopes if (refusal := scope.judge(arrived_ns)) is not None]
    if refusals:
        return max(refusals, key=lambda refusal: refusal.retry_after_seconds)
    for scope in scopes:
        scope.begin(arrived_ns)
    return None
