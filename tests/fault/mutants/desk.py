"""The caller in virtual time: the turns of the poster on the real budget and the real order, without a store.

What the poster keeps in the store (spends, unknown calls) is kept here as `Durable`, so that a desk can be killed and
another one go on from there. A mutant overrides one of the steps, or is handed another budget or order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from policies.budget import Budget, arrival_bound
from policies.limit_words import parse_limits
from policies.limits import Ask, Lease, Limit, Spend, Wait
from policies.order import Item, Order
from policies.order_lines import Place
from tests.fault.mutants.world import MS, SECOND, Answer, Message, World

LOST_NS = 2 * SECOND
"""After a time-out, so long a call may still be at the ERP."""
AGAIN_SECONDS = 0.5


@dataclass
class Durable:
    """What survives a kill: every spend, and what became of each message."""

    spends: dict[int, Spend] = field(default_factory=dict)
    numbers: int = 0


@dataclass
class Flight:
    """A call on its way."""

    kind: str
    message: Message
    item: Item
    lease: Lease
    spend: int
    started_ns: int


class Desk:
    """Starts what budget and order allow."""

    def __init__(self, world: World, limits: Iterable[str], parts: Parts, durable: Durable) -> None:
        self.world = world
        self.agenda = world.agenda
        self.erp = world.erp
        self.limits: tuple[Limit, ...] = parse_limits(list(limits))
        self.parts = parts
        self.durable = durable
        self.budget = parts.budget(self)
        self.order = parts.order()
        self.dead = False
        self._items: dict[int, Message] = {}
        self._look_ups: list[tuple[Message, Item]] = []
        self._flights: dict[int, Flight] = {}
        self._strays: set[int] = set()
        self._due: set[int] = set()
        self._alarm_ns: int | None = None

    def clock(self) -> int:
        """Its own clock; the ERP's may differ."""
        return self.agenda.now_ns

    def reference(self, message: Message) -> str:
        """The intent id, one for life."""
        return f"intent-{message.number}"

    def place(self, message: Message) -> Place:
        """Where it stands in the order."""
        return Place(message.lane, message.tenant, "credit")

    # work ----------------------------------------------------------------------------------------------------

    def take(self, message: Message) -> None:
        """A call to be made."""
        self.order.add(self._item(message))

    def _item(self, message: Message) -> Item:
        key = f"{message.tenant}|{message.account}|{message.lane}"
        item = Item(message.number, self.place(message), key=key)
        self._items[item.seq] = message
        return item

    def take_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.take(message)
        self.turn()

    def turn(self) -> None:
        """Start everything that may start now."""
        while not self.dead and (self._look_ups or self.order.ready()):
            wait = self.budget.obstacle(self.clock())
            wait = wait or (self._look_up_next() if self._look_ups else self._post_next())
            if wait is not None:
                self._sleep(wait.until_ns)
                return

    def _look_up_next(self) -> Wait | None:
        message, item = self._look_ups[0]
        lease = self.budget.admit(self.clock(), ask=Ask("find"))
        if isinstance(lease, Wait):
            return lease
        del self._look_ups[0]
        self.fly("find", message, item, lease)
        return None

    def _post_next(self) -> Wait | None:
        item = self.order.pick()
        assert item is not None, "it is ready"
        message = self._items[item.seq]
        lease = self.budget.admit(self.clock(), ask=self.ask(message))
        if isinstance(lease, Lease):
            self.fly("post", message, item, lease)
        elif lease.limit_name.endswith("per object"):
            self._set_aside(item, lease)
        else:
            self.order.undo(item)
            return lease
        return None

    def ask(self, message: Message) -> Ask:
        """What the budget has to know of a call."""
        return Ask("post", message.account)

    def _set_aside(self, item: Item, wait: Wait) -> None:
        """Only its own object has no room: the others need not wait for it."""

        def back() -> None:
            if not self.dead:
                self.order.undo(item)
                self.turn()

        self.agenda.after(max((wait.until_ns or 0) - self.clock(), 10 * MS) / SECOND, back)

    def _sleep(self, until_ns: int | None) -> None:
        if until_ns is None and self._flights:
            return  # the end of one of them will tell
        # Without any of its own it waits for those of another process, and looks again.
        delay_ns = 10 * MS if until_ns is None else max(until_ns - self.clock(), 1)
        if self._alarm_ns is None or not self.agenda.now_ns < self._alarm_ns <= self.agenda.now_ns + delay_ns:
            self._alarm_ns = self.agenda.now_ns + delay_ns
            self.agenda.at(self._alarm_ns, self.turn)

    # one call ------------------------------------------------------------------------------------------------

    def fly(self, kind: str, message: Message, item: Item, lease: Lease) -> None:
        """It leaves."""
        self.durable.numbers += 1
        flight = Flight(kind, message, item, lease, self.durable.numbers, self.clock())
        self._flights[flight.spend] = flight
        self.durable.spends[flight.spend] = Spend(safe_at_ns=-1)
        message.attempts += kind == "post"
        self.erp.call(kind, message, self.reference(message), lambda answer: self._land(flight, answer))

    def _land(self, flight: Flight, answer: Answer) -> None:
        if self.dead:
            return
        now_ns = self.clock()
        del self._flights[flight.spend]
        bound_ns = self.bound(flight, now_ns, answer)
        self.durable.spends[flight.spend] = Spend(arrived_by_ns=bound_ns, operation=flight.kind, ended_ns=now_ns)
        if answer.kind == "lost":
            self.lost(flight, now_ns)
        elif answer.kind == "throttled":
            self.throttled(flight, bound_ns, now_ns + answer.retry_after_seconds * SECOND)
        else:
            fine = answer.kind != "failed"
            self.budget.ended(flight.lease, bound_ns, fine=fine, ended_ns=now_ns, execution_ns=answer.server_ns)
            self.answered(flight, answer.kind)
        self.turn()

    def bound(self, flight: Flight, ended_ns: int, answer: Answer) -> int:
        """The latest instant at which the call can have arrived."""
        return max(arrival_bound(flight.started_ns, ended_ns, answer.server_ns), flight.lease.admitted_ns)

    def answered(self, flight: Flight, kind: str) -> None:
        """An answer came: done, found (`done`), absent, failed."""
        if kind == "done":
            flight.message.outcome = "posted"
            self.over(flight.item)
        elif flight.kind == "find" and kind == "failed":
            self.again(flight)
        elif kind == "absent":
            self.back(flight.item)
        else:
            self.failed(flight)

    def over(self, item: Item) -> None:
        """It is done with."""
        if item.seq in self._strays:
            self._strays.discard(item.seq)
        else:
            self.order.ended(item)

    def back(self, item: Item) -> None:
        """It waits again."""
        if item.seq in self._strays:
            self._strays.discard(item.seq)
            self.order.add(item)
        else:
            self.order.again(item)

    def failed(self, flight: Flight) -> None:
        """Again, a little later; its key waits meanwhile."""
        self.agenda.after(AGAIN_SECONDS, lambda: self._again(flight.item))

    def _again(self, item: Item) -> None:
        if not self.dead:
            self.back(item)
            self.turn()

    def throttled(self, flight: Flight, bound_ns: int, until_ns: int) -> None:
        """The ERP refused for its limits."""
        self.budget.freeze(until_ns, "refused")
        self.budget.ended(flight.lease, bound_ns, fine=False, ended_ns=self.clock())
        self.again(flight)

    def again(self, flight: Flight) -> None:
        """A call, or a look-up, that has to be made once more."""
        if flight.kind == "find":
            self._look_ups.append((flight.message, flight.item))
        else:
            self.back(flight.item)

    def lost(self, flight: Flight, now_ns: int) -> None:
        """No answer: the call may run on for a while; then it is looked up."""
        safe_ns = now_ns + LOST_NS
        self.durable.spends[flight.spend] = Spend(arrived_by_ns=safe_ns, operation=flight.kind)
        self.budget.abandoned(flight.lease, safe_ns)
        self.look_up_after(2.0, flight.message, flight.item)

    def look_up_after(self, seconds: float, message: Message, item: Item) -> None:
        """Ask the ERP for it before anything else."""

        self._due.add(message.number)

        def due() -> None:
            self._due.discard(message.number)
            if not self.dead:
                self._look_ups.append((message, item))
                self.turn()

        self.agenda.after(seconds, due)

    # steering ------------------------------------------------------------------------------------------------

    def resize(self, limits: Iterable[str]) -> None:
        """Other limits by command."""
        self.limits = parse_limits(list(limits))
        self.budget.resize(self.limits, self.clock())
        self.turn()

    # life ----------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """It ends where it stands; what it sent is at the ERP all the same."""
        self.dead = True

    def succeed(self, limits: Iterable[str]) -> Desk:
        """The next life: spends restored, calls in flight unknown, everything else waits again."""
        later = type(self)(self.world, limits, self.parts, self.durable)
        safe_ns = later.clock() + LOST_NS
        for number, flight in self._flights.items():
            self.durable.spends[number] = Spend(safe_at_ns=safe_ns, operation=flight.kind)
        later.restore(self.durable.spends.values())
        unknown = {flight.message.number for flight in self._flights.values()}
        unknown |= {message.number for message, _ in self._look_ups} | self._due
        for message in self.world.messages:
            if message.outcome == "pending" and message.number in unknown:
                later.look_up_stray(message)
            elif message.outcome == "pending":
                later.take(message)
        later.turn()
        return later

    def look_up_stray(self, message: Message) -> None:
        """An unknown call of an earlier life: not in the order until the ERP says that it has nothing."""
        item = self._item(message)
        self._strays.add(item.seq)
        self.look_up_after(2.0, message, item)

    def restore(self, spends: Iterable[Spend]) -> None:
        """Count what earlier lives spent."""
        self.budget.restore(spends, self.clock())


@dataclass(frozen=True)
class Parts:
    """What a desk is made of; a mutant is one of these exchanged."""

    desk: type[Desk] = Desk
    budget: Callable[[Desk], Budget] = lambda desk: Budget(desk.limits)
    order: Callable[[], Order] = Order
    second_budget: Callable[[Desk], Callable[[Desk], Budget]] = lambda first: lambda desk: first.budget
    """The budget of a second process that works beside the first."""
