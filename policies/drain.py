"""In which order a backlog empties: after how many calls each tenant's line in each lane is done.

A fluid model of the order (`lanes.py` between lanes, equal or weighted shares between the tenants of a lane) that
works on counts and never on calls. Its unit of time is one call sent, so it knows nothing of limits and latency;
`forecast.py` turns calls into seconds. Cost: O(k log k) for k lines, whatever they hold.

Between lanes. While it has work, a lower lane gets its floor and otherwise what the lanes above leave; a lane
without backlog takes what newly arrives in it. That gives each lane a curve of calls served that is straight between
the moments at which a lane runs dry.

Within a lane all tenants fill up alike: when a tenant with m waiting and weight w is done, every tenant that is not
done has had (m / w) times its own weight, and every one that is done has had all it had, and what arrived since. So
the tenants sorted by m / w are done one after the other, each where the curve of the lane meets a straight line.

Calls are whole, so a tenant's last one goes somewhere within its last round: likely in the middle of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import NamedTuple

from msgspec import Struct

from policies.lanes import DEFAULT_FLOORS_PERCENT, LANES

_ROUNDS_MAX = 12


class Part(Struct, frozen=True):
    """What waits of one tenant in one lane, in calls to be sent. `arrivals`: calls that come in for each one sent.

    `behind`: calls of the same line that came later than those that count and stand behind them. `lines`: how many
    lines this is the sum of.
    """

    lane: str
    tenant: str
    waiting: float
    arrivals: float = 0.0
    weight: float = 1.0
    behind: float = 0.0
    lines: int = 1


class Done(NamedTuple):
    """When a part is done, in calls sent from now: between the beginning and the end of its last round. Infinite: not
    before the end that was given, or never, because more comes in than goes out."""

    begun: float = inf
    likely: float = inf
    over: float = inf


class Drained(NamedTuple):
    """When each part is done, in the order of the parts; and what is left of it at the end."""

    done: list[Done]
    left: list[Part]


class _Curve:
    """Calls of a lane served after so many calls sent in all: straight pieces, the last one without end."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, float, float]] = []  # from, served by then, rate

    def bend(self, at: float, rate: float) -> None:
        """From here on the lane is served at this rate."""
        self.pieces.append((at, self.served(at), rate))

    def served(self, at: float) -> float:
        """How many by then."""
        for start, served, rate in reversed(self.pieces):
            if start <= at:
                return served + rate * (at - start)
        return 0.0

    def meets(self, level: float, slope: float) -> float:
        """The first moment at which level + slope x moment has been served; infinite if it never is."""
        for place, (start, served, rate) in enumerate(self.pieces):
            end = self.pieces[place + 1][0] if place + 1 < len(self.pieces) else inf
            missing = level + slope * start - served
            if missing <= 1e-9:
                return start
            if rate > slope and (meets := start + missing / (rate - slope)) <= end:
                return meets
        return inf


def drain(
    parts: Sequence[Part], floors_percent: Mapping[str, int] = DEFAULT_FLOORS_PERCENT, until: float = inf
) -> Drained:
    """Let the parts be served for so many calls, and say when each is done."""
    lanes = {lane: [place for place, part in enumerate(parts) if part.lane == lane] for lane in LANES}
    curves = _curves({lane: [parts[place] for place in places] for lane, places in lanes.items()}, floors_percent)
    done = [Done()] * len(parts)
    left = list(parts)
    for lane, places in lanes.items():
        for place, moment, part in _lane(curves[lane], parts, places, until):
            done[place], left[place] = moment, part
    return Drained(done, left)


def _curves(lanes: Mapping[str, Sequence[Part]], floors_percent: Mapping[str, int]) -> dict[str, _Curve]:
    queues = {lane: sum(part.waiting + part.behind for part in parts) for lane, parts in lanes.items()}
    arrivals = {lane: sum(part.arrivals for part in parts) for lane, parts in lanes.items()}
    curves = {lane: _Curve() for lane in LANES}
    at = 0.0
    for _ in range(_ROUNDS_MAX):
        rates = _rates(queues, arrivals, floors_percent)
        for lane, rate in rates.items():
            curves[lane].bend(at, rate)
        dry = [
            queues[lane] / (rate - arrivals[lane])
            for lane, rate in rates.items()
            if queues[lane] > 0 and rate > arrivals[lane]
        ]
        if not dry:
            break
        step = min(dry)
        at += step
        for lane, rate in rates.items():
            rest = queues[lane] + (arrivals[lane] - rate) * step
            queues[lane] = rest if rest > 1e-6 else 0.0
    return curves


def _rates(
    queues: Mapping[str, float], arrivals: Mapping[str, float], floors_percent: Mapping[str, int]
) -> dict[str, float]:
    """The share of each lane while these have work."""
    needs = {lane: inf if queues[lane] > 0 else arrivals[lane] for lane in LANES}
    floors = {
        lane: min(1 / (100 // floors_percent[lane]) if lane in floors_percent else 0.0, needs[lane]) for lane in LANES
    }
    free = 1.0 - sum(floors.values())
    rates = {}
    for lane in LANES:
        more = min(max(needs[lane] - floors[lane], 0.0), free)
        rates[lane] = floors[lane] + more
        free -= more
    return rates


def _lane(
    curve: _Curve, parts: Sequence[Part], places: Iterable[int], until: float
) -> Iterable[tuple[int, Done, Part]]:
    """Place, moment and rest of each part of a lane, in the order in which they are done."""
    order = sorted((place for place in places), key=lambda place: parts[place].waiting / parts[place].weight)
    weights = [parts[place].weight for place in order]
    open_weight = list(accumulate(reversed(weights)))[::-1]
    had, arriving = 0.0, 0.0
    for number, place in enumerate(order):
        part = parts[place]
        levels = ((part.waiting - lines) / part.weight for lines in (part.lines, part.lines / 2, 0))
        moment = Done(*(curve.meets(had + max(level, 0.0) * open_weight[number], arriving) for level in levels))
        if part.waiting > 0 and moment.likely > until:
            break
        # whoever is done keeps up with what comes in
        yield place, moment, Part(part.lane, part.tenant, 0.0, part.arrivals, part.weight, 0.0, part.lines)
        had, arriving = had + part.waiting + part.behind, arriving + part.arrivals
    else:
        return
    filled = max(curve.served(until) - had - arriving * until, 0.0) / open_weight[number]
    for place in order[number:]:
        part = parts[place]
        yield place, Done(), _rest(part, min(filled * part.weight, part.waiting), until)


def _rest(part: Part, served: float, until: float) -> Part:
    came = part.arrivals * until
    return Part(
        part.lane, part.tenant, part.waiting - served, part.arrivals, part.weight, part.behind + came, part.lines
    )
