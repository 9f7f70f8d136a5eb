"""The likely moment at which each line of the backlog is done, and what it would be in other futures.

`drain.py` says after how many calls sent a line is empty; `clearing.py` says when that many calls can have been sent.
The future is cut into stages: where a pause begins or ends, and where the wave of arrivals does, which is taken to go
on for about as long again as it has been going on.

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
Spans = tuple[tuple[float, float], ...]
"""Times in which nothing starts: from, to; seconds from now."""
GROUPS_MAX = 60
"""Lines of a lane that are told apart; of more, neighbours are taken together."""


class Pause(Struct, frozen=True):
    """No call of this lane and tenant (None: any) starts from `begins` (0: now) to `seconds` from now; infinite: until
    somebody ends it. `fixed`: it is no order, so nobody can end it."""

    seconds: float
    lane: str | None = None
    tenant: str | None = None
    begins: float = 0.0
    fixed: bool = False

    def holds(self, key: Key) -> bool:
        """Whether it stops such a call."""
        return self.lane in (None, key[0]) and self.tenant in (None, key[1])


class Situation(Struct, frozen=True, kw_only=True):
    """What a forecast is made from, besides the budget. waiting: calls by lane and tenant. weights: of tenants.

    to_come: messages at hand that have not become calls yet; they come in whatever else does. asked_seconds: of lines
    with calls of unknown outcome, when the last of these will have been looked up.
    """

    waiting: Mapping[Key, int]
    recent: Recent = Recent()
    floors_percent: Mapping[str, int] = field(default_factory=lambda: DEFAULT_FLOORS_PERCENT)
    weights: Mapping[str, float] = {}
    pauses: tuple[Pause, ...] = ()
    to_come: int = 0
    asked_seconds: Mapping[Key, float] = {}


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
    closed: Spans
    keys: list[Key]
    waiting: float
    arrivals: float
    weight: float

    def goes(self, at: float) -> bool:
        """Whether its calls may start then."""
        return not any(begin <= at < end for begin, end in self.closed)


class Stages:
    """Walks through the future for one situation."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._groups = list(_grouped(situation))

    def walk(self, clearing: Clearing, wave_seconds: float, swell: float = 1.0) -> dict[Key, Moment]:
        """When each line that has something waiting is done, if arrivals go on for so long, at so many times the rate
        of the last minutes. `clearing` says how quickly calls go out."""
        again = 1 / (1 - self._situation.recent.failure_share)
        cuts = {edge for group in self._groups for span in group.closed for edge in span if 0 < edge < inf}
        ends = sorted(cuts | ({wave_seconds} if wave_seconds > 0 else set()))
        left = [(group.waiting * again, 0.0) for group in self._groups]
        done = [Moment() for _ in self._groups]
        sent = 0.0
        for start, end in zip([0.0, *ends], [*ends, inf], strict=True):
            going = [place for place, group in enumerate(self._groups) if group.goes(start)]
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
    alike: dict[tuple[str, Spans], list[tuple[float, Key]]] = defaultdict(list)
    for key in {**situation.waiting, **situation.recent.arrivals}:
        closed = tuple(sorted({(pause.begins, pause.seconds) for pause in situation.pauses if pause.holds(key)}))
        level = situation.waiting.get(key, 0) / situation.weights.get(key[1], 1.0)
        alike[key[0], closed].append((level, key))
    for (lane, closed), found in sorted(alike.items()):
        idle = [key for level, key in found if level == 0]
        if idle:
            yield _group(situation, lane, closed, idle)
        busy = [key for level, key in sorted(found) if level > 0]
        size = -(-len(busy) // GROUPS_MAX)
        for first in range(0, len(busy), max(size, 1)):
            yield _group(situation, lane, closed, busy[first : first + size])


def _group(situation: Situation, lane: str, closed: Spans, keys: Sequence[Key]) -> _Group:
    arrivals = situation.recent.arrivals
    return _Group(
        lane,
        closed,
        list(keys),
        float(sum(situation.waiting.get(key, 0) for key in keys)),
        sum(arrivals.get(key, 0.0) for key in keys),
        sum(situation.weights.get(tenant, 1.0) for _, tenant in keys),
    )
