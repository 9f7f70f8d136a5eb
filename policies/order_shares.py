"""Fair shares by weight, with minima: which of several parties goes next, in O(log n) and without looking at the rest.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), decided at the moment of service. Each party has a
tag; the party with the lowest tag goes (of equal tags, the one that has waited longest with it), and is charged: its
tag rises by cost / weight, when the call *starts*, so what is in flight counts. `settle` corrects that by what the
call really cost. A party that comes back after having nothing to do starts at the present level, never below: being
idle saves nothing up and owes nothing.

Two invariants carry the proofs. No waiting party's tag is below the level (the lowest tag at the last pick), because
parties come in at or above it and a refund stops there; so the level never falls. And a party that is picked had the
lowest tag. So when a party comes in, each other party is picked at most once before it (its tag is at the level, or
it is passed by; once picked, its tag is above): **one round**. And before its k-th call, with all calls at equal
cost, party i of weight w_i has been picked at most floor((k - 1) * w_i / w) + 1 times; with unequal cost,
(k - 1) * (highest cost / w) over (lowest cost / w_i), plus 1. Long-run shares are exact to within one call a party.

Weights are read when a party is charged, and what it still owes is re-scaled when its weight changes; nothing is
written on the calls that wait. So a new weight acts on the whole backlog from the next pick on.

A minimum of m percent means: in every run of 100 // m consecutive picks during all of which the party waited, it is
picked at least once. Only when that is about to break does it go ahead of the shares (the rule and its proof are
those of the floors in `lanes.py`), so an unused minimum is everybody's at once, and is back with the next pick. All
minima together are at most 50 percent, so the bounds above hold for the others with twice the picks.

Tags are integers in parts of a unit of cost (2^-20), so sums are exact and equal on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

from msgspec import Struct

WEIGHT_MAX = 1_000
MINIMUM_PERCENT_MAX = 33
MINIMA_PERCENT_MAX = 50
_UNIT = 1 << 20


class Share(Struct, frozen=True):
    """What a party is given: a weight against the other waiting parties, and percent of the picks at least.

    Raises ValueError for a weight outside 1 to 1,000 or a minimum outside 0 to 33.
    """

    weight: int = 1
    minimum_percent: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.weight <= WEIGHT_MAX:
            raise ValueError(f"the weight is {self.weight}, expected 1 to {WEIGHT_MAX}")
        if not 0 <= self.minimum_percent <= MINIMUM_PERCENT_MAX:
            raise ValueError(f"the minimum is {self.minimum_percent} %, expected 0 to {MINIMUM_PERCENT_MAX}")


EQUAL = Share()


class Party:
    """Someone with a share. Subclassed by what is shared between; owned by one `Shares` of parties."""

    __slots__ = ("period", "since", "stamp", "tag", "waits", "weight")

    def __init__(self, share: Share = EQUAL) -> None:
        self.weight = share.weight
        self.period = 100 // share.minimum_percent if share.minimum_percent else 0
        self.tag = 0
        self.stamp = 0
        self.waits = False
        self.since = 0


P = TypeVar("P", bound=Party)


class FairShares(Generic[P]):
    """Picks among parties. `wake` and `rest` say who waits; `first` and `charge` are O(log n)."""

    __slots__ = ("_heap", "_picks", "_stamps", "_top", "_with_minimum", "level", "waiting")

    def __init__(self) -> None:
        self.level = 0
        self.waiting = 0
        self._top = 0
        """No tag is above this."""
        self._heap: list[tuple[int, int, P]] = []
        self._stamps = 0
        self._picks = 0
        self._with_minimum: list[P] = []

    def wake(self, party: P) -> None:
        """It has something to do."""
        if party.waits:
            return
        party.waits = True
        party.tag = max(party.tag, self.level)
        self.waiting += 1
        self._push(party)
        if party.period:
            party.since = self._picks
            self._with_minimum.append(party)

    def rest(self, party: P) -> None:
        """It has nothing to do. When nobody has, nobody is in anybody's way and what is owed is forgiven."""
        if not party.waits:
            return
        self._leave(party)
        if not self.waiting:
            self.level = self._top
            self._heap.clear()

    def first(self) -> P | None:
        """Who goes next; None only if nobody waits. Changes nothing that matters."""
        if self._with_minimum and (urgent := self._about_to_break()) is not None:
            return urgent
        return self._lowest()

    def charge(self, party: P, cost: int) -> None:
        """It was picked for a call of so many units."""
        lowest = self._lowest()
        if lowest is not None:
            self.level = max(self.level, lowest.tag)
        self._picks += 1
        party.since = self._picks
        party.tag += cost * _UNIT // party.weight
        self._top = max(self._top, party.tag)
        if party.waits:
            self._push(party)

    def settle(self, party: P, difference: int) -> None:
        """A call of it cost so many units more than it was charged for (or fewer, if negative)."""
        before = party.tag
        party.tag = max(party.tag + difference * _UNIT // party.weight, min(self.level, before))
        self._top = max(self._top, party.tag)
        if party.waits and party.tag != before:
            self._push(party)

    def change(self, party: P, share: Share) -> None:
        """Give it another share, as of the next pick. What it was ahead by is worth the same calls as before."""
        waited = party.waits
        if waited:
            self._leave(party)
        ahead = max(party.tag - self.level, 0)
        renewed = Party(share)
        owed = ahead * party.weight // renewed.weight
        if party.period and not renewed.period:
            owed = min(owed, _UNIT // renewed.weight)  # what went to its minimum is not held against its share
        party.tag = self.level + owed
        self._top = max(self._top, party.tag)
        party.weight, party.period = renewed.weight, renewed.period
        if waited:
            self.wake(party)

    def owes(self, party: P) -> bool:
        """Whether forgetting it would forgive it something."""
        return party.tag > self.level

    def near(self, count: int) -> Iterator[P]:
        """So many of those with the lowest tags, lowest first; before them who goes next for a minimum, if anybody."""
        first = self.first()
        if first is not None:
            yield first
        heap = self._heap
        found = 0
        fringe = [(heap[0], 0)] if heap else []
        while fringe and found < count:
            (_, stamp, party), place = heappop(fringe)
            if party.waits and party.stamp == stamp:
                found += 1
                if party is not first:
                    yield party
            for below in (2 * place + 1, 2 * place + 2):  # a heap's next lowest is always just below one of the lowest
                if below < len(heap):
                    heappush(fringe, (heap[below], below))

    def _leave(self, party: P) -> None:
        party.waits = False
        self.waiting -= 1
        if party.period:
            self._with_minimum.remove(party)

    def _push(self, party: P) -> None:
        self._stamps += 1
        party.stamp = self._stamps
        heappush(self._heap, (party.tag, party.stamp, party))

    def _lowest(self) -> P | None:
        heap = self._heap
        while heap:
            _, stamp, party = heap[0]
            if party.waits and party.stamp == stamp:
                return party
            heappop(heap)
        return None

    def _about_to_break(self) -> P | None:
        """See `LanePicker.peek`: someone whose minimum would break if they all were passed over."""
        slack = sorted((p.period - 1 - (self._picks - p.since), p.stamp, p) for p in self._with_minimum)
        return slack[0][2] if any(left <= place for place, (left, _, _) in enumerate(slack)) else None


def check_minima(minima_percent: Iterable[int]) -> None:
    """Raises ValueError if they are too much together to be kept."""
    total = sum(minima_percent)
    if total > MINIMA_PERCENT_MAX:
        raise ValueError(f"the minima add up to {total} %, expected at most {MINIMA_PERCENT_MAX}")
