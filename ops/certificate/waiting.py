"""Who waited for the ERP, and from when to when, from the accepted list and the ERP's log.

A message waits from the moment at which its call can be expected (accepted, the call before it in its key over, no
hold on it, room in the limits of its own object) until its first call arrives at the ERP. What was refused or awaits
approval without a call never waited.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from ops.certificate.accepted import AcceptedRow, Held, Spell
from ops.certificate.erplog import LOOKUP_OPS, ErpLog
from ops.certificate.room import Room
from ops.certificate.terms import Terms


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


def waiters_of(
    rows: Sequence[AcceptedRow], spells: Sequence[Spell], log: ErpLog, room: Room, terms: Terms
) -> list[Waiter]:
    """Everything that waited, in order of its start."""
    calls = _Calls(log)
    held = [spell for spell in spells if isinstance(spell, Held)]
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
            ready_ns = max(row.accepted_ns, row.ready_ns or 0, free_ns) + terms.ready_ns
            waiter = Waiter(row, ready_ns, calls.end_ns if start_ns is None else start_ns, start_ns is not None)
            waiter.line = calls.line(row)
            _hold(waiter, held, terms.ready_ns)
            waiter.ready_ns = room.of_object(row.account, waiter.ready_ns, waiter.start_ns)
            found.append(waiter)
            free_ns = calls.over_ns(row) if waiter.started else 1 << 62
    return sorted(found, key=lambda one: one.start_ns)


def _first_of_each_key(rows: Sequence[AcceptedRow]) -> Iterable[AcceptedRow]:
    seen: set[str] = set()
    for row in rows:
        if row.key not in seen:
            seen.add(row.key)
            yield row


def _hold(waiter: Waiter, held: Sequence[Spell], ready_ns: int) -> None:
    """What was held while it waited could go, at the earliest, when the hold was lifted."""
    for spell in held:
        if spell.covers(waiter.row) and spell.from_ns < waiter.start_ns and spell.until_ns > waiter.ready_ns:
            waiter.ready_ns = min(spell.until_ns + ready_ns, waiter.start_ns)


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
