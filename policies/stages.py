"""The likely moment at which each line of the backlog is done, and what it would be in other futures.

`drain.py` says after how many calls sent a line is empty; `clearing.py` says when that many calls can have been sent.
The future is cut into stages: where a pause ends, and where the wave of arrivals does, which is taken to go on for
about as long again as it has been going on.

Lines that fill up alike (same lane, same pauses, about as much waiting for their weight) are looked at together, so
that ten thousand tenants cost little more than a hundred.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf

from msgspec import Struct, field

from policies.clearing import Clearing
from policies.drain import Part, drain
from policies.lanes import DEFAULT_FLOORS_PERCENT
from policies.pace import Recent

Key = tuple[str, str]
"""Lane and tenant."""
GROUPS_MAX = 60
"""Lines of a lane that are told apart; of more, neighbours are taken together."""


class Pause(Struct, frozen=True):
    """No call of this lane and tenant (None: any) starts for so long; infinite: until somebody ends it."""

    seconds: float
    lane: str | None = None
    tenant: str | None = None

    def holds(self, key: Key) -> bool:
        """Whether it stops such a call."""
        return self.lane in (None, key[0]) and self.tenant in (None, key[1])


class Situation(Struct, frozen=True, kw_only=True):
    """What a forecast is made from, besides the budget. waiting: calls by lane and tenant. weights: of tenants."""

    waiting: Mapping[Key, int]
    recent: Recent = Recent()
    floors_percent: Mapping[str, int] = field(default_factory=lambda: DEFAULT_FLOORS_PERCENT)
    weights: Mapping[str, float] = {}
    pauses: tuple[Pause, ...] = ()


class Moment(Struct, frozen=True):
    """Seconds from now, and calls sent by then. Infinite: never. It is at most `early` seconds sooner or `late` seconds
    later than that, by the place that the last call has in its round."""

    seconds: float = inf
    sends: float = inf
    early: float = 0.0
    late: float = 0.0


class _Group(Struct):
    """Lines that are looked at together: those in it, with what waits and arrives in all of them."""

    lane: str
    until: float
    keys: list[Key]
    waiting: float
    arrivals: float
    weight: float


class Stages:
    """Walks through the future for one situation."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._groups = list(_grouped(situation))

    def walk(self, clearing: Clearing, wave_seconds: float, swell: float = 1.0) -> dict[Key, Moment]:
        """When each line that has something waiting is done, if arrivals go on for so long, at so many times the rate
        of the last minutes. `clearing` says how quickly calls go out."""
        again = 1 / (1 - self._situation.recent.failure_share)
        cuts = {group.until for group in self._groups if 0 < group.until < inf}
        ends = sorted(cuts | ({wave_seconds} if wave_seconds > 0 else set()))
        left = [(group.waiting * again, 0.0) for group in self._groups]
        done = [Moment() for _ in self._groups]
        sent = 0.0
        for start, end in zip([0.0, *ends], [*ends, inf], strict=True):
            going = [place for place, group in enumerate(self._groups) if group.until <= start]
            room = clearing.room(start, end, sent)
            rate = room / (end - start) if start < wave_seconds and room else 0.0
            parts = [
                self._part(self._groups[place], *left[place], swell * again / rate if rate else 0.0) for place in going
            ]
            result = drain(parts, self._situation.floors_percent, room)
            for place, part, after, rest in zip(going, parts, result.done, result.left, strict=True):
                left[place] = (rest.waiting, rest.behind)
                if part.waiting > 0 and after.likely < inf:
                    begun, likely, over = (
                        clearing.seconds(start, sent, sends) if sends < inf else inf for sends in after
                    )
                    done[place] = Moment(likely, sent + after.likely, likely - begun, over - likely)
            sent += min(room, sum(part.waiting + part.behind for part in parts))
        return {key: done[place] for place, group in enumerate(self._groups) for key in group.keys if group.waiting}

    @staticmethod
    def _part(group: _Group, waiting: float, behind: float, calls_for_each: float) -> Part:
        arrivals = group.arrivals * calls_for_each
        return Part(group.lane, "", waiting, arrivals, group.weight, behind, len(group.keys))


def _grouped(situation: Situation) -> Iterable[_Group]:
    alike: dict[tuple[str, float], list[tuple[float, Key]]] = defaultdict(list)
    for key in {**situation.waiting, **situation.recent.arrivals}:
        until = max((pause.seconds for pause in situation.pauses if pause.holds(key)), default=0.0)
        level = situation.waiting.get(key, 0) / situation.weights.get(key[1], 1.0)
        alike[key[0], until].append((level, key))
    for (lane, until), found in sorted(alike.items()):
        idle = [key for level, key in found if level == 0]
        if idle:
            yield _group(situation, lane, until, idle)
        busy = [key for level, key in sorted(found) if level > 0]
        size = -(-len(busy) // GROUPS_MAX)
        for first in range(0, len(busy), max(size, 1)):
            yield _group(situation, lane, until, busy[first : first + size])


def _group(situation: Situation, lane: str, until: float, keys: Sequence[Key]) -> _Group:
    arrivals = situation.recent.arrivals
    return _Group(
        lane,
        until,
        list(keys),
        float(sum(situation.waiting.get(key, 0) for key in keys)),
        sum(arrivals.get(key, 0.0) for key in keys),
        sum(situation.weights.get(tenant, 1.0) for _, tenant in keys),
    )
