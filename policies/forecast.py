"""When will the backlog be gone? Time to drain, in all, by lane and by tenant, each with an interval of 80 %.

What is forecast: the moment at which the last of the calls that wait now has its outcome. Calls that come later count
only as far as they go before these. The interval is meant to contain the truth four times in five; how often it does
is measured over simulated surges (`make forecast-calibration`).

How. `stages.py` finds the moment for one future, from counts alone: a million waiting calls cost what a thousand do.
It is asked for five futures: the likely one, arrivals that end sooner or go on longer, and a system that is quicker or
slower than lately. Each shifts the end by so much; the shifts are added as if they were independent, with the chance
of single calls, to the ends of the interval. The constants were fitted to surges of other seeds than those that
calibration is measured with.

Times in are nanoseconds of one monotonic clock, times out are seconds from now.
"""

from collections.abc import Iterable, Mapping
from math import inf, log, sqrt

from msgspec import Struct
from msgspec.structs import replace

from policies.budget import Budget
from policies.clearing import Clearing
from policies.lanes import LANES
from policies.outages import lost_seconds
from policies.pace import Recent
from policies.stages import Key, Moment, Pause, Situation, Stages

__all__ = ["Forecast", "Interval", "Pause", "Situation", "drain_seconds", "forecast"]

_Z80 = 1.2816
"""Standard normal: four fifths lie within this many deviations."""
_FOUR_FIFTHS = 0.8
SPREAD = 1.25
"""Fitted: by how much chance is wider than that of single calls."""
WAVE_ENDS, WAVE_GOES_ON = 0.15, 5.0
"""Fitted: how much longer arrivals go on at the ends of the interval, as multiples of how long they have been going on.

A wave that is met at a random moment has, one time in two, at least as much of it left as is over: that is 1."""
WAVE_FALLS, WAVE_SWELLS = 0.6, 1.6
"""Fitted: and at how many times the rate of the last minutes."""
MOOD_SERVICE = 0.33
"""Fitted: how much slower or quicker calls may be in the long run than they were lately (relative)."""
CALLS_ENOUGH = 40
"""From so many calls on, their length is known."""
RATE_USE = 0.02
"""How much of a rate may stay unused between a free place and its use (relative); `make bench` measures it."""
MOOD_RATE = 0.03
"""Fitted: how much the use of a rate changes in the long run (relative)."""
MOOD_SECONDS = 300.0
"""After so long, half of that change is to be expected."""
STRAGGLER_SECONDS = 4.0
"""Fitted: how much longer a call takes that has to be repeated: back-off, and its turn again."""


class Interval(Struct, frozen=True):
    """Seconds from now; four times in five the truth is within [low, high]. None: not before a person acts, or never,
    because more comes in than goes out.

    work: where a person has to act first, the likely seconds of work from then on, if all that is held goes on.
    """

    waiting: int
    low: float | None
    likely: float | None
    high: float | None
    work: float | None = None


class Forecast(Struct, frozen=True):
    """Time to drain. calls_per_second: what goes out on the average until all is done; None when nothing moves."""

    total: Interval
    lanes: dict[str, Interval]
    tenants: dict[str, Interval]
    calls_per_second: float | None


class _Futures(Struct):
    """When something is done in each of the five futures."""

    likely: Moment
    sooner: Moment
    longer: Moment
    quicker: Moment
    slower: Moment


def forecast(situation: Situation, budget: Budget, now_ns: int) -> Forecast:
    """Time to drain of everything that waits. The budget is only read."""
    told = _told(situation, budget, now_ns)
    if all(pause.seconds < inf for pause in situation.pauses) or told.total.likely is not None:
        return told
    goes_on = tuple(pause for pause in situation.pauses if pause.seconds < inf)
    freed = _told(replace(situation, pauses=goes_on), budget, now_ns)
    return Forecast(
        _work(told.total, freed.total),
        {lane: _work(span, freed.lanes[lane]) for lane, span in told.lanes.items()},
        {tenant: _work(span, freed.tenants[tenant]) for tenant, span in told.tenants.items()},
        told.calls_per_second,
    )


def _work(held: Interval, freed: Interval) -> Interval:
    return held if held.likely is not None else replace(held, work=freed.likely)


def _told(situation: Situation, budget: Budget, now_ns: int) -> Forecast:
    recent = situation.recent
    stages = Stages(situation)
    usual = Clearing(budget, now_ns, recent.service_seconds)
    wave, mood = recent.wave_seconds, 1 + _mood(recent)
    at_hand = situation.to_come / per_second if (per_second := sum(recent.arrivals.values())) else 0.0
    likely = max(wave, at_hand)
    walks = (
        stages.walk(usual, likely),
        stages.walk(usual, max(wave * WAVE_ENDS, at_hand), WAVE_FALLS),
        stages.walk(usual, max(wave * WAVE_GOES_ON, at_hand), WAVE_SWELLS),
        stages.walk(Clearing(budget, now_ns, recent.service_seconds / mood), likely),
        stages.walk(Clearing(budget, now_ns, recent.service_seconds * mood), likely),
    )
    by_lane: dict[str, list[Key]] = {lane: [] for lane in LANES}
    by_tenant: dict[str, list[Key]] = {}
    for key in {**walks[0], **situation.asked_seconds}:
        by_lane[key[0]].append(key)
        by_tenant.setdefault(key[1], []).append(key)

    def told(keys: Iterable[Key]) -> Interval:
        found = list(keys)
        asked = max((situation.asked_seconds.get(key, 0.0) for key in found), default=0.0)
        shut = max((_shut(situation, key) for key in found if key in walks[0]), default=0.0)
        waiting = sum(situation.waiting.get(key, 0) for key in found)
        return _interval(waiting, _last(walks, found), recent, asked, shut)

    total = _last(walks, walks[0]).likely
    return Forecast(
        total=told({**walks[0], **situation.asked_seconds}),
        lanes={lane: told(keys) for lane, keys in by_lane.items() if keys},
        tenants={tenant: told(by_tenant[tenant]) for tenant in sorted(by_tenant)},
        calls_per_second=_rate(total) if 0 < total.seconds < inf else None,
    )


def drain_seconds(budget: Budget, now_ns: int, waiting: int, recent: Recent) -> float:
    """When so many calls have been sent, in seconds: one look, without lanes or spread.

    For those who only need a time to come back, such as a door that refuses: O(log n) in what the budget remembers.
    """
    sends = round(waiting / (1 - recent.failure_share))
    return max(budget.eta(now_ns, sends, round(recent.service_seconds * 1e9)) - now_ns, 0) / 1e9


def _last(walks: Iterable[Mapping[Key, Moment]], keys: Iterable[Key]) -> _Futures:
    """When the last of these lines is done, in each future."""
    found = list(keys)
    nothing = Moment(0.0, 0.0)
    return _Futures(
        *(max((walk[key] for key in found if key in walk), key=_seconds, default=nothing) for walk in walks)
    )


def _seconds(moment: Moment) -> float:
    return moment.seconds


def _rate(moment: Moment) -> float:
    return moment.sends / max(moment.seconds, 1e-3)


def _mood(recent: Recent) -> float:
    """How much slower or quicker calls may be than lately; while few are known, they may be anything."""
    return MOOD_SERVICE + max(1 - recent.calls / CALLS_ENOUGH, 0.0)


def _shut(situation: Situation, key: Key) -> float:
    """Until when it surely stands still from now on, in seconds; what has no end is told elsewhere."""
    ends = (pause.seconds for pause in situation.pauses if pause.begins <= 0 and pause.holds(key))
    return max((end for end in ends if end < inf), default=0.0)


def _interval(waiting: int, futures: _Futures, recent: Recent, asked_seconds: float, shut_seconds: float) -> Interval:
    """`asked_seconds`: when calls of unknown outcome among them will have been looked up; `shut_seconds`: when the
    last of the lines may start, which is no matter of chance."""
    if not waiting and not asked_seconds:
        return Interval(0, 0.0, 0.0, 0.0)
    if not waiting:
        return Interval(0, *(round(asked_seconds + times * recent.service_seconds, 3) for times in (0.5, 1, 3)))
    likely = futures.likely
    if likely.seconds == inf:
        return Interval(waiting, None, None, None)
    works = max(likely.seconds - shut_seconds, 0.0)
    mood = works / (works + MOOD_SECONDS)
    felt = (futures.slower.seconds / likely.seconds - 1) / _mood(recent)  # 0: the rates alone decide
    chance = SPREAD * _Z80 * _chance(likely, works, recent, min(max(felt, 0.0), 1.0))
    ends = ((futures.sooner, futures.quicker, likely.early), (futures.longer, futures.slower, likely.late))
    earlier, later = (
        sqrt(
            (wave.seconds - likely.seconds) ** 2
            + (mood * (service.seconds - likely.seconds)) ** 2
            + (_FOUR_FIFTHS * place) ** 2
            + (MOOD_RATE * mood * works) ** 2
            + (RATE_USE * works) ** 2
            + chance**2
        )
        for wave, service, place in ends
    )
    told = (
        likely.seconds - earlier + _stragglers(likely, recent, 0.1),
        likely.seconds + _stragglers(likely, recent, 0.5),
        likely.seconds + later + _stragglers(likely, recent, 0.9),
    )
    least = recent.service_seconds / 2
    lost = lost_seconds(recent.outages, works)
    ends_at = (max(end, least, asked_seconds, shut_seconds) + more for end, more in zip(told, lost, strict=True))
    return Interval(waiting, *(None if end == inf else round(end, 3) for end in ends_at))


def _chance(moment: Moment, works: float, recent: Recent, felt: float) -> float:
    """One deviation in seconds from the chance of single calls: their length, repeats, and the very last one.

    works: seconds in which calls go out. felt: how much of a longer call is felt in the end, 0 to 1.
    """
    sample = 1 / max(moment.sends, 1.0) + 1 / max(recent.calls, 1.0)
    length = felt * recent.service_deviation / max(recent.service_seconds, 1e-9)
    relative = sqrt((length**2 + recent.failure_share) * sample)
    return sqrt((relative * works) ** 2 + recent.service_deviation**2)


def _stragglers(moment: Moment, recent: Recent, share: float) -> float:
    """What repeats at the very end add, in this share of the cases at most.

    They come at random, `failure_share` x rate a second; the last one that matters starts an exponential time before
    the end.
    """
    repeats = recent.failure_share * _rate(moment)
    return max(STRAGGLER_SECONDS + log(share) / repeats, 0.0) if repeats > 0 else 0.0
