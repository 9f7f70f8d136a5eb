"""Order between lanes: urgent, then standard, then bulk, with a floor below which the lower lanes never fall.

A floor of p percent means: in every run of `100 // p` consecutive picks during all of which the lane
waited, it is picked at least once (so in n such picks at least n // (100 // p) times; 10 % is one in ten,
5 % one in twenty). Outside its floors every lane is strictly behind the lanes above it.

How. Each floored lane has a slack: how many more picks it may be passed over before its floor breaks. A
pick goes to the highest waiting lane, unless passing over the floored lanes would leave some j + 1 of them
to be served within fewer than j + 1 picks; then the one with the least slack goes first. Lanes whose floors
fall due at the same pick are thus served just before it, one after the other. This needs the floors to
leave room, which is checked once (33 % each and 50 % together at most).

How long a head waits, in picks (with the default floors): urgent 3, standard 10, bulk 20; `wait_bound`
gives the bound for any place in line. With a budget of N calls per W, a pick takes W / N.
"""

from collections.abc import Mapping

from msgspec import Struct

LANES = ("urgent", "standard", "bulk")
"""Highest first."""

DEFAULT_FLOORS_PERCENT: Mapping[str, int] = {"standard": 10, "bulk": 5}


class LaneState(Struct, frozen=True):
    """The picks each floored lane was passed over while it waited; a snapshot of a LanePicker."""

    passed_over: dict[str, int]


class LanePicker:
    """Picks the lane of the next call. Deterministic; the only state is one counter per floored lane.

    `floors_percent`: lane to percent of the admitted calls, 1 to 33, together at most 50; a lane without a
    floor can be starved by the lanes above it. Raises ValueError for an unknown lane or floors out of
    range.
    """

    def __init__(
        self, floors_percent: Mapping[str, int] = DEFAULT_FLOORS_PERCENT, state: LaneState | None = None
    ) -> None:
        _check(floors_percent)
        self._period = {lane: 100 // percent for lane, percent in floors_percent.items()}
        known = state.passed_over if state is not None else {}
        self._passed_over = {lane: min(known.get(lane, 0), period - 1) for lane, period in self._period.items()}

    def pick(self, waiting: Mapping[str, object]) -> str | None:
        """The lane whose head goes next, counted as picked; None only if nothing waits.

        `waiting` maps a lane to anything truthy if it has a call that could go now.
        """
        lane = self.peek(waiting)
        if lane is not None:
            self.picked(lane, waiting)
        return lane

    def peek(self, waiting: Mapping[str, object]) -> str | None:
        """The lane that `pick` would pick. Changes nothing."""
        passed_over, floored = self._passed_over, len(self._period)
        for lane, period in self._period.items():
            if period - passed_over[lane] <= floored:  # else no floor can break yet, whoever is passed over
                slack = self._slack(waiting)
                if any(left <= place for place, (left, _, _) in enumerate(slack)):
                    return slack[0][2]
                break
        for lane in LANES:
            if waiting.get(lane):
                return lane
        return None

    def _slack(self, waiting: Mapping[str, object]) -> list[tuple[int, int, str]]:
        return sorted(
            (self._period[lane] - 1 - self._passed_over[lane], LANES.index(lane), lane)
            for lane in self._period
            if waiting.get(lane)
        )

    def picked(self, picked: str, waiting: Mapping[str, object]) -> None:
        """Count a pick of the lane that `peek` told."""
        for lane in self._period:
            kept = waiting.get(lane) and lane != picked
            self._passed_over[lane] = self._passed_over[lane] + 1 if kept else 0

    def snapshot(self) -> LaneState:
        """The counters, to go on later exactly as if nothing had happened."""
        return LaneState(dict(self._passed_over))

    def wait_bound(self, lane: str, ahead: int = 0) -> int:
        """The picks within which the call with `ahead` calls before it in its lane is picked, at the latest.

        Holds however the other lanes behave. Raises ValueError for a lane that has neither rank nor floor.
        """
        if lane in self._period:
            return (ahead + 1) * self._period[lane]
        if lane != LANES[0]:
            raise ValueError(f"lane {lane!r} has no floor, so the lanes above it may keep it waiting for ever")
        picks = ahead + 1
        while picks - self._taken_below(picks) < ahead + 1:
            picks += 1
        return picks

    def _taken_below(self, picks: int) -> int:
        """The most picks out of so many that floors can take from the first lane."""
        early = len(self._period) - 1
        return sum(-(-picks // (period - early)) for period in self._period.values())


def _check(floors_percent: Mapping[str, int]) -> None:
    for lane, percent in floors_percent.items():
        if lane not in LANES[1:]:
            raise ValueError(f"a floor for lane {lane!r}: expected one of {', '.join(LANES[1:])}")
        if not 1 <= percent <= 33:
            raise ValueError(f"the floor of lane {lane!r} is {percent} %, expected 1 to 33")
    if sum(floors_percent.values()) > 50:
        raise ValueError(f"the floors add up to {sum(floors_percent.values())} %, expected at most 50")
