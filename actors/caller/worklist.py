"""The calls that wait for a system, as the gate meets them: the whole backlog in order, a small part of it in memory.

The store holds the calls and says which ones nothing of their own key holds back (`ready`). The policy (`order.py`)
holds the lines that have any, and chooses over all of them; of each line only the first calls are at hand, and only
of lines whose turn is near. A line whose turn comes before its calls are at hand is read first (`unread`). So a
million waiting calls cost no more memory than a thousand, and the choice is over all of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from broker.store.backlog import Backlog
from broker.store.reads import Reads
from broker.store.rows import Call
from broker.store.unit import Committed, Unit
from policies.order import NEVER, Block, Item, Order, Place
from policies.order_cost import settled_cost

WINDOW = 256
"""Calls of one line that are read ahead at most."""
WINDOW_MAX = 4_096
"""Calls at hand in all, and calls of one line set aside, before those never sent are looked for behind them."""
READ_MAX = 2_048
"""Calls at hand are spread over the lines that have any, so that they are about so many."""
NEAR = 96
"""Tenants of a lane whose turn is near enough to read ahead for them."""
BACK_MAX = 8
"""Calls set aside that are brought back at once."""
USUAL_COST = 1_000
"""What a call costs that takes as long as calls usually do."""
_CALLS_TO_LEARN = 8
"""How many calls it takes to learn how long calls of an operation take."""


class Worklist:
    """Ready calls, in the order of the policy. `open`, `due` and `refresh` read; the rest is memory."""

    def __init__(self, reads: Reads, system: str, order: Order, cost: Callable[[int], int] = lambda held_ns: 1) -> None:
        """`cost`: of a call that is in flight for so many nanoseconds, in any unit; only proportions count."""
        self._backlog = Backlog(reads, system)
        self._system = system
        self._order = order
        self._cost = cost
        self._at_hand: dict[int, Call] = {}
        self._held: dict[Place, dict[int, Item]] = {}
        """Taken or set aside: not to be offered again, whatever a reading says."""
        self._aside: list[tuple[int, int, Item, Call]] = []
        self._fresh_only: set[Place] = set()
        self._touched: set[Place] = set()
        self._to_read: set[Place] = set()
        """Lines that may begin with another call than the one at hand."""
        self._promoted: set[str] = set()
        self._read: dict[Place, None] = {}
        """Lines with calls at hand, those read longest ago first."""
        self._due_until = 0
        self._takes_ns: dict[str, int] = {}
        self._usual_ns = 0
        """How long calls take, whatever their operation."""

    # what changes --------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Learn from the store which lines there are. Once, before the rest."""
        self._order.forget()
        for place in await self._backlog.lines():
            self._order.expect(place)

    def follow(self, unit: Unit, committed: Committed) -> bool:
        """Something was committed; whether a call may have become ready by it."""
        rows = {(row.place, row.deadline) for row in unit.calls if row.system == self._system}
        for place, deadline in rows:
            self.changed(place, deadline)
        if not committed.promoted:
            return bool(rows)
        mine = (c for c in unit.call_changes if c.call.system == self._system)
        over = {c.call.order_ref for c in mine if not c.call.open or c.was == "exception"}
        over |= {move.call.order_ref for move in unit.call_moves if move.call.system == self._system}
        self._promoted |= over
        return bool(rows or over)

    def changed(self, place: Place, deadline: int = NEVER) -> None:
        """A call of this line, with this deadline, has become ready in the store."""
        self._touched.add(place)
        self._order.expect(place)
        if deadline < NEVER and deadline < self._order.line(place).last_deadline():
            self._to_read.add(place)

    def returned(self, place: Place) -> None:
        """A call of this line waits again, perhaps before those at hand."""
        self.changed(place)
        self._to_read.add(place)

    def drop(self, call: Call) -> None:
        """It was changed in the store by somebody else: out of what is at hand, to be read anew if it still waits."""
        if self._at_hand.pop(call.seq, None) is not None:
            self._order.remove(self._item(call))
        elif any(seq == call.seq for _, seq, _, _ in self._aside):
            self._aside = [entry for entry in self._aside if entry[1] != call.seq]
            heapq.heapify(self._aside)
            self._release(call)
        self.returned(call.place)

    def set_blocks(self, blocks: Iterable[Block]) -> None:
        """These, and only these, may not go."""
        self._order.set_blocks(blocks)

    # reading -------------------------------------------------------------------------------------------------

    async def due(self, now: int) -> None:
        """Find the calls whose delay is over. `now` in microseconds since the epoch."""
        after, self._due_until = min(self._due_until, now), now
        for place in await self._backlog.due(after, now):
            self.returned(place)

    async def refresh(self, now: int) -> None:
        """Read the lines whose turn is near and that run low. `now` in microseconds since the epoch."""
        if self._promoted:
            refs, self._promoted = self._promoted, set()
            for place in await self._backlog.lines_of(refs):
                self.returned(place)
        ahead = max(1, min(WINDOW, READ_MAX // max(self._order.lines_live, 1)))
        wanted, self._to_read = self._to_read, set()
        wanted.update(line.place for line in self._order.lines_near(NEAR) if line.more and len(line) <= ahead // 4)
        many = {place for place in wanted if len(self._held.get(place, ())) > WINDOW}
        if wanted - many:
            await self._fill(wanted - many, ahead, now)
        for place in many:
            await self._fill({place}, ahead, now)
        self._let_go()

    async def _fill(self, places: set[Place], ahead: int, now: int) -> None:
        limit = ahead + max(len(self._held.get(place, ())) for place in places)
        fresh = limit > WINDOW_MAX
        if fresh:
            self._fresh_only |= places
            limit = ahead
        self._touched -= places  # what changes from here on may be missing from what is read
        found: dict[Place, list[Call]] = {place: [] for place in places}
        for call in await self._backlog.heads(places, limit, now, fresh):
            found[call.place].append(call)
        for place, calls in found.items():
            held = self._held.get(place, {})
            for item in self._order.line(place).items():
                del self._at_hand[item.seq]
            free = {call.seq: call for call in calls if call.seq not in held}
            self._at_hand |= free
            more = len(calls) >= limit or place in self._touched
            self._order.fill(place, [self._item(call) for call in free.values()], more)
            self._read.pop(place, None)
            if free:
                self._read[place] = None

    def _let_go(self) -> None:
        """Have no more at hand than there is room for; what is let go is read again when its turn is near."""
        while len(self._at_hand) > WINDOW_MAX and self._read:
            place = next(iter(self._read))
            del self._read[place]
            for item in self._order.line(place).items():
                del self._at_hand[item.seq]
            self._order.fill(place, [], more=True)

    def _item(self, call: Call) -> Item:
        takes_ns = self._takes_ns.get(call.operation, self._usual_ns)
        return Item(call.seq, call.place, call.deadline, cost=self._shares(takes_ns))

    def _shares(self, held_ns: int) -> int:
        """What a call costs beside a usual one, under the limits of now.

        In the unit of the limits, what was charged under others (or before it was known how long calls take) would
        weigh a thousand times as much or as little as what is charged now, and no tenant would have its turn.
        """
        return max(1, USUAL_COST * self._cost(held_ns) // max(1, self._cost(self._usual_ns)))

    # choosing ------------------------------------------------------------------------------------------------

    def first(self) -> Call | None:
        """The call that goes next; None if none may go, or if a line has to be read to know (`unread`)."""
        head = self._order.peek()
        return self._at_hand[head.seq] if isinstance(head, Item) else None

    @property
    def unread(self) -> bool:
        """Whether a line has to be read before the next call is known."""
        return isinstance(self._order.peek(), Place)

    def any(self) -> bool:
        """Whether a call may go, for all that is known."""
        return self._order.ready() or bool(self._aside)

    def take(self) -> Call:
        """The first is about to be made: out of the line until `settled` or `give_back`."""
        item = self._order.pick()
        assert item is not None, "there is a first call"
        self._held.setdefault(item.place, {})[item.seq] = item
        return self._at_hand.pop(item.seq)

    def give_back(self, call: Call) -> None:
        """It was not made after all."""
        self._order.undo(self._release(call))
        self._at_hand[call.seq] = call

    def settled(self, call: Call, held_ns: int) -> None:
        """Its outcome is stored, after it was in flight for so long; if that is `waiting`, it will be offered again."""
        known_ns = self._takes_ns.get(call.operation, held_ns)
        self._takes_ns[call.operation] = known_ns + (held_ns - known_ns) // _CALLS_TO_LEARN
        self._usual_ns += (held_ns - self._usual_ns) // _CALLS_TO_LEARN if self._usual_ns else held_ns
        item = self._release(call)
        self._order.ended(item, settled_cost(item.cost, self._shares(held_ns)))
        if call.status == "waiting":
            self.returned(call.place)

    def set_aside(self) -> None:
        """The first may not go now, for a reason of its own: the others go on without it."""
        item = self._order.peek()
        assert isinstance(item, Item), "there is a first call"
        self._order.remove(item)
        self._held.setdefault(item.place, {})[item.seq] = item
        heapq.heappush(self._aside, (item.deadline, item.seq, item, self._at_hand.pop(item.seq)))

    def bring_back(self) -> bool:
        """A few of those set aside are in line again; whether there were any."""
        found = bool(self._aside)
        for _ in range(min(BACK_MAX, len(self._aside))):
            _, _, item, call = heapq.heappop(self._aside)
            self._release(call)
            self._at_hand[call.seq] = call
            self._order.add(item)
            if item.place in self._fresh_only:
                self._fresh_only.discard(item.place)
                self.changed(item.place)
        return found

    def _release(self, call: Call) -> Item:
        held = self._held[call.place]
        item = held.pop(call.seq)
        if not held:
            del self._held[call.place]
        return item

    def waiting(self) -> int:
        """Calls at hand."""
        return len(self._at_hand) + len(self._aside)
