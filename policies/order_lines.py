"""What waits, in lines: one line for each lane, tenant, workload, operation and partition that has calls.

Within a line, the earliest deadline goes first and of equal ones the lowest number. A line may be known only in part
(`more`): the rest is in the store. The calls at hand are then the first of the line, so its head is still known, and
an empty line with more behind says that it has to be read before anything can be chosen past it.

A flow is the lines of one workload of a tenant in a lane. Its head is the earliest of its lines' heads. Blocks act on
whole lines, so a blocked million costs as much as a blocked one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from msgspec import Struct

from policies.order_shares import EQUAL, FairShares, Party, Share

NEVER = (1 << 63) - 1
"""The deadline of what has none: after everything that has one."""
_UNREAD = (-1, -1)


class Place(NamedTuple):
    """Where a call stands in the order. `workload` is what its tenant does with it: by default the message type."""

    lane: str
    tenant: str
    workload: str
    operation: str = ""
    partition: int = 0


class Item(Struct, frozen=True, gc=False):
    """A call that waits. `key`: calls of one key go one after another, by number; None if something else sees to it.

    `deadline` in any integer unit, the same for all; `cost` in units of the budget, 1 or more, as far as is known.
    """

    seq: int
    place: Place
    deadline: int = NEVER
    key: str | None = None
    cost: int = 1


class Block(Struct, frozen=True):
    """Calls that may not go: those that match in everything that is not None. All None blocks everything.

    `operation` names its parts as well: `adjustment` blocks `adjustment.create`.
    """

    lane: str | None = None
    tenant: str | None = None
    workload: str | None = None
    operation: str | None = None
    partition: int | None = None

    def holds(self, place: Place) -> bool:
        """Whether it blocks calls that stand there."""
        return (
            self.lane in (None, place.lane)
            and self.tenant in (None, place.tenant)
            and self.workload in (None, place.workload)
            and (self.operation is None or f"{place.operation}.".startswith(f"{self.operation}."))
            and self.partition in (None, place.partition)
        )


class Line:
    """The calls of one place. Changed only through its flow, which must know its head."""

    __slots__ = ("_gone", "_heap", "blocked", "more", "place", "shown")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.blocked = False
        self.more = False
        self.shown: tuple[int, int] | None = None
        """The head under which its flow has it, None while it has nothing that may go."""
        self._heap: list[tuple[int, int, Item]] = []
        self._gone: set[int] = set()

    def __len__(self) -> int:
        return len(self._heap) - len(self._gone)

    def __bool__(self) -> bool:
        return bool(self._heap) or self.more

    def head(self) -> tuple[int, int] | None:
        """Deadline and number of the first call; of an unread line, what comes before everything; None if empty."""
        if self._heap:
            return self._heap[0][:2]
        return _UNREAD if self.more else None

    def first(self) -> Item | None:
        """The first call at hand."""
        return self._heap[0][2] if self._heap else None

    def last_deadline(self) -> int:
        """No call at hand has a later one; -1 when none is at hand."""
        return max((deadline for deadline, _, _ in self._heap), default=-1)

    def add(self, item: Item) -> None:
        """One more."""
        heappush(self._heap, (item.deadline, item.seq, item))

    def pop(self) -> Item:
        """Take the first."""
        item = heappop(self._heap)[2]
        self._clean()
        return item

    def remove(self, item: Item) -> None:
        """Take one out wherever it stands. It must be in the line."""
        self._gone.add(item.seq)
        self._clean()

    def replace(self, items: Iterable[Item], more: bool) -> None:
        """These are the first of the line now, and whether there are others behind them."""
        self._heap = [(item.deadline, item.seq, item) for item in items]
        heapify(self._heap)
        self._gone.clear()
        self.more = more

    def items(self) -> list[Item]:
        """All at hand, in no order."""
        return [item for _, seq, item in self._heap if seq not in self._gone]

    def _clean(self) -> None:
        while self._heap and self._heap[0][1] in self._gone:
            self._gone.discard(heappop(self._heap)[1])


class Flow(Party):
    """The lines of one workload of a tenant in a lane."""

    __slots__ = ("_heads", "_shows", "lines", "live", "workload")

    def __init__(self, workload: str, share: Share = EQUAL) -> None:
        super().__init__(share)
        self.workload = workload
        self.lines: dict[Place, Line] = {}
        self.live = 0
        """How many of its lines have something that may go."""
        self._heads: list[tuple[int, int, int, Line]] = []
        self._shows = 0

    def first(self) -> Line | None:
        """The line whose head is the earliest."""
        while self._heads:
            deadline, seq, _, line = self._heads[0]
            if line.shown == (deadline, seq):
                return line
            heappop(self._heads)
        return None

    def show(self, line: Line) -> None:
        """The line has changed: place it by its head, or leave it out while it may not go."""
        head = None if line.blocked else line.head()
        if head == line.shown:
            return
        self.live += (head is not None) - (line.shown is not None)
        line.shown = head
        if head is not None:
            self._shows += 1  # the same head may be shown twice, and lines have no order
            heappush(self._heads, (*head, self._shows, line))


class Tenant(Party):
    """The flows of one tenant in a lane."""

    __slots__ = ("flows", "name", "shares")

    def __init__(self, name: str, share: Share = EQUAL) -> None:
        super().__init__(share)
        self.name = name
        self.flows: dict[str, Flow] = {}
        self.shares: FairShares[Flow] = FairShares()


class Keys:
    """Order per key: only the first of a key may go, and nothing of it while one is in flight."""

    __slots__ = ("_behind", "_busy")

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._behind: dict[str, deque[Item]] = {}

    def enter(self, item: Item) -> bool:
        """Whether it may stand in line; otherwise it is kept until those of its key before it are over."""
        if item.key is None:
            return True
        if item.key not in self._busy:
            self._busy.add(item.key)
            return True
        self._behind.setdefault(item.key, deque()).append(item)
        return False

    def leave(self, item: Item) -> Item | None:
        """It is over (done, or taken out); the next of its key, which may stand in line now."""
        if item.key is None:
            return None
        behind = self._behind.get(item.key)
        if not behind:
            self._busy.discard(item.key)
            return None
        following = behind.popleft()
        if not behind:
            del self._behind[item.key]
        return following

    def withdraw(self, item: Item) -> bool:
        """Take out one that is kept; whether it was."""
        behind = self._behind.get(item.key or "")
        if behind is None or item not in behind:
            return False
        behind.remove(item)
        if not behind:
            del self._behind[item.key or ""]
        return True

    def longest(self, count: int) -> list[tuple[str, int]]:
        """Keys with the most calls kept behind others, and how many."""
        return sorted(((key, len(line)) for key, line in self._behind.items()), key=lambda pair: -pair[1])[:count]

    def kept(self) -> int:
        """Calls that wait for others of their key."""
        return sum(len(line) for line in self._behind.values())
