"""What a system allows on single objects: learned from refusals that name one, and kept for exactly that one.

A limit per object ("30/10min per object") is the same for all objects where it is configured, but software that we do
not run uses it up on some of them, and a system may allow less on one (a locked ledger, a ticket that many edit). So
each object that was refused has a learner of its own (`policies/adaptive.py`) over the limits per object; all others
keep what is configured. One that is back at the ceilings is forgotten.

Times are nanoseconds of one monotonic clock; nothing here reads it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from policies.adaptive import Change, Learner, Standing
from policies.budget import Budget
from policies.limits import Ask, ExecutionLimit, Lease, Limit, Wait
from policies.pauses import Pauses
from policies.signals import Dimension, Refusal

OBJECTS_MAX = 1_000
"""Objects that are known one by one; of more, the one that was heard of longest ago is forgotten."""
LEVEL_MIN = 3
"""A refusal of one of the first calls on an object says that it is locked, not that there were too many."""
OF = " of "
"""Between a limit and an object, in what people read and what is stored."""


class _Object:
    """What is known of one object."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.learner = Learner(limits)
        self.pauses = Pauses()


class Objects:
    """The objects of one system that were refused. `limits` are the configured ones; those per object count here."""

    def __init__(self, budget: Budget, limits: Iterable[Limit]) -> None:
        self._budget = budget
        self._known: OrderedDict[str, _Object] = OrderedDict()
        self._levels: dict[int, dict[str, int]] = {}
        self.set_ceilings(limits, 0)

    def set_ceilings(self, limits: Iterable[Limit], now_ns: int) -> None:
        """Other limits are configured; what was learned below them stays."""
        self._limits = tuple(one for one in limits if one.per_object and not isinstance(one, ExecutionLimit))
        for its in self._known.values():
            its.learner.set_ceilings(self._limits, now_ns)

    def obstacle(self, ask: Ask, now_ns: int) -> Wait | None:
        """What keeps a call on its object from starting now, of what was learned about this object; or None."""
        its = self._known.get(ask.object or "")
        if its is None:
            return None
        waits = []
        for ceiling, limit in zip(self._limits, its.learner.limits(now_ns), strict=True):
            if limit.limit < ceiling.limit:
                gauge = self._budget.gauge(limit)
                if (wait := gauge.wait(now_ns, gauge.need(1, ask, 0), ask.object)) is not None:
                    waits.append(wait)
        return max(waits, key=lambda wait: (wait.until_ns is None, wait.until_ns or 0), default=None)

    def admitted(self, lease: Lease, now_ns: int) -> None:
        """A call was admitted: remember which of ours on its object it is."""
        if lease.object is not None and self._limits:
            self._levels[lease.id] = {
                limit.name: self._budget.gauge(limit).used(now_ns, lease.object)
                for limit in self._limits
                if limit.operation in (None, lease.operation)
            }

    def refused(self, lease: Lease, refusal: Refusal, asked_ns: int | None, unknown_ns: int, now_ns: int) -> int:
        """The system refused the call for its object: narrow what holds for this object, and nothing else. How many
        nanoseconds to stay away from it."""
        levels = self._levels.pop(lease.id, {})
        object_ = lease.object or ""
        its = self._known.setdefault(object_, _Object(self._limits))
        self._known.move_to_end(object_)
        if len(self._known) > OBJECTS_MAX:
            self._known.popitem(last=False)
        name = its.learner.culprit(replace(refusal, dimension=Dimension.UNKNOWN, scope=""), levels)
        if name is not None and levels[name] >= LEVEL_MIN:
            its.learner.refused(name, levels[name], refusal.sentence, now_ns)
        return its.pauses.after(asked_ns, lease.probe, unknown_ns)

    def fine(self, lease: Lease, now_ns: int) -> None:
        """The system took the call."""
        levels = self._levels.pop(lease.id, {})
        if (its := self._known.get(lease.object or "")) is not None:
            its.pauses.fine()
            its.learner.fine(levels, now_ns)

    def gone(self, lease: Lease) -> None:
        """It proves nothing."""
        self._levels.pop(lease.id, None)

    def take_changes(self) -> list[Change]:
        """The changes since the last time, each naming its object; objects that are back at the ceilings go."""
        found = []
        for object_, its in list(self._known.items()):
            changes = its.learner.take_changes()
            found += [replace(change, limit=f"{change.limit}{OF}{object_}") for change in changes]
            if changes and all(change.now >= change.ceiling for change in changes[-1:]) and self._is_free(its):
                del self._known[object_]
        return found

    def _is_free(self, its: _Object) -> bool:
        now = its.learner.limits(0)
        return all(one.limit >= ceiling.limit for one, ceiling in zip(now, self._limits, strict=True))

    def standings(self, now_ns: int) -> list[Standing]:
        """How each limit stands that is narrower for an object."""
        return [
            replace(standing, limit=f"{standing.limit}{OF}{object_}")
            for object_, its in self._known.items()
            for standing in its.learner.standings(now_ns)
            if standing.effective < standing.ceiling
        ]

    def restore(self, bounds: Mapping[str, int], now_ns: int) -> None:
        """Go on with what an earlier process had learned; what is not about an object of ours is left out."""
        for subject, bound in bounds.items():
            for limit in self._limits:
                object_ = subject.removeprefix(f"{limit.name}{OF}")
                if object_ != subject and bound < limit.limit:
                    its = self._known.setdefault(object_, _Object(self._limits))
                    its.learner.restore({limit.name: bound}, now_ns)
