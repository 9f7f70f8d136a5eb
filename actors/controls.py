"""Standing orders of operators: pause, hold and drain, with who, why and until when.

They live in the store, are read before the first message moves, and hold until somebody ends them or their time is
up. A target is `all`, a domain (`erp-poster`), a system (`erp`), or `lane:bulk`, `queue:NAME`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from actors.runtime.clock import Clock, microseconds
from broker.store.reads import Control
from broker.store.rows import ControlEnd, ControlRow
from broker.store.store import Store
from broker.store.unit import Unit

VERBS = ("pause", "hold", "drain")
OPPOSITE = {"resume": "pause", "release": "hold", "undrain": "drain"}


class Order(msgspec.Struct, frozen=True):
    """What an operator asks for. `until` is in microseconds since the epoch."""

    verb: str
    target: str
    who: str
    reason: str
    until: int | None = None


class Controls:
    """The orders in force. One loop; changes are durable before they are visible."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._orders: list[Control] = []
        self._last: list[Control] = []
        self.changed = asyncio.Event()

    async def load(self) -> None:
        """Read the orders that survived; before anything is consumed or called."""
        self._orders = await self._store.reads.controls()

    async def give(self, order: Order) -> None:
        """Put an order in force, replacing one of the same verb and target.

        Raises:
            StoreUnavailable: it could not be made durable, so it is not in force.
        """
        at = microseconds(self._clock.now())
        unit = Unit(at, controls=[ControlRow(**msgspec.structs.asdict(order), since=at)])
        if self.exact(order.verb, order.target):
            unit.control_ends.append(ControlEnd(order.verb, order.target, at, order.who, "replaced"))
        await self._store.commit(unit)
        await self._refresh()

    async def end(self, verb: str, target: str, who: str, reason: str) -> bool:
        """End the order; whether there was one.

        Raises:
            StoreUnavailable: it is still in force.
        """
        if not self.exact(verb, target):
            return False
        at = microseconds(self._clock.now())
        await self._store.commit(Unit(at, control_ends=[ControlEnd(verb, target, at, who, reason)]))
        await self._refresh()
        return True

    def cease(self, reason: str) -> None:
        """This process ends: from now on it takes nothing in, takes nothing up, and starts no call.

        Not stored, because the next process is to go on.
        """
        at = microseconds(self._clock.now())
        self._last = [Control(0, verb, "all", "tidegate", reason, at, None, None, None) for verb in ("pause", "drain")]
        self._tell()

    async def _refresh(self) -> None:
        self._orders = await self._store.reads.controls()
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def in_force(self) -> list[Control]:
        """Orders that neither ended nor ran out."""
        now = microseconds(self._clock.now())
        return [order for order in (*self._orders, *self._last) if order.until is None or order.until > now]

    def exact(self, verb: str, target: str) -> Control | None:
        """The order of this verb on this very target."""
        return next((o for o in self.in_force() if (o.verb, o.target) == (verb, target)), None)

    def first_on(self, targets: Iterable[str], verbs: tuple[str, ...] = ("pause", "hold")) -> Control | None:
        """The oldest order that stops work on any of these targets."""
        wanted = {*targets, "all"}
        return next((o for o in self.in_force() if o.verb in verbs and o.target in wanted), None)

    def on_queue(self, queue: str) -> Control | None:
        """The order that stops a queue `tidegate.<domain>.<lane>.<partition>`."""
        parts = queue.split(".")
        if len(parts) != 4:
            return self.first_on([f"queue:{queue}"], ("pause",))
        _, domain, lane, _ = parts
        return self.first_on([domain, f"lane:{lane}", f"queue:{queue}"], ("pause",))

    def on_call(self, system: str, domain: str, lane: str) -> Control | None:
        """The order that stops a call."""
        return self.first_on([system, domain, f"lane:{lane}"])

    def draining(self) -> Control | None:
        """The order that closes the doors."""
        return self.first_on([], ("drain",))
