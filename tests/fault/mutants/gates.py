"""Budgets with a fault."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

from aiolimiter import AsyncLimiter
from msgspec.structs import replace

from policies.budget import Budget
from policies.limits import Ask, ConcurrencyLimit, Lease, Limit, RateLimit, Spend, Wait
from tests.fault.mutants.desk import Desk
from tests.fault.mutants.world import MS, SECOND, WALL_AT_ZERO


class OtherRate(Budget):
    """Concurrency as it should be; rates by another rule. `full` says until when, `taken` counts."""

    def __init__(self, desk: Desk) -> None:
        super().__init__([limit for limit in desk.limits if isinstance(limit, ConcurrencyLimit)])
        self.rates = [limit for limit in desk.limits if isinstance(limit, RateLimit)]
        self.begin()

    def begin(self) -> None:
        """Nothing is spent."""

    def full(self, limit: RateLimit, now_ns: int) -> int | None:
        raise NotImplementedError

    def taken(self, limit: RateLimit, now_ns: int) -> None:
        raise NotImplementedError

    def obstacle(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Wait | None:
        waits = [(until, limit) for limit in self.rates if (until := self.full(limit, now_ns)) is not None]
        if waits:
            until_ns, limit = max(waits, key=lambda wait: wait[0])
            return Wait(until_ns, limit.name, "full")
        return super().obstacle(now_ns, cost, ask)

    def admit(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Lease | Wait:
        lease = super().admit(now_ns, cost, ask)
        if isinstance(lease, Lease):
            for limit in self.rates:
                self.taken(limit, now_ns)
        return lease


class TokenBucket(OtherRate):
    """As many tokens as the limit, and as many again per window, one at a time."""

    def begin(self) -> None:
        self._tokens = {limit.name: float(limit.limit) for limit in self.rates}
        self._at = dict.fromkeys(self._tokens, 0)

    def full(self, limit: RateLimit, now_ns: int) -> int | None:
        pace_ns = limit.window_ns / limit.limit
        grown = self._tokens[limit.name] + (now_ns - self._at[limit.name]) / pace_ns
        self._tokens[limit.name], self._at[limit.name] = min(grown, float(limit.limit)), now_ns
        return None if grown >= 1 else now_ns + int((1 - grown) * pace_ns) + 1

    def taken(self, limit: RateLimit, now_ns: int) -> None:
        self._tokens[limit.name] -= 1


class FixedWindow(OtherRate):
    """A counter that begins anew with each second of the clock."""

    def begin(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}

    def full(self, limit: RateLimit, now_ns: int) -> int | None:
        window = (now_ns - SECOND // 3) // limit.window_ns
        over = self._counts.get((limit.name, window), 0) >= limit.limit
        return (window + 1) * limit.window_ns + SECOND // 3 if over else None

    def taken(self, limit: RateLimit, now_ns: int) -> None:
        place = (limit.name, (now_ns - SECOND // 3) // limit.window_ns)
        self._counts[place] = self._counts.get(place, 0) + 1


class _VirtualLoop:
    """What aiolimiter asks of an event loop."""

    now_ns = 0

    def time(self) -> float:
        return self.now_ns / 1e9

    def is_closed(self) -> bool:
        return False


class AioLimiter(OtherRate):
    """aiolimiter's AsyncLimiter in place of the windows, told as its documentation says."""

    def begin(self) -> None:
        self._loop = _VirtualLoop()
        self._limiters = {}
        for limit in self.rates:
            limiter = AsyncLimiter(limit.limit, limit.window_ns / 1e9)
            limiter._event_loop = cast(asyncio.AbstractEventLoop, self._loop)
            self._limiters[limit.name] = limiter

    def full(self, limit: RateLimit, now_ns: int) -> int | None:
        self._loop.now_ns = now_ns
        return None if self._limiters[limit.name].has_capacity() else now_ns + 5 * MS

    def taken(self, limit: RateLimit, now_ns: int) -> None:
        self._loop.now_ns = now_ns
        acquiring = self._limiters[limit.name].acquire()
        try:
            cast(Any, acquiring).send(None)
        except StopIteration:
            return
        raise AssertionError("there was room")


class MidnightReset(OtherRate):
    """Exact in a second; what was spent in a day is forgotten at midnight."""

    def begin(self) -> None:
        self._met: deque[int] = deque()

    def full(self, limit: RateLimit, now_ns: int) -> int | None:
        since_ns = now_ns - limit.window_ns - 2 * MS
        if limit.window_ns > 3_600 * SECOND:
            zero_ns = round(WALL_AT_ZERO.timestamp()) * SECOND
            day_ns = 86_400 * SECOND
            since_ns = (zero_ns + now_ns) // day_ns * day_ns - zero_ns
        recent = [at for at in self._met if at > since_ns]
        if len(recent) < limit.limit:
            return None
        return min(recent[-limit.limit] + limit.window_ns + 2 * MS, now_ns + SECOND)

    def taken(self, limit: RateLimit, now_ns: int) -> None:
        if limit is self.rates[0]:
            self._met.append(now_ns + 100 * MS)


class OneByOne(OtherRate):
    """Takes the rate first and then asks for a place; what it took is gone when there is none."""

    def begin(self) -> None:
        self._met: deque[int] = deque()

    def full(self, limit: RateLimit, now_ns: int) -> int | None:
        while self._met and self._met[0] <= now_ns - limit.window_ns - 2 * MS:
            self._met.popleft()
        if len(self._met) >= limit.limit:
            return self._met[-limit.limit] + limit.window_ns + 2 * MS
        if Budget.obstacle(self, now_ns) is not None:
            self._met.append(now_ns + 60 * MS)
        return None

    def taken(self, limit: RateLimit, now_ns: int) -> None:
        self._met.append(now_ns + 60 * MS)


class HalfIdle(Budget):
    """Half of the pace that is allowed."""

    _next_ns = 0

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.limits)

    def obstacle(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Wait | None:
        if now_ns < self._next_ns:
            return Wait(self._next_ns, "pace", "not yet")
        return super().obstacle(now_ns, cost, ask)

    def admit(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Lease | Wait:
        lease = super().admit(now_ns, cost, ask)
        if isinstance(lease, Lease):
            self._next_ns = now_ns + SECOND // 10
        return lease


class FreesAtTimeOut(Budget):
    """A call that nobody waits for any more is taken for over."""

    def abandoned(self, lease: Lease, safe_at_ns: int) -> bool:
        return self.ended(lease, max(safe_at_ns - 2 * SECOND, lease.admitted_ns))


class ForgetsSpends(Budget):
    """A new life begins with a full budget."""

    def restore(self, spends: Iterable[Spend], now_ns: int) -> None:
        super().restore([], now_ns)


class ForgetsFlights(Budget):
    """A new life counts what had ended, and not what was on its way."""

    def restore(self, spends: Iterable[Spend], now_ns: int) -> None:
        super().restore([spend for spend in spends if spend.arrived_by_ns is not None], now_ns)


class IgnoresFreeze(Budget):
    """Goes on after a refusal."""

    def freeze(self, until_ns: int, reason: str, *rest: Any, **more: Any) -> None:
        pass


class Herd(Budget):
    """Stays away as long as told, and comes back with everything at once."""

    _until_ns = 0

    def freeze(self, until_ns: int, reason: str, *rest: Any, **more: Any) -> None:
        self._until_ns = max(self._until_ns, until_ns)

    def obstacle(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Wait | None:
        if now_ns < self._until_ns:
            return Wait(self._until_ns, "frozen", "refused")
        return super().obstacle(now_ns, cost, ask)


class Widens(Budget):
    """Asks for more after a refusal."""

    def freeze(self, until_ns: int, reason: str, *rest: Any, **more: Any) -> None:
        super().freeze(until_ns, reason, *rest, **more)
        self.resize([wider(limit, 2) for limit in self.limits], until_ns - 3 * SECOND)


class AboveTheCeiling(Budget):
    """Learns from a hundred good answers that a little more would do."""

    _fine = 0

    def ended(self, lease: Lease, arrived_by_ns: int, *rest: Any, fine: bool = True, **more: Any) -> bool:
        self._fine += fine
        if self._fine == 100:
            self.resize([wider(limit, 1.2) for limit in self.limits], arrived_by_ns)
        return super().ended(lease, arrived_by_ns, *rest, fine=fine, **more)


class IgnoresResize(Budget):
    """Limits changed by command are not taken over."""

    def resize(self, limits: Iterable[Limit], now_ns: int) -> None:
        pass


class NoReserve(Budget):
    """Admits while the execution time that is known is below the limit: what is in flight costs nothing yet."""

    def admit(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Lease | Wait:
        return super().admit(now_ns, cost, replace(ask or Ask(), execution_ns=1))

    def obstacle(self, now_ns: int, cost: int = 1, ask: Ask | None = None) -> Wait | None:
        return super().obstacle(now_ns, cost, None if ask is None else replace(ask, execution_ns=1))


def wider(limit: Limit, by: float) -> Limit:
    return replace(limit, limit=int(limit.limit * by))
