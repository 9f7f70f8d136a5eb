"""A sum over sliding windows of any length, in little memory: what arrived, as the steps of a rising line.

Each step stands at an instant and says how much had arrived up to it, so a window's count is one difference. Taking a
step away puts its units at the next one: they count for longer, never for shorter. So a sum of many steps is thinned
from behind: old steps are put together as long as what they span is at most 1/512 of their age. A window of any length
then counts a call for at most 1/512 longer than it must, whatever the limit: 5,000 a day are kept one by one, and
27 million a day cost some ten thousand steps.
"""

from array import array
from bisect import bisect_left, bisect_right

STEPS_EXACT = 8_192
"""Up to so many steps nothing is put together."""
FINENESS = 512
"""A step of age A spans at most A / FINENESS."""


class SlidingSum:
    """Units by instant (nanoseconds). `add` is O(log n) near the end, where nearly all additions are."""

    __slots__ = ("_at", "_base", "_exact", "_first", "_thin_at", "_upto")

    def __init__(self, steps_exact: int = STEPS_EXACT) -> None:
        self._first = array("q")  # the oldest instant that a step stands for
        self._at = array("q")
        self._upto = array("q")  # what had arrived up to and including the step, from the beginning of time
        self._base = 0  # what had arrived before the first step
        self._exact = steps_exact
        self._thin_at = steps_exact

    def __len__(self) -> int:
        return len(self._at)

    @property
    def total(self) -> int:
        """Everything that ever arrived."""
        return self._upto[-1] if self._upto else self._base

    def add(self, at_ns: int, units: int) -> None:
        """So many units arrived."""
        at = self._at
        if not at or at[-1] < at_ns:
            self._first.append(at_ns)
            at.append(at_ns)
            self._upto.append(self.total + units)
            return
        place = bisect_left(at, at_ns)
        if self._at[place] != at_ns:
            self._put(place, at_ns, self._upto[place - 1] if place else self._base)
        for later in range(place, len(self._upto)):
            self._upto[later] += units

    def _put(self, place: int, at_ns: int, upto: int) -> None:
        self._first.insert(place, at_ns)
        self._at.insert(place, at_ns)
        self._upto.insert(place, upto)

    def until(self, instant_ns: int) -> int:
        """What had arrived up to and including an instant."""
        at = self._at
        if at and at[-1] <= instant_ns:
            return self._upto[-1]
        place = bisect_right(at, instant_ns)
        return self._upto[place - 1] if place else self._base

    def after(self, instant_ns: int) -> int:
        """What arrived later than an instant."""
        return self.total - self.until(instant_ns)

    def reaches(self, units: int) -> int | None:
        """The instant with which so many units had arrived since the beginning of time; None: not yet."""
        place = bisect_left(self._upto, units)
        return self._at[place] if place < len(self._at) else None

    def newest(self) -> int | None:
        """The last instant at which anything arrived."""
        return self._at[-1] if self._at else None

    def forget(self, instant_ns: int, at_least: int = 1) -> int | None:
        """Drop the steps up to an instant if they are so many and half of all; the sum stays. The last one dropped."""
        fewest = max(at_least, (len(self._at) + 1) // 2)
        if fewest > len(self._at) or self._at[fewest - 1] > instant_ns:
            return None
        gone = bisect_right(self._at, instant_ns)
        last = self._at[gone - 1]
        self._base = self._upto[gone - 1]
        del self._first[:gone], self._at[:gone], self._upto[:gone]
        return last

    def thin(self, now_ns: int) -> None:
        """Put old steps together if there are many: O(steps), and so seldom that it is O(1) for each addition."""
        if len(self._at) < self._thin_at:
            return
        kept = [len(self._at) - 1]
        first = self._first[:]
        for place in range(len(self._at) - 2, -1, -1):
            step = kept[-1]
            if self._at[step] - self._first[place] <= (now_ns - self._at[step]) // FINENESS:
                first[step] = self._first[place]
            else:
                kept.append(place)
        kept.reverse()
        self._first = array("q", (first[place] for place in kept))
        self._at = array("q", (self._at[place] for place in kept))
        self._upto = array("q", (self._upto[place] for place in kept))
        self._thin_at = max(self._exact, 2 * len(kept))

    def steps(self) -> tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Everything it knows: base, and first instant, instant and sum of each step."""
        return self._base, tuple(self._first), tuple(self._at), tuple(self._upto)

    @classmethod
    def of(cls, base: int, first: tuple[int, ...], at: tuple[int, ...], upto: tuple[int, ...]) -> "SlidingSum":
        """The sum that `steps` told of."""
        found = cls()
        found._base, found._first, found._at, found._upto = base, array("q", first), array("q", at), array("q", upto)
        found._thin_at = max(found._exact, 2 * len(at))
        return found
