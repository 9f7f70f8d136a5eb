"""Times without us: how often and for how long the daemon was away lately, and what that does to a forecast.

Each time is known when it is over. They are counted with a weight that falls to 1/e in `MEMORY_SECONDS` of our own
time, so that one accident is soon forgotten and a series of them is expected to go on. The future is taken to bring
them as independent accidents, as often as of late; how often that is, is itself known from only so many of them.
"""

from math import exp, sqrt

from msgspec import Struct

MEMORY_SECONDS = 600.0
_Z90 = 1.2816
"""Standard normal: one tenth lies above so many deviations."""
_LEAST = 0.05
"""So little is left of an accident when it is forgotten."""


class Outages(Struct, frozen=True):
    """How often (a second of our time) and how long, in the mean; `count`: from how many that is known."""

    per_second: float = 0.0
    mean_seconds: float = 0.0
    count: float = 0.0


NONE = Outages()


class Accidents(Struct):
    """What is remembered: sums that fade, and for how long we have been looking. Seconds of our own time."""

    count: float = 0.0
    seconds: float = 0.0
    looked_seconds: float = 0.0

    def happened(self, away_seconds: float) -> None:
        """We were away for so long, and are back."""
        self.count += 1.0
        self.seconds += max(away_seconds, 0.0)

    def passed(self, own_seconds: float) -> None:
        """So much time of our own went by."""
        keep = exp(-max(own_seconds, 0.0) / MEMORY_SECONDS)
        self.count *= keep
        self.seconds *= keep
        self.looked_seconds = self.looked_seconds * keep + MEMORY_SECONDS * (1 - keep)

    def lately(self) -> Outages:
        """As it looks now."""
        if self.count < _LEAST:
            return NONE
        return Outages(self.count / max(self.looked_seconds, 1.0), self.seconds / self.count, self.count)


def lost_seconds(outages: Outages, work_seconds: float) -> tuple[float, float, float]:
    """What accidents add to work of so many seconds: at the low end, likely, and at the high end of four in five."""
    if not outages.count or work_seconds <= 0:
        return 0.0, 0.0, 0.0
    expected = outages.per_second * work_seconds
    deviation = sqrt(expected + expected**2 / outages.count)
    low = max(expected - _Z90 * deviation, 0.0)
    return tuple(outages.mean_seconds * number for number in (low, expected, expected + _Z90 * deviation))  # type: ignore[return-value]
