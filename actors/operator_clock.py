"""What happens by itself: orders begin and end in time, mass retries go on. And the pace of late: sampled, and kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from loguru import logger

from actors.controls import Controls
from actors.onlooker import Onlooker
from actors.operator_settings import LiveSettings
from actors.retries import Retries
from actors.runtime.actor import Context
from actors.runtime.clock import microseconds
from broker.store.counters import Counters
from broker.store.orders import Conflict
from broker.store.store import Store, StoreUnavailable

CLOSED = ("done", "refused", "exception")
PACE_SECONDS = 60


class Pace:
    """How many calls of each lane came to their end in the last minute; one sample a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, dict[str, int]]] = deque(maxlen=PACE_SECONDS + 1)

    def sample(self, counters: Counters, now_ns: int) -> None:
        """Note how many have ended so far. `now_ns`: boot clock."""
        ended: dict[str, int] = {}
        for (_, lane, status), count in counters.calls.items():
            if status in CLOSED:
                ended[lane] = ended.get(lane, 0) + count
        self._samples.append((now_ns, ended))

    def per_second(self) -> Mapping[str, float]:
        """Calls a second, by lane; nothing before the second sample."""
        if len(self._samples) < 2:
            return {}
        (then_ns, before), (now_ns, after) = self._samples[0], self._samples[-1]
        seconds = max((now_ns - then_ns) / 1e9, 1e-9)
        return {lane: max(count - before.get(lane, 0), 0) / seconds for lane, count in after.items()}


class OrderClock:
    """Writes down the end of what has outlived its time, and brings settings in and out of force."""

    def __init__(self, controls: Controls, live: LiveSettings, store: Store, pace: Pace, onlooker: Onlooker) -> None:
        self._controls = controls
        self._live = live
        self._counters = store.counters
        self._retries = Retries(store)
        self._pace = pace
        self._onlooker = onlooker

    async def run(self, context: Context) -> None:
        """Look every second, and at the very moment at which an order begins or ends."""
        context.ready()
        sampled_ns = 0
        while not context.stopping:
            context.beat()
            if (now_ns := context.clock.boot_ns()) - sampled_ns >= 1_000_000_000:
                self._pace.sample(self._counters, now_ns)
                sampled_ns = now_ns
            try:
                for order in await self._controls.expire():
                    logger.info("the {} of {} by {} has ended: its time was up", order.verb, order.target, order.who)
            except StoreUnavailable as problem:
                context.notice(f"ended orders wait to be written down: {problem}")
            with suppress(StoreUnavailable):  # the writer's own trouble is told elsewhere
                await self._onlooker.keep()
            self._live.apply()
            await self._retry(context)
            await context.clock.wait(context.stop_asked, self._seconds(microseconds(context.clock.now())))

    async def _retry(self, context: Context) -> None:
        """Move mass retries on."""
        try:
            await self._retries.step(microseconds(context.clock.now()))
        except (StoreUnavailable, Conflict, TimeoutError) as problem:
            context.notice(f"mass retries wait: {problem}")

    def _seconds(self, now: int) -> float:
        moments = [m for o in (*self._controls.in_force(), *self._controls.to_come()) for m in (o.begins, o.until) if m]
        return min([1.0, *((moment - now) / 1e6 for moment in moments if moment > now)])
