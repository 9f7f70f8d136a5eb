"""How work comes in over a business day: one shape a workload, each a curve of arrivals by the hour.

A shape is drawn through (hour, weight) points, straight in between and nothing outside. Only proportions count.
"""

from bisect import bisect_right
from itertools import accumulate
from math import sqrt

from msgspec import Struct

DAY_HOURS = 24.0
_MS_PER_HOUR = 3_600_000


class Shape(Struct, frozen=True):
    """Arrivals by the hour of a day of 24 hours; hours go up, weights are 0 or more."""

    points: tuple[tuple[float, float], ...]

    def at_ms(self, share: float, hours: float = DAY_HOURS) -> int:
        """When the given share (0 to 1) of the day's arrivals has come, in milliseconds from its start.

        hours: the length of the day; another length than 24 squeezes or stretches it as a whole.
        """
        return round(self._hour(share) / DAY_HOURS * hours * _MS_PER_HOUR)

    def _hour(self, share: float) -> float:
        areas = [(b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(self.points, self.points[1:], strict=False)]
        totals = [0.0, *accumulate(areas)]
        wanted = min(max(share, 0.0), 1.0) * totals[-1]
        place = min(bisect_right(totals, wanted), len(areas)) - 1
        (start, low), (end, high) = self.points[place], self.points[place + 1]
        return start + _along(wanted - totals[place], low, (high - low) / (end - start))


def _along(area: float, low: float, slope: float) -> float:
    """How far a line that starts at `low` has to run until it covers the area."""
    root = sqrt(max(low * low + 2 * slope * area, 0.0))
    return 2 * area / (low + root) if low + root > 0 else 0.0


OUTAGE = Shape(((10.0, 2), (10.1, 20), (10.5, 12), (11.0, 5), (12.0, 1.5), (14.0, 0.7), (17.0, 0.2), (22.0, 0)))
"""Customers notice within minutes, and stragglers write all day."""
NIGHT_RUN = Shape(((2.0, 20), (2.25, 20), (2.3, 0.2), (6.0, 0.1), (17.0, 0.05)))
"""A batch job after midnight writes as fast as it can; corrections by day."""
CAMPAIGN = Shape(
    ((8.5, 0.5), (9.0, 10), (9.5, 4), (11.0, 1), (13.5, 0.8), (14.0, 8), (15.0, 1.5), (18.0, 0.3), (20.0, 0))
)
"""Two mailings in office hours."""
CLOSING = Shape(((9.0, 0.5), (12.0, 1), (15.0, 3), (17.0, 10), (18.5, 10), (20.0, 3), (24.0, 0.5)))
"""Everybody books at the last moment."""
