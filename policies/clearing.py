"""When so many calls can have been sent, within all limits at once, starting from what is spent already.

`Budget.eta` answers for one limit at a time and takes the worst. Where a rate opens for many calls at the same moment,
they still go out only as quickly as calls that are in flight come back; that is added here.
"""

from policies.budget import Budget

_SENDS_MAX = 10**12
_MANY, _LONG_NS = 10**6, 10**18
_SLOTS_MAX = 10_000


class Clearing:
    """Seconds from `now_ns` for a call of this length in the mean. The budget is only read. Answers are remembered."""

    def __init__(self, budget: Budget, now_ns: int, service_seconds: float) -> None:
        self._budget = budget
        self._now_ns = now_ns
        self._service_seconds = service_seconds
        self._call_ns = round(service_seconds * 1e9)
        self._slots = _slots(budget, now_ns)
        self._known: dict[tuple[int, int], float] = {}
        self._opens: dict[tuple[int, int], int] = {}

    def seconds(self, start: float, sent: float, sends: float) -> float:
        """When so many calls that go from `start` on are over, if `sent` went before; O(log n) looks at the budget."""
        return self._sent_by(start, sent, sends) + self._service_seconds

    def room(self, start: float, end: float, sent: float) -> float:
        """How many calls can be sent between these moments."""
        low, high = 0, 1
        while high < _SENDS_MAX and self._sent_by(start, sent, high) <= end:
            low, high = high, high * 2
        if high >= _SENDS_MAX:
            return float("inf")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._sent_by(start, sent, middle) <= end else (low, middle)
        return float(low)

    def _sent_by(self, start: float, sent: float, sends: float) -> float:
        at = self._at(self._now_ns + round(start * 1e9), _ahead(sends))
        return max(at, self._at(self._now_ns, _ahead(sent + sends))) if sent else at

    def _at(self, from_ns: int, ahead: int) -> float:
        """When the call with so many before it goes, in seconds from now."""
        known = self._known.get((from_ns, ahead))
        if known is None:
            known = self._known[from_ns, ahead] = (self._find(from_ns, ahead) - self._now_ns) / 1e9
        return known

    def _find(self, from_ns: int, ahead: int) -> float:
        eta = self._budget.eta
        opens_ns = eta(from_ns, ahead)
        at_ns: float = eta(from_ns, ahead, self._call_ns)
        if self._slots is None or at_ns == opens_ns == from_ns:
            return at_ns
        first = self._first_at(from_ns, opens_ns, ahead)
        return max(at_ns, opens_ns + (ahead - first) / self._slots * self._call_ns)

    def _first_at(self, from_ns: int, opens_ns: int, ahead: int) -> int:
        """The first of those that may go at the same moment by the rates alone."""
        known = self._opens.get((from_ns, opens_ns))
        if known is None:
            below, known = -1, ahead
            while known - below > 1:
                middle = (below + known) // 2
                below, known = (below, middle) if self._budget.eta(from_ns, middle) >= opens_ns else (middle, known)
            self._opens[from_ns, opens_ns] = known
        return known


def _ahead(sends: float) -> int:
    return min(max(round(sends) - 1, 0), _SENDS_MAX)


def _slots(budget: Budget, now_ns: int) -> int | None:
    """How many calls can be in flight; None if that is not limited. Told by how long many endless calls would take,
    because the budget alone knows which of its limits hold for every call."""
    slots = round(_MANY * _LONG_NS / max(budget.eta(now_ns, _MANY, _LONG_NS) - now_ns, 1))
    return slots if slots < _SLOTS_MAX else None
