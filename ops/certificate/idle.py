"""Work conservation: time in which work waited although every limit had room.

Room is what the ERP's own log shows: one more call at that instant would break no window and no slot. A gate knows
less than that (it learns of an arrival when the answer comes) and needs a moment to act, so stretches up to the
reaction time are left out, calls without an answer count for as long as they may be taken to run, and the time that
a refusal told to stay away is nobody's idleness.
"""

from collections.abc import Sequence

from ops.certificate.accepted import Away, Spell, Steered
from ops.certificate.erplog import ErpLog
from ops.certificate.freezes import freezes_of
from ops.certificate.model import NANOSECONDS_PER_SECOND, Idle
from ops.certificate.room import Room
from ops.certificate.spans import Span, union, without
from ops.certificate.terms import Terms
from ops.certificate.waiting import Waiter


def idle_of(waiters: Sequence[Waiter], spells: Sequence[Spell], log: ErpLog, room: Room, terms: Terms) -> Idle | None:
    """None if nothing ever had to wait, or no limit says what room is."""
    waited = union(Span(one.ready_ns, one.start_ns) for one in waiters)
    away = [Span(one.from_ns, one.until_ns) for one in spells if isinstance(one, Away | Steered)]
    excused = union([*away, *(Span(one.from_ns, one.over_ns) for one in freezes_of(log) if not one.account)])
    waited = without(waited, excused)
    if not waited or not room.known:
        return None
    idle = [one for one in without(waited, room.full) if one.end_ns - one.start_ns > terms.reaction_ns]
    total = sum(one.end_ns - one.start_ns - terms.reaction_ns for one in idle)
    waited_ns = sum(one.end_ns - one.start_ns for one in waited)
    longest = max(idle, key=lambda one: one.end_ns - one.start_ns, default=None)
    return Idle(
        seconds=total / NANOSECONDS_PER_SECOND,
        percent=round(100 * total / waited_ns, 2),
        waited_seconds=waited_ns / NANOSECONDS_PER_SECOND,
        stretches=len(idle),
        longest_seconds=(longest.end_ns - longest.start_ns) / NANOSECONDS_PER_SECOND if longest else 0.0,
        longest_from_ns=longest.start_ns if longest else None,
    )
