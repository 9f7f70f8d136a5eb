"""One budget and what is learned about it: the answers of a system turned into narrower, wider or frozen limits.

The budget keeps limits exactly; the learner says which; this binds them. Nothing above the configured limits is ever
set. After a refusal exactly the budget that refused stands still for as long as the system asked, one probe goes, and
the rest comes back step by step (`policies/refusals.py`).
"""

from collections import deque
from collections.abc import Iterable, Mapping

from msgspec import Struct

from policies.adaptive import Change, Learner, Standing
from policies.budget import Budget
from policies.latency import Latency
from policies.learned_objects import Objects
from policies.limits import Ask, Lease, Limit, Wait
from policies.pauses import Pauses
from policies.signals import Dimension, Reading, Refusal

_SECOND_NS = 1_000_000_000
_SLOT_NS, _QUOTA_NS = _SECOND_NS, 5 * _SECOND_NS
"""How long to stay away when a system does not say: a slot is free again with the next answer, a quota later."""
TOLD_MAX = 100
"""Changes that are kept at hand for those who ask."""


class Frozen(Struct, frozen=True):
    """The system refused: what stands still until when (monotonic nanoseconds), and why. `object`: only calls on it."""

    at_ns: int
    limit: str | None
    until_ns: int
    why: str
    object: str | None = None


class Governor:
    """Steers `budget` within `budget.limits` as they are at the start. `adapt=False`: freezes only, learns nothing."""

    def __init__(self, budget: Budget, now_ns: int, reserve_percent: int = 0, adapt: bool = True) -> None:
        self.budget = budget
        self._adapt = adapt
        self._learner = Learner(budget.limits, reserve_percent)
        self._objects = Objects(budget, budget.limits)
        self._levels: dict[int, Mapping[str, int]] = {}
        self._pauses = Pauses()
        self._latency = Latency()
        self._news: list[Change | Frozen] = []
        self.recent: deque[Change | Frozen] = deque(maxlen=TOLD_MAX)
        """The last changes and freezes, oldest first."""
        self.refusals = 0
        self._applied = tuple(limit.limit for limit in budget.limits)
        self._apply(None, now_ns)

    # settings ------------------------------------------------------------------------------------------------

    def set_ceilings(self, limits: Iterable[Limit], now_ns: int) -> None:
        """Other limits are configured. Raises ValueError for limits that make no sense, and then changes nothing."""
        ceilings = tuple(limits)
        self.budget.resize(ceilings, now_ns)
        self._applied = tuple(limit.limit for limit in ceilings)
        self._learner.set_ceilings(ceilings, now_ns)
        self._objects.set_ceilings(ceilings, now_ns)
        self._apply(None, now_ns)

    def restore(self, bounds: Mapping[str, int], frozen: Iterable[Frozen], now_ns: int) -> None:
        """Go on with what an earlier process had learned, and with freezes that are not over."""
        if self._adapt:
            self._learner.restore(bounds, now_ns)
            self._objects.restore(bounds, now_ns)
            self._apply(None, now_ns)
        for one in frozen:
            if one.until_ns > now_ns:
                self.budget.freeze(one.until_ns, one.why, one.limit, None, one.object)

    def standings(self, now_ns: int) -> list[Standing]:
        """How each limit stands, and then those that are narrower for single objects."""
        return [*self._learner.standings(now_ns), *self._objects.standings(now_ns)]

    def take_news(self) -> list[Change | Frozen]:
        """Changes and freezes since the last time, oldest first; they are told once."""
        found, self._news = self._news, []
        return found

    # one call ------------------------------------------------------------------------------------------------

    def admitted(self, lease: Lease, now_ns: int) -> None:
        """A call was admitted: remember which of ours it is in each limit that counts it.

        Limits per object are left out: usage tells their fullest object, which need not be this one's.
        """
        self._levels[lease.id] = self.budget.counted(now_ns, lease.operation)
        if self._adapt:
            self._apply(None, now_ns)  # what others used may have run out meanwhile
        self._objects.admitted(lease, now_ns)

    def refused(self, lease: Lease, reading: Reading, asked_seconds: float | None, why: str, now_ns: int) -> int:
        """The system refused this call for a limit. Freezes, narrows; until when nothing may start."""
        refusal = reading.refusal or Refusal(Dimension.UNKNOWN, why)
        self.refusals += 1
        levels = self._levels.pop(lease.id, {})
        self._objects.gone(lease)
        name = self._learner.culprit(refusal, levels)
        if self._adapt and name is not None:
            self._learner.refused(name, levels[name], refusal.sentence, now_ns)
        asked_ns = None if asked_seconds is None else int(asked_seconds * _SECOND_NS)
        unknown_ns = _SLOT_NS if refusal.dimension is Dimension.CONCURRENT else _QUOTA_NS
        until_ns = now_ns + self._pauses.after(asked_ns, lease.probe, unknown_ns)
        scope = lease.operation if refusal.scope == "operation" else None
        self.budget.freeze(until_ns, refusal.sentence, name, scope)
        self._tell(Frozen(now_ns, name, until_ns, refusal.sentence))
        self._apply(reading, now_ns, levels)
        return until_ns

    def object_obstacle(self, ask: Ask, now_ns: int) -> Wait | None:
        """What keeps a call on its object from starting, of what was learned about this object; or None."""
        return self._objects.obstacle(ask, now_ns)

    def refused_object(
        self, lease: Lease, reading: Reading, asked_seconds: float | None, why: str, now_ns: int
    ) -> int | None:
        """The system refused this call for its object: freeze and narrow exactly that. Until when no call on it may
        start; None if the call names no object, so that only itself can wait."""
        refusal = reading.refusal or Refusal(Dimension.OBJECT, why)
        self.refusals += 1
        self._levels.pop(lease.id, None)
        if lease.object is None:
            return None
        asked_ns = None if asked_seconds is None else int(asked_seconds * _SECOND_NS)
        until_ns = now_ns + self._objects.refused(lease, refusal, asked_ns, _SLOT_NS, now_ns)
        self.budget.freeze(until_ns, refusal.sentence, None, None, lease.object)
        self._tell(Frozen(now_ns, None, until_ns, refusal.sentence, lease.object))
        self._apply(reading, now_ns)
        return until_ns

    def answered(self, lease: Lease, reading: Reading, took_ns: int, fine: bool, now_ns: int) -> None:
        """An answer came that is no refusal; `took_ns` is how long the call took."""
        levels = self._levels.pop(lease.id, {})
        if fine:
            self._pauses.fine()
            self._objects.fine(lease, now_ns)
        else:
            self._objects.gone(lease)
        if not self._adapt:
            return
        if fine:
            self._learner.fine(levels, now_ns)
            if (factor := self._latency.measured(took_ns)) is not None:
                self._learner.slow(factor, now_ns)
        elif reading.refusal is not None:  # a time-out under load: nothing was refused, but it is too much
            self._learner.slow(1.0, now_ns)
        self._apply(reading, now_ns, levels)

    def gone(self, lease: Lease) -> None:
        """No answer will come, or it was never sent."""
        self._levels.pop(lease.id, None)
        self._objects.gone(lease)

    def told(self, limits: Iterable[Limit], now_ns: int) -> None:
        """The system was asked for its limits."""
        if self._adapt:
            self._learner.told(limits, now_ns)
            self._apply(None, now_ns)

    # inside --------------------------------------------------------------------------------------------------

    def _apply(self, reading: Reading | None, now_ns: int, levels: Mapping[str, int] | None = None) -> None:
        if self._adapt and reading is not None and reading.rooms:
            used = {usage.name: usage.used for usage in self.budget.usage(now_ns)}
            self._learner.rooms(reading.rooms, used, levels or {}, now_ns)
        levels_now = self._learner.levels(now_ns)
        if levels_now != self._applied:
            self.budget.resize(self._learner.limits(now_ns), now_ns)
            self._applied = levels_now
        for change in (*self._learner.take_changes(), *self._objects.take_changes()):
            self._tell(change)

    def _tell(self, one: Change | Frozen) -> None:
        """A burst of refusals is one freeze: the last takes the place of those that are not over."""
        if isinstance(one, Frozen):
            over = [old for old in self.recent if not _replaces(one, old)]
            self.recent = deque(over, maxlen=TOLD_MAX)
            self._news = [old for old in self._news if not _replaces(one, old)]
        self._news.append(one)
        self.recent.append(one)


def _replaces(new: Frozen, old: Change | Frozen) -> bool:
    return (
        isinstance(old, Frozen)
        and (old.limit, old.object) == (new.limit, new.object)
        and new.at_ns < old.until_ns <= new.until_ns
    )
