"""Back-pressure at the door: accept, or refuse with the time after which coming back makes sense.

Hysteresis: refusing starts at the high mark and ends at the low one, so that the door does not flap. The
state is one bool, given and returned.
"""

from collections.abc import Mapping
from math import ceil
from typing import TypeAlias

from msgspec import Struct

from policies.lanes import LANES

_SECOND_NS = 1_000_000_000


class Watermarks(Struct, frozen=True):
    """When the door closes and opens. `age_high_ns` and `age_low_ns` are about the oldest item that waits.

    Raises ValueError unless 0 <= low < high for both pairs.
    """

    waiting_high: int
    waiting_low: int
    age_high_ns: int | None = None
    age_low_ns: int = 0
    come_back_max_seconds: int = 3600

    def __post_init__(self) -> None:
        if not 0 <= self.waiting_low < self.waiting_high:
            raise ValueError(f"waiting marks {self.waiting_low} and {self.waiting_high}: expected 0 <= low < high")
        if self.age_high_ns is not None and not 0 <= self.age_low_ns < self.age_high_ns:
            raise ValueError(f"age marks {self.age_low_ns} and {self.age_high_ns} ns: expected 0 <= low < high")


def marks_of_lanes(high: int, low: int, shares_percent: Mapping[str, int]) -> dict[str, Watermarks]:
    """Marks of each lane: its share of the marks of the whole house; a lane that is not named has all of it.

    All count the same line, the one of everything that waits. So bulk is refused first, while there is room for what
    is more urgent, and a flood of bulk can fill no more than its share.

    Raises ValueError for marks that Watermarks refuses.
    """
    return {
        lane: Watermarks(max(high * share // 100, 1), low * share // 100)
        for lane in LANES
        for share in (shares_percent.get(lane, 100),)
    }


class Accept(Struct, frozen=True, tag="accept"):
    """Take it."""


class Refuse(Struct, frozen=True, tag="refuse"):
    """Do not take it; room is expected in `come_back_seconds` (at least 1). `reason` is a sentence."""

    come_back_seconds: int
    reason: str


DoorDecision: TypeAlias = Accept | Refuse


def at_the_door(
    marks: Watermarks, refusing: bool, waiting: int, oldest_age_ns: int, drained_per_second: float
) -> DoorDecision:
    """Whether to take one more item. `refusing` is what the last decision was (False at the start).

    `drained_per_second` is how fast the line gets shorter when nothing is added; 0 or less means not at
    all, and then the longest come-back time is told.
    """
    reason = _full(marks, refusing, waiting, oldest_age_ns)
    if reason is None:
        return Accept()
    return Refuse(_come_back_seconds(marks, waiting, oldest_age_ns, drained_per_second), reason)


def _full(marks: Watermarks, refusing: bool, waiting: int, oldest_age_ns: int) -> str | None:
    if waiting >= marks.waiting_high or (refusing and waiting > marks.waiting_low):
        return f"{waiting} items wait; the door opens again at {marks.waiting_low}"
    if marks.age_high_ns is None or waiting == 0:
        return None
    if oldest_age_ns >= marks.age_high_ns or (refusing and oldest_age_ns > marks.age_low_ns):
        return f"the oldest item waits for {oldest_age_ns // _SECOND_NS} s; that is too long to take more"
    return None


def _come_back_seconds(marks: Watermarks, waiting: int, oldest_age_ns: int, drained_per_second: float) -> int:
    if drained_per_second <= 0:
        return marks.come_back_max_seconds
    by_count = max(0, waiting - marks.waiting_low) / drained_per_second
    by_age = 0.0
    if marks.age_high_ns is not None and oldest_age_ns >= marks.age_high_ns:
        by_age = waiting / drained_per_second
    # Capped before rounding: a very slow drain makes these infinite.
    return max(1, ceil(min(max(by_count, by_age), marks.come_back_max_seconds)))
