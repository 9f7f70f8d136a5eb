"""When answers take much longer than usual, a system is near its limit even if it refuses nothing yet."""

_BASE_SHARE = 256
_RECENT_SHARE = 16
SEEN_MIN = 64
"""So many answers are needed to know what is usual."""
FACTOR = 3.0
"""So many times as long as usual is slow. Below it, jitter and a mixed day would cry wolf."""
REST = 64
"""Answers between two alarms, so that the first has time to help."""


class Latency:
    """Two moving averages of how long calls take: what is usual, and what is now. Only fine calls count."""

    def __init__(self) -> None:
        self._usual_ns = 0.0
        self._recent_ns = 0.0
        self._seen = 0
        self._rest = SEEN_MIN

    def measured(self, took_ns: int) -> float | None:
        """How many times as long as usual calls take now, if that is slow; else None."""
        self._seen += 1
        share = min(self._seen, _BASE_SHARE)
        slow = self._seen > SEEN_MIN and self._recent_ns > FACTOR * self._usual_ns
        if not slow:  # what is slow must not become usual
            self._usual_ns += (took_ns - self._usual_ns) / share
        self._recent_ns += (took_ns - self._recent_ns) / min(self._seen, _RECENT_SHARE)
        self._rest = max(0, self._rest - 1)
        if not slow or self._rest:
            return None
        self._rest = REST
        return self._recent_ns / max(self._usual_ns, 1.0)
