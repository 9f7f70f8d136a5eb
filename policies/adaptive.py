"""What a system really allows just now: learned from its answers, never above what was configured.

Every limit that is configured is a ceiling. Below it stands what has been learned, from three kinds of evidence:

* A *refusal* of a call that was our n-th in the limit shows that n is too many for us at present, whatever the reason
  (the limit was lowered, or others use it, too): at most n - 1 from now on. It can only narrow, and one refusal at
  most halves, because a system may refuse by accident.
* What the system *tells* (readable limits, the limit in a header) narrows at once and is taken back at once when it
  tells more, because it is the system's own word.
* What the system counts as *left* below our own count is used by others: so much less is ours while that lasts.

Growing back is a trial. After a time of patience the gate lets one call at a time go above what is known to be good;
after some fine answers (`PROOFS`) at that level it is good and the next one is tried. So a trial that fails costs about
one refusal, and then the last good level holds again. Each refusal that teaches something doubles the patience, and
after the first `REFUSALS_FREE` each trial also needs `FINE_PER_TRIAL` fine calls before it: refused calls stay below
0.1 % once a limit is learned. A trial that gets well beyond where it was refused last begins a new count.

A probe that is refused again and again waits twice as long each time (`policies/pauses.py`).

Every change is a `Change` with its reason. Times are nanoseconds of one monotonic clock; nothing here reads it.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from policies.learned import (
    FINE_PER_TRIAL,
    PATIENCE_MAX_NS,
    PROOFS,
    PROOFS_NEAR,
    REFUSALS_FREE,
    Learned,
    dimension_of,
    is_kind,
    is_scoped,
    matches,
    window_seconds,
)
from policies.limits import ConcurrencyLimit, Limit
from policies.signals import Dimension, Refusal, Room

_SECOND_NS = 1_000_000_000
_TELL_SHARE = 20
"""A change of what others use is told when it moves the limit by a twentieth of the ceiling, or to either end."""
_STEP_SHARE = 20
"""Steps double while they hold, up to a twentieth of the ceiling: that many unproved calls may go at once, no more."""


class Change(Struct, frozen=True):
    """What is allowed has changed. `signal`: `refusal`, `told`, `others`, `trial`, `latency`, `ceiling`."""

    at_ns: int
    limit: str
    was: int
    now: int
    ceiling: int
    signal: str
    why: str


class Standing(Struct, frozen=True):
    """How one limit stands, for people: `others` is what others were last seen to use of it."""

    limit: str
    ceiling: int
    effective: int
    told: int | None
    others: int
    reserve: int
    trying: bool
    tries_at_ns: int | None
    refusals: int


class Learner:
    """The limits of one system as they are learned. Raises ValueError for a reserve outside 0 to 90 percent."""

    def __init__(self, ceilings: Iterable[Limit], reserve_percent: int = 0) -> None:
        if not 0 <= reserve_percent <= 90:
            raise ValueError(f"a reserve of {reserve_percent} percent: expected 0 to 90")
        self._reserve_percent = reserve_percent
        self._known = {limit.name: self._fresh(limit) for limit in ceilings}
        self._changes: list[Change] = []

    def _fresh(self, limit: Limit) -> Learned:
        return Learned(limit, -(-limit.limit * self._reserve_percent // 100))

    # what is in force ----------------------------------------------------------------------------------------

    def limits(self, now_ns: int) -> tuple[Limit, ...]:
        """The limits to keep now, in the order of the ceilings and under their names."""
        return tuple(replace(one.ceiling, limit=one.effective(now_ns)) for one in self._known.values())

    def levels(self, now_ns: int) -> tuple[int, ...]:
        """The numbers of `limits`, without the rest: cheap enough to ask after each answer."""
        return tuple([one.effective(now_ns) for one in self._known.values()])

    def standings(self, now_ns: int) -> list[Standing]:
        """How each limit stands."""
        return [self._standing(name, one, now_ns) for name, one in self._known.items()]

    def take_changes(self) -> list[Change]:
        """The changes since the last time, oldest first; they are told once."""
        found, self._changes = self._changes, []
        return found

    def restore(self, bounds: Mapping[str, int], now_ns: int) -> None:
        """Go on with what an earlier process had learned, by name of limit; unknown names are left out."""
        for name, bound in bounds.items():
            one = self._known.get(name)
            if one is not None and 0 < bound < one.ceiling.limit:
                one.bound = bound
                one.try_at_ns = now_ns + one.patience_ns
                one.told_last = one.effective(now_ns)

    def set_ceilings(self, ceilings: Iterable[Limit], now_ns: int) -> None:
        """Other limits are configured. What was learned about a limit of the same name stays, below its ceiling."""
        before = self._known
        self._known = {}
        for limit in ceilings:
            fresh = self._known[limit.name] = self._fresh(limit)
            if (old := before.get(limit.name)) is not None:
                if old.bound < old.ceiling.limit:
                    fresh.bound = min(limit.limit, old.bound)
                    fresh.try_at_ns = now_ns + fresh.patience_ns
                fresh.told_last = old.told_last
                self._tell(fresh, now_ns, "ceiling", f"{limit.limit} are configured")

    # evidence ------------------------------------------------------------------------------------------------

    def culprit(self, refusal: Refusal, levels: Mapping[str, int]) -> str | None:
        """The limit that a refusal is about: of the kind and the window that it names, the fullest by our own count.

        `levels`: which of ours the refused call was, by name of limit (those that it counts in).
        """
        if refusal.dimension is Dimension.OBJECT:
            return None
        found = [one for name, one in self._known.items() if name in levels and matches(one.ceiling, refusal)]
        if not found and refusal.window_seconds is not None:
            found = [one for one in self._known.values() if is_kind(one.ceiling, refusal.dimension)]
            found = [one for one in found if one.ceiling.name in levels and not refusal.scope]
        fullest = max(found, key=lambda one: (self._fullness(one, levels), one.ceiling.limit), default=None)
        return None if fullest is None else fullest.ceiling.name

    def _fullness(self, one: Learned, levels: Mapping[str, int]) -> float:
        """At most 1: of limits that are all full the largest is taken, because it is hurt least if it is innocent."""
        return min(1.0, levels[one.ceiling.name] / min(one.bound, max(1, one.allowed())))

    def refused(self, name: str, level: int, why: str, now_ns: int) -> None:
        """The system refused our `level`-th call of this limit: at most one less from now on."""
        one = self._known[name]
        one.refusals += 1
        one.fine = one.proofs = 0
        # the level below the tried one is proved, which one call that another overtook does not disprove; and one
        # refusal far below the bound may be an accident, so it halves and leaves the rest to the next
        bound = one.good if one.trying else max(1, level - 1, one.bound // 2)
        if bound >= one.bound and not one.trying:
            return
        one.trying, one.step = False, 1
        one.bound, one.bad = min(bound, one.bound), max(level, bound + 1)
        one.lessons += 1
        one.try_at_ns = now_ns + one.patience_ns
        one.patience_ns = min(PATIENCE_MAX_NS, one.patience_ns * 2)
        self._tell(one, now_ns, "refusal", f"{why}; it was call {level} of ours in {name}", always=True)

    def fine(self, levels: Mapping[str, int], now_ns: int) -> None:
        """The system took a call that was the n-th of ours in each of these limits."""
        for name, level in levels.items():
            one = self._known.get(name)
            if one is None or (one.bound >= one.ceiling.limit and not one.trying):
                continue
            one.fine += 1
            if one.trying:
                self._prove(one, level, now_ns)
            elif self._may_try(one, now_ns) and level >= one.bound:
                one.trying = True
                self._grow(one, now_ns)

    def told(self, limits: Iterable[Limit], now_ns: int) -> None:
        """The system says what its limits are: each narrows or frees the configured one of its kind and window."""
        for limit in limits:
            for one in self._known.values():
                same_window = window_seconds(one.ceiling) == window_seconds(limit)
                if dimension_of(one.ceiling) is dimension_of(limit) and same_window and not is_scoped(one.ceiling):
                    self._told(one, limit.limit, now_ns)

    def rooms(self, rooms: Sequence[Room], used: Mapping[str, int], levels: Mapping[str, int], now_ns: int) -> None:
        """What the system says is left, beside our own count of the same limit (`used`, calls in flight included).

        Our count is never below the system's count of our calls, so what is missing besides is used by others. If
        that is more than rounding, they may use as much more as we had in flight meanwhile: our count when the call
        was admitted (`levels`) tells.
        """
        for room in rooms:
            one = self._of_room(room)
            if one is None or one.ceiling.name not in used:
                continue
            if room.limit is not None:
                self._told(one, room.limit, now_ns)
            full = min(one.ceiling.limit, room.limit or one.ceiling.limit)
            ours = used[one.ceiling.name]
            others = max(0, full - room.remaining - ours)
            if others * 100 > full:
                ours = min(ours, levels.get(one.ceiling.name, ours))
                others = full - room.remaining - ours
            one.others.saw(others, now_ns, int((window_seconds(one.ceiling) or 1.0) * _SECOND_NS))
            why = f"the system has {room.remaining} left where we have used {ours}"
            self._tell(one, now_ns, "others", f"{why}: others use {one.others.at(now_ns)}")

    def slow(self, factor: float, now_ns: int) -> None:
        """Answers take `factor` times as long as usual: fewer at the same time, down to half of the ceiling."""
        for one in self._known.values():
            if isinstance(one.ceiling, ConcurrencyLimit) and not is_scoped(one.ceiling):
                bound = max(1, -(-one.ceiling.limit // 2), one.bound * 4 // 5)
                if bound < one.bound:
                    one.bound, one.trying, one.proofs = bound, False, 0
                    one.try_at_ns = now_ns + one.patience_ns
                    self._tell(one, now_ns, "latency", f"answers take {factor:.1f} times as long as usual", always=True)

    # inside --------------------------------------------------------------------------------------------------

    def _may_try(self, one: Learned, now_ns: int) -> bool:
        if one.try_at_ns is None or now_ns < one.try_at_ns:
            return False
        return one.lessons <= REFUSALS_FREE or one.fine >= FINE_PER_TRIAL

    def _prove(self, one: Learned, level: int, now_ns: int) -> None:
        if level < one.bound:
            return
        one.proofs += 1
        if one.proofs >= (PROOFS_NEAR if one.near else PROOFS):
            self._grow(one, now_ns)

    def _grow(self, one: Learned, now_ns: int) -> None:
        one.proofs = 0
        one.good = one.bound
        one.bound = min(one.ceiling.limit, one.bound + one.step)
        if one.good > one.near_to:
            one.step = max(1, min(one.step * 2, one.ceiling.limit // _STEP_SHARE))
            one.patience_ns, one.lessons = one.patience_start_ns, 0
        if one.good >= one.ceiling.limit:
            one.trying, one.try_at_ns = False, None
            one.patience_ns, one.lessons = one.patience_start_ns, 0
        self._tell(one, now_ns, "trial", f"no refusal for long enough; one call at a time tries {one.bound}")

    def _told(self, one: Learned, limit: int, now_ns: int) -> None:
        told = limit if 0 < limit < one.ceiling.limit else None
        if told == one.told:
            return
        more = one.told is not None and (told is None or told > one.told)
        one.told = told
        if more and one.bound < one.ceiling.limit:
            one.try_at_ns, one.lessons = now_ns, 0
        self._tell(one, now_ns, "told", f"the system says that its limit is {limit}", always=True)

    def _of_room(self, room: Room) -> Learned | None:
        found = [one for one in self._known.values() if dimension_of(one.ceiling) is room.dimension]
        found = [one for one in found if is_scoped(one.ceiling) == bool(room.scope)]
        if room.scope:
            return None
        if room.window_seconds is not None:
            return next((one for one in found if window_seconds(one.ceiling) == room.window_seconds), None)
        by_size = [one for one in found if one.ceiling.limit == room.limit]
        return by_size[0] if len(by_size) == 1 else found[0] if len(found) == 1 else None

    def _tell(self, one: Learned, now_ns: int, signal: str, why: str, always: bool = False) -> None:
        """Keep a change that is worth telling: a narrowing always, small steps only when they add up."""
        now, was = one.effective(now_ns), one.told_last
        ends = (one.ceiling.limit, one.allowed())
        big = abs(now - was) * _TELL_SHARE >= one.ceiling.limit
        if now != was and (always or big or now in ends):
            one.told_last = now
            self._changes.append(Change(now_ns, one.ceiling.name, was, now, one.ceiling.limit, signal, why))

    def _standing(self, name: str, one: Learned, now_ns: int) -> Standing:
        others = one.others.at(now_ns)
        hidden = max(0, one.allowed() - one.bound)
        return Standing(
            name,
            one.ceiling.limit,
            one.effective(now_ns),
            one.told,
            max(others, hidden),
            one.reserve,
            one.trying,
            one.try_at_ns if one.bound < one.ceiling.limit else None,
            one.refusals,
        )
