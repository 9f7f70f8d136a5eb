"""Who waited for the ERP, and from when to when, from the accepted list and the ERP's log.

A message waits from the moment at which its call can be expected (accepted, the call before it in its key over, no
hold on it) until its first call arrives at the ERP. What was refused or awaits approval without a call never waited.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from ops.certificate.accepted import AcceptedRow, Spell
from ops.certificate.erplog import ErpLog
from ops.certificate.terms import Terms

LOOKUP_OPS = ("find", "limits")


class Waiter(Struct, gc=False):
    """One message. `start_ns` is the end of the log when it never started."""

    row: AcceptedRow
    ready_ns: int
    start_ns: int
    started: bool
    line: int | None = None

    @property
    def had_to_wait(self) -> bool:
        return self.ready_ns < self.start_ns

    @property
    def wait_ns(self) -> int:
        """From acceptance; clients stamp it when the answer reaches them, so the call may have left before."""
        return max(0, self.start_ns - self.row.accepted_ns)


class Span(Struct, frozen=True, gc=False):
    """Half-open, in nanoseconds."""

    start_ns: int
    end_ns: int


def waiters_of(rows: Sequence[AcceptedRow], spells: Sequence[Spell], log: ErpLog, terms: Terms) -> list[Waiter]:
    """Everything that waited, in order of its start."""
    calls = _Calls(log)
    held = [spell for spell in spells if spell.event == "held"]
    lines: dict[tuple[str, str, str], list[AcceptedRow]] = defaultdict(list)
    for row in _first_of_each_key(rows):
        lines[row.tenant, row.account, row.lane].append(row)
    found: list[Waiter] = []
    for line in lines.values():
        free_ns = -1
        for row in sorted(line, key=lambda one: one.sequence):
            start_ns = calls.first_ns(row)
            if start_ns is None and row.outcome in ("refused", "approval"):
                continue
            ready_ns = max(row.accepted_ns, free_ns) + terms.ready_ns
            waiter = Waiter(row, ready_ns, calls.end_ns if start_ns is None else start_ns, start_ns is not None)
            waiter.line = calls.line(row)
            _hold(waiter, held)
            found.append(waiter)
            free_ns = calls.over_ns(row) if waiter.started else 1 << 62
    return sorted(found, key=lambda one: one.start_ns)


def _first_of_each_key(rows: Sequence[AcceptedRow]) -> Iterable[AcceptedRow]:
    seen: set[str] = set()
    for row in rows:
        if row.key not in seen:
            seen.add(row.key)
            yield row


def _hold(waiter: Waiter, held: Sequence[Spell]) -> None:
    """What was held while it waited could go, at the earliest, when the hold was lifted."""
    for spell in held:
        if spell.covers(waiter.row) and spell.from_ns < waiter.start_ns and spell.until_ns > waiter.ready_ns:
            waiter.ready_ns = min(spell.until_ns, waiter.start_ns)


class _Calls:
    """First arrival and last end of the calls about a subject."""

    def __init__(self, log: ErpLog) -> None:
        self.end_ns = max(log.ended_ns, default=0)
        self._first: dict[str, int] = {}
        self._over: dict[str, int] = {}
        self._line: dict[str, int] = {}
        for index, subject in enumerate(log.subjects):
            if not subject:
                continue
            self._over[subject] = max(self._over.get(subject, 0), log.ended_ns[index])
            if log.op(index) not in LOOKUP_OPS:
                arrived_ns = log.arrived_ns[index]
                if arrived_ns < self._first.get(subject, 1 << 62):
                    self._first[subject] = arrived_ns
                    self._line[subject] = log.lines[index]

    def first_ns(self, row: AcceptedRow) -> int | None:
        return self._first.get(row.key)

    def line(self, row: AcceptedRow) -> int | None:
        return self._line.get(row.key)

    def over_ns(self, row: AcceptedRow) -> int:
        return max(self._over.get(row.key, 0), self._over.get(row.reference or "", 0))


def union(spans: Iterable[Span]) -> list[Span]:
    """Sorted, apart: spans that overlap or touch become one; empty ones go."""
    joined: list[Span] = []
    for span in sorted((one for one in spans if one.end_ns > one.start_ns), key=lambda one: one.start_ns):
        if joined and span.start_ns <= joined[-1].end_ns:
            joined[-1] = Span(joined[-1].start_ns, max(joined[-1].end_ns, span.end_ns))
        else:
            joined.append(span)
    return joined


def without(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """What is left of `spans` after `taken`; both as `union` gives them."""
    left: list[Span] = []
    place = 0
    for span in spans:
        start_ns = span.start_ns
        while place < len(taken) and taken[place].end_ns <= start_ns:
            place += 1
        here = place
        while here < len(taken) and taken[here].start_ns < span.end_ns:
            if taken[here].start_ns > start_ns:
                left.append(Span(start_ns, taken[here].start_ns))
            start_ns = max(start_ns, taken[here].end_ns)
            here += 1
        if start_ns < span.end_ns:
            left.append(Span(start_ns, span.end_ns))
    return left


class Counter:
    """How many of a set of instants lie where; O(log n) a question."""

    def __init__(self, instants: Iterable[int]) -> None:
        self.instants = array("q", sorted(instants))

    def until(self, instant_ns: int) -> int:
        """At or before."""
        return bisect_right(self.instants, instant_ns)

    def before(self, instant_ns: int) -> int:
        return bisect_left(self.instants, instant_ns)

    def between(self, start_ns: int, end_ns: int) -> int:
        """Strictly between."""
        return max(0, self.before(end_ns) - self.until(start_ns))
