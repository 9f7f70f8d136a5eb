"""What is known about one limit: evidence about it, and how much of it may be used. See `policies/adaptive.py`."""

from policies.limits import ConcurrencyLimit, Limit, RateLimit
from policies.signals import Dimension, Refusal

_SECOND_NS = 1_000_000_000
PROOFS = 3
"""Fine answers at a level before the next level is tried."""
PROOFS_NEAR = 30
"""The same at and just above a level that was refused: a few answers may have been luck, where calls come and go."""
PATIENCE_NS = 10 * _SECOND_NS
PATIENCE_MAX_NS = 600 * _SECOND_NS
REFUSALS_FREE = 3
"""Refusals that taught something after which a trial has to be earned by fine calls."""
FINE_PER_TRIAL = 2_000
"""Twice what 0.1 % needs, because a trial may cost a second refusal that was under way."""


def dimension_of(limit: Limit) -> Dimension:
    """What kind of limit it is."""
    if isinstance(limit, ConcurrencyLimit):
        return Dimension.CONCURRENT
    return Dimension.COUNT if isinstance(limit, RateLimit) else Dimension.EXECUTION


def window_seconds(limit: Limit) -> float | None:
    """The window in seconds; None for calls at the same time."""
    return None if isinstance(limit, ConcurrencyLimit) else limit.window_ns / _SECOND_NS


class Peak:
    """The most that was seen within the last `lasts_ns` of each sighting, and up to twice as long."""

    def __init__(self) -> None:
        self._now, self._before = 0, 0
        self._turns_ns = 0
        self._lasts_ns = 0

    def saw(self, number: int, now_ns: int, lasts_ns: int) -> None:
        """This many now; worth knowing for `lasts_ns`."""
        self.at(now_ns)
        self._lasts_ns = lasts_ns
        if self._turns_ns <= now_ns:
            self._turns_ns = now_ns + lasts_ns
        self._now = max(self._now, number)

    def at(self, now_ns: int) -> int:
        """The most that is still worth knowing; 0 if nothing is."""
        while self._turns_ns <= now_ns and (self._now or self._before):
            self._before, self._now = self._now, 0
            self._turns_ns += max(1, self._lasts_ns)
        return max(self._now, self._before)


class Learned:
    """What is known about one limit."""

    def __init__(self, ceiling: Limit, reserve: int) -> None:
        self.ceiling = ceiling
        self.reserve = reserve
        self.bound = ceiling.limit
        """At most so many of ours, by refusals and trials."""
        self.told: int | None = None
        self.others = Peak()
        self.patience_ns = self.patience_start_ns
        self.try_at_ns: int | None = None
        self.trying = False
        self.good = ceiling.limit
        """The level before the one that is tried."""
        self.bad = ceiling.limit
        """The level that was refused last."""
        self.lessons = 0
        self.step = 1
        self.proofs = 0
        self.fine = 0
        self.refusals = 0
        self.told_last = self.effective(0)

    @property
    def patience_start_ns(self) -> int:
        """How long after a refusal the first trial begins: a window, but neither very short nor very long."""
        window = 0 if isinstance(self.ceiling, ConcurrencyLimit) else self.ceiling.window_ns
        return min(max(PATIENCE_NS, window), PATIENCE_MAX_NS)

    @property
    def near_to(self) -> int:
        """Up to here a level counts as near the one that was refused."""
        return self.bad + max(1, self.ceiling.limit // 50)

    @property
    def near(self) -> bool:
        """Whether the level that is tried is one that was refused before, or just above."""
        return self.bad <= self.bound <= self.near_to

    def allowed(self) -> int:
        """Ours if nobody else used it: the ceiling or what the system tells, less what is kept for people."""
        return min(self.ceiling.limit, self.ceiling.limit if self.told is None else self.told) - self.reserve

    def effective(self, now_ns: int) -> int:
        """How much may be used now; at least 1, because only a call can find out that there is more."""
        return max(1, min(self.bound, self.allowed() - self.others.at(now_ns)))


def is_scoped(limit: Limit) -> bool:
    return getattr(limit, "operation", None) is not None or getattr(limit, "per_object", False)


def is_kind(limit: Limit, dimension: Dimension) -> bool:
    return dimension in (Dimension.UNKNOWN, dimension_of(limit))


def matches(limit: Limit, refusal: Refusal) -> bool:
    """Whether a refusal can be about this limit."""
    if not is_kind(limit, refusal.dimension) or (refusal.scope == "app" and not is_scoped(limit)):
        return False
    if refusal.scope == "operation" and getattr(limit, "operation", None) is None:
        return False
    return refusal.window_seconds is None or window_seconds(limit) == refusal.window_seconds
