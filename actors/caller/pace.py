"""What the calendar and the long limits say about starting calls: closed hours, and what is kept for urgent work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from actors.caller.gate import Closed, Gate
from actors.runtime.clock import Clock
from policies.calendar import Calendar, Closing, State
from policies.limits import RateLimit, Spend
from policies.plan import HOUR_NS, Outlook, SpendBook, keeps_for, may_spend, outlook

MARGIN = timedelta(milliseconds=250)
"""So much before a closing nothing starts any more: a call that is admitted still has to be made durable and leave."""


class Pace:
    """Asked before each admission. `waiting` counts the calls that wait for the system."""

    def __init__(
        self,
        gate: Gate,
        clock: Clock,
        calendar: Calendar,
        keep_percent: Mapping[str, int],
        waiting: Callable[[], int],
    ) -> None:
        self._gate = gate
        self._clock = clock
        self.calendar = calendar
        self._keep_percent = keep_percent
        self._waiting = waiting
        self._books: dict[str, SpendBook] = {}
        self._since: datetime | None = None
        self._state: State | None = None
        self._lanes: dict[str, Closed | None] = {}
        self._lanes_at = 0

    # what is closed ------------------------------------------------------------------------------------------

    def stands(self, at_ns: int) -> Closed | None:
        """Why no call at all may start then (boot clock), if the calendar says so."""
        return self._closed(self._at(at_ns)[0], at_ns)

    def posts(self, at_ns: int) -> Closed | None:
        """Why nothing may be posted then; look-ups may go on."""
        return self._closed(self._at(at_ns)[1], at_ns)

    def lane(self, lane: str, at_ns: int) -> Closed | None:
        """Why this lane may not start then, while others may."""
        if at_ns != self._lanes_at:
            self._lanes, self._lanes_at = {}, at_ns
        if lane not in self._lanes:
            night = self._closed(self._at(at_ns)[2], at_ns) if lane == "bulk" else None
            self._lanes[lane] = night or self._kept(lane, at_ns)
        return self._lanes[lane]

    def lanes(self, at_ns: int) -> list[Closed]:
        """All lanes that may not start then, the one that may first in front."""
        found = [closed for lane in ("standard", "bulk") if (closed := self.lane(lane, at_ns)) is not None]
        return sorted(found, key=lambda closed: (closed.until_ns is None, closed.until_ns or 0))

    def on(self, lane: str) -> Closed | None:
        """Why a call of this lane does not start now, for those who ask."""
        now_ns = self._clock.boot_ns()
        return self.stands(now_ns) or self.posts(now_ns) or self.lane(lane, now_ns)

    def _at(self, at_ns: int) -> tuple[Closing | None, Closing | None, Closing | None]:
        """What is closed for everything, for posts, for bulk: closed if it is so now or within the margin."""
        wall = self._clock.now() + timedelta(microseconds=(at_ns - self._clock.boot_ns()) // 1_000)
        state = self._state
        if state is None or self._since is None or not self._since <= wall < state.changes:
            state = self._state = self.calendar.at(wall)
            self._since = wall
        if wall + MARGIN < state.changes:
            return state.all, state.posts, state.bulk
        soon = self.calendar.at(wall + MARGIN)
        return state.all or soon.all, state.posts or soon.posts, state.bulk or soon.bulk

    def _closed(self, closing: Closing | None, at_ns: int) -> Closed | None:
        if closing is None:
            return None
        until_ns = None
        if closing.until is not None:
            wall = self._clock.now() + timedelta(microseconds=(at_ns - self._clock.boot_ns()) // 1_000)
            until_ns = at_ns + max(0, (closing.until - wall) // timedelta(microseconds=1)) * 1_000
        return Closed(until_ns, closing.kind, closing.reason)

    def set_calendar(self, calendar: Calendar) -> None:
        """Other windows from now on."""
        self.calendar = calendar
        self._state = self._since = None
        self._lanes = {}

    # long limits ---------------------------------------------------------------------------------------------

    def restore(self, spends: Iterable[Spend]) -> None:
        """Count what earlier processes spent."""
        found = sorted((spend.arrived_by_ns or spend.safe_at_ns or 0, spend.cost) for spend in spends)
        for limit in self._long():
            for at_ns, units in found:
                self._book(limit).spent(at_ns, units)

    def spent(self, at_ns: int) -> None:
        """A call was admitted."""
        self._lanes = {}
        for limit in self._long():
            self._book(limit).spent(at_ns)

    def came(self, count: int) -> None:
        """New work waits."""
        now_ns = self._clock.boot_ns()
        for limit in self._long():
            self._book(limit).came(now_ns, count)

    def outlooks(self) -> list[Outlook]:
        """How each long limit will go at the pace of late."""
        now_ns, waiting = self._clock.boot_ns(), self._waiting()
        fastest = self._fastest_per_hour()
        return [outlook(limit.name, limit.limit, self._book(limit), waiting, now_ns, fastest) for limit in self._long()]

    def _long(self) -> list[RateLimit]:
        limits = self._gate.budget.limits
        return [limit for limit in limits if isinstance(limit, RateLimit) and limit.window_ns >= HOUR_NS]

    def _book(self, limit: RateLimit) -> SpendBook:
        book = self._books.get(limit.name)
        if book is None or book.window_ns != limit.window_ns:
            book = self._books[limit.name] = SpendBook(limit.window_ns)
        return book

    def _fastest_per_hour(self) -> float | None:
        short = [
            limit.limit * HOUR_NS / limit.window_ns
            for limit in self._gate.budget.limits
            if isinstance(limit, RateLimit) and limit.window_ns < HOUR_NS
        ]
        return min(short, default=None)

    def _kept(self, lane: str, at_ns: int) -> Closed | None:
        if not self._keep_percent.get(lane) or not (long := self._long()):
            return None
        used = {usage.name: usage.used for usage in self._gate.budget.usage(at_ns)}
        for limit in long:
            if not may_spend(lane, used[limit.name], limit.limit, self._keep_percent):
                keep = keeps_for(lane, limit.limit, self._keep_percent)
                over = used[limit.name] + 1 - (limit.limit - keep)
                why = f"{used[limit.name]} of {limit.name} are spent and {keep} are kept for more urgent work"
                return Closed(self._book(limit).leaves(over, at_ns), "kept", why)
        return None
