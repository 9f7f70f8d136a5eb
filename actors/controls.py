"""Standing orders of operators: pause, hold and drain, and settings, with who, why and until when.

They live in the store, are read before the first message moves, and hold until somebody ends them or their time is
up. A target is a scope (`policies/scope.py`): `all`, a domain (`erp-poster`), a system (`erp`), `queue:NAME`, narrowed
to a tenant, a lane, a partition or an operation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from actors.runtime.clock import Clock, microseconds
from broker.store.reads import Control
from broker.store.rows import Call, ControlEnd, ControlRow
from broker.store.store import Store
from broker.store.unit import Unit
from policies.scope import Scope, Subject, parse_scope

VERBS = ("pause", "hold", "drain")
OPPOSITE = {"resume": "pause", "release": "hold", "undrain": "drain"}
STOPS = ("pause", "hold")
DOMAINS = {"erp": "erp-poster"}
"""The domain whose calls go to each system."""


class Order(msgspec.Struct, frozen=True):
    """What an operator asks for. `until` and `begins` are in microseconds since the epoch."""

    verb: str
    target: str
    who: str
    reason: str
    until: int | None = None
    begins: int | None = None
    value: str | None = None


class Controls:
    """The orders in force. One loop; changes are durable before they are visible."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._loading = asyncio.Lock()
        self._orders: list[tuple[Control, Scope]] = []
        self._last: list[tuple[Control, Scope]] = []
        self.changed = asyncio.Event()

    async def load(self) -> None:
        """Read the orders that survived; before anything is consumed or called."""
        async with self._loading:  # an earlier reading must not replace a later one
            self._orders = [(order, _scope(order)) for order in await self._store.reads.controls()]

    # giving and ending ---------------------------------------------------------------------------------------

    async def give(self, order: Order) -> None:
        """Put an order in force, replacing one of the same verb and target.

        Raises:
            StoreUnavailable: it could not be made durable, so it is not in force.
        """
        unit = Unit(microseconds(self._clock.now()))
        self.add(unit, order)
        await self.commit(unit)

    async def end(self, verb: str, target: str, who: str, reason: str) -> bool:
        """End the order; whether there was one.

        Raises:
            StoreUnavailable: it is still in force.
        """
        if not self.standing(verb, target):
            return False
        at = microseconds(self._clock.now())
        await self.commit(Unit(at, control_ends=[ControlEnd(verb, target, at, who, reason)]))
        return True

    def add(self, unit: Unit, order: Order) -> None:
        """Have a unit of work give the order; it is in force after `commit`."""
        self.add_back(unit, order)
        if self.standing(order.verb, order.target):
            unit.control_ends.append(ControlEnd(order.verb, order.target, unit.at, order.who, "replaced"))

    def add_back(self, unit: Unit, order: Order) -> None:
        """The same, where nothing of the same verb and target stands."""
        unit.controls.append(ControlRow(**msgspec.structs.asdict(order), since=unit.at))

    async def commit(self, unit: Unit) -> None:
        """Write a unit that gives or ends orders, and put it in force.

        Raises:
            StoreUnavailable, Conflict: nothing of it is in force.
        """
        await self._store.commit(unit)
        await self.load()
        self._tell()

    async def expire(self) -> list[Control]:
        """End, with an entry in the audit, what has outlived its time; what that was.

        What is past is without force already; this only writes it down and wakes whoever waited for it.

        Raises:
            StoreUnavailable: it stays written as it is, to be ended another time.
        """
        now = microseconds(self._clock.now())
        past = [order for order, _ in self._orders if order.until is not None and order.until <= now]
        if past:
            unit = Unit(now)
            unit.control_ends = [
                ControlEnd(order.verb, order.target, now, "tidegate", "its time was up", past=now) for order in past
            ]
            await self.commit(unit)
        return past

    def cease(self, reason: str) -> None:
        """This process ends: from now on it takes nothing in, takes nothing up, and starts no call.

        Not stored, because the next process is to go on.
        """
        at = microseconds(self._clock.now())
        orders = [Control(0, verb, "all", "tidegate", reason, at, *[None] * 5) for verb in ("pause", "drain")]
        self._last = [(order, Scope()) for order in orders]
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    # asking --------------------------------------------------------------------------------------------------

    def in_force(self, verbs: Iterable[str] | None = None) -> list[Control]:
        """Orders that have begun and neither ended nor ran out; of these verbs, if any are named."""
        wanted = None if verbs is None else frozenset(verbs)
        return [order for order, _ in self._now() if wanted is None or order.verb in wanted]

    def to_come(self) -> list[Control]:
        """Orders that have not begun yet, the next first."""
        now = microseconds(self._clock.now())
        waiting = [order for order, _ in self._orders if order.begins is not None and order.begins > now]
        return sorted(waiting, key=lambda order: order.begins or 0)

    def _now(self) -> list[tuple[Control, Scope]]:
        if not self._orders and not self._last:
            return []
        now = microseconds(self._clock.now())
        return [
            (order, scope)
            for order, scope in (*self._orders, *self._last)
            if (order.until is None or order.until > now) and (order.begins is None or order.begins <= now)
        ]

    def exact(self, verb: str, target: str) -> Control | None:
        """The order of this verb on this very target, in force."""
        return next((o for o in self.in_force() if (o.verb, o.target) == (verb, target)), None)

    def standing(self, verb: str, target: str) -> Control | None:
        """The same, also when it has not begun yet."""
        return next((o for o in (*self.in_force(), *self.to_come()) if (o.verb, o.target) == (verb, target)), None)

    def first_on(self, targets: Iterable[str], verbs: tuple[str, ...] = STOPS) -> Control | None:
        """The oldest order that stops work on the whole of any of these targets."""
        wanted = {*targets, "all"}
        return next((o for o, _ in self._now() if o.verb in verbs and o.target in wanted), None)

    def first_over(self, subject: Subject, verbs: Iterable[str]) -> Control | None:
        """The oldest order of these verbs that covers the subject."""
        return next((o for o, scope in self._now() if o.verb in verbs and scope.covers(subject)), None)

    def blocks(self, call: Call) -> Control | None:
        """The order that forbids to start this call now: a pause or hold of anything that it belongs to."""
        if not self._orders and not self._last:
            return None
        return self.first_over(self.subject_of(call), STOPS)

    def stopping(self, system: str) -> list[Scope]:
        """What orders in force forbid of the calls to a system; each scope is about its lane, tenant and so on."""
        places = frozenset(("all", system, DOMAINS.get(system, system)))
        return [scope for order, scope in self._now() if order.verb in STOPS and scope.place in places]

    def subject_of(self, call: Call) -> Subject:
        """Everything under which a call can be named."""
        return Subject(
            places=frozenset((call.system, DOMAINS.get(call.system, call.system))),
            tenant=call.tenant,
            lane=call.lane,
            partition=call.partition,
            operation=call.operation,
        )

    def on_queue(self, queue: str) -> Control | None:
        """The order that stops a queue `tidegate.<domain>.<lane>.<partition>`.

        A pause of a tenant or an operation stops no queue: others stand in it, too. Its calls wait instead.
        """
        return self.first_over(queue_subject(queue), ("pause",)) if self._orders or self._last else None

    def draining(self) -> Control | None:
        """The order that closes the doors to everybody."""
        return self.first_on([], ("drain",))


def queue_subject(queue: str) -> Subject:
    """Everything under which a queue can be named."""
    parts = queue.split(".")
    places = {f"queue:{queue}"}
    if len(parts) != 4:
        return Subject(frozenset(places))
    _, domain, lane, partition = parts
    return Subject(frozenset({*places, domain}), lane=lane, partition=int(partition) if partition.isdigit() else None)


def _scope(order: Control) -> Scope:
    """What is stored was checked when it was given; should it not be readable any more, it covers everything."""
    try:
        return parse_scope(order.target)
    except ValueError:
        return Scope()
