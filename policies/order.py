"""Order: which of all the calls that wait goes next.

    lane  ->  tenant  ->  workload  ->  earliest deadline  ->  number

* **Lane**: urgent first, with floors for the lower ones (`lanes.py`). Outermost, because urgent means before the
  routine work of everybody; inside a lane nobody's urgency buys more than a share.
* **Tenant**, then the **workload** of that tenant: fair shares by weight, with minima for tenants (`order_shares.py`).
  Shares are kept for each lane by itself, so that a tenant's urgent calls do not make its others wait without bound.
* **Deadline**, then number, inside a workload of a tenant in a lane (`order_lines.py`).
* Calls of one **key** go by number, the next only when the one before it is over.
* What an operator **blocks** is not there for the choice, at no cost to it.

Promises, counted in picks, for calls of equal cost (`order_shares.py` has the general case, and the proofs of the
parts). Let n tenants wait in the lane, and let F be the picks within which the lane is served (`LanePicker.wait_bound`:
urgent 3, standard 10, bulk 20 with the default floors; 1 while only this lane waits).

1. *Work-conserving*: `peek` is None only if no call may go. By construction: every line with a call that may go is
   in its flow's heap, every flow with such a line waits with its tenant, every such tenant with its lane.
2. *A new call of a tenant with nothing waiting or owed* is picked after at most n - 1 others of its lane: one round.
   It is there for the next pick but for those whose tag equals its own, each of which goes at most once.
3. *The k-th call of a flow* (weight v among its tenant's flows of weights v_j, tenant weight w among w_i) is the
   K-th of its tenant with K <= k + sum_j (floor((k - 1) v_j / v) + 1), and goes within
   K + sum_i (floor((K - 1) w_i / w) + 1) picks of its lane, times F; `order_place.py` computes it, backlogs included.
4. *Minimum*: m percent of the lane's picks in every run of 100 // m during which the tenant waits.
5. *Weights act on what waits already*, from the next pick on: nothing about them is kept with a call.
6. *Instant give-back*: a share that is not used is used by others; its owner is there again with the next round.
7. *Order per key*: of one key at most one call is eligible or in flight, and they go by number.

Cost: `add`, `peek`, `take`, `undo`, `ended` are O(log(tenants) + log(flows of the tenant) + log(calls of the line)),
amortised. `block`, `unblock` are O(lines), not calls. Nothing here reads a clock or awaits.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from policies.lanes import DEFAULT_FLOORS_PERCENT, LANES, LanePicker
from policies.order_lines import NEVER, Block, Flow, Item, Keys, Line, Place, Tenant
from policies.order_shares import EQUAL, FairShares, Share, check_minima

__all__ = ["NEVER", "Block", "Item", "Order", "Place", "Share"]


class Order:
    """Everything that waits for one system. See the module for what is promised.

    `tenants` and `workloads` give shares to names; others have weight 1 and no minimum. Raises ValueError for minima
    that add up to more than 50 percent, a minimum of a workload, or floors out of range.
    """

    def __init__(
        self,
        floors_percent: Mapping[str, int] = DEFAULT_FLOORS_PERCENT,
        tenants: Mapping[str, Share] | None = None,
        workloads: Mapping[str, Share] | None = None,
    ) -> None:
        self._picker = LanePicker(floors_percent)
        self._tenant_shares: dict[str, Share] = {}
        self._workload_shares: dict[str, Share] = {}
        self._blocks: set[Block] = set()
        self.forget()
        self.set_tenants(tenants or {})
        self.set_workloads(workloads or {})

    def forget(self) -> None:
        """Nothing waits and nothing is owed; shares, floors and blocks stay."""
        self._lanes: dict[str, FairShares[Tenant]] = {lane: FairShares() for lane in LANES}
        self._tenants: dict[str, dict[str, Tenant]] = {lane: {} for lane in LANES}
        self._keys = Keys()
        self._charged: dict[int, int] = {}
        self._in_flight: Counter[str] = Counter()
        self._waiting = 0
        self._idle: deque[Place] = deque()
        self._head: Line | None = None
        """The line that goes next, if that is known; anything that may change it forgets it."""
        self.lines_live = 0
        """Lines with a call that may go."""

    # what waits ----------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Calls at hand that wait, blocked ones and those behind others of their key included."""
        return self._waiting

    def add(self, item: Item) -> None:
        """One more waits. Calls of one key are to be added in the order of their numbers."""
        self._waiting += 1
        if self._keys.enter(item):
            self._put(item)

    def remove(self, item: Item) -> None:
        """It no longer waits here: cancelled, or moved. It must wait."""
        self._waiting -= 1
        if self._keys.withdraw(item):
            return
        flow, line = self._find(item.place)
        line.remove(item)
        self._shown(flow, line)
        self._next_of_key(item)

    def ready(self) -> bool:
        """Whether a call may go (or a line must be read to know)."""
        return any(shares.waiting for shares in self._lanes.values())

    # choosing ------------------------------------------------------------------------------------------------

    def peek(self) -> Item | Place | None:
        """The call that goes next; a place whose line must be filled first; or None if nothing may go."""
        line = self._first()
        return None if line is None else line.first() or line.place

    def pick(self) -> Item | None:
        """Take the call that goes next, counted as in flight until `ended` or `undo`. None if nothing may go.

        Raises LookupError if a line must be filled first (only if `expect` is used).
        """
        line = self._first()
        if line is None:
            return None
        if line.first() is None:
            raise LookupError(f"the line {line.place} has to be filled before the next call is known")
        self._picker.picked(line.place.lane, self._waiting_by_lane())
        return self._take(line)

    def ended(self, item: Item, cost: int | None = None) -> None:
        """The call is over. `cost`: what it cost in fact, if that is known only now."""
        charged = self._land(item)
        if cost is not None and cost != charged:
            self._settle(item, cost - charged)
        self._next_of_key(item)
        self._forget(item.place)

    def undo(self, item: Item) -> None:
        """It was not made after all and waits again, in its old place, uncharged."""
        self._settle(item, -self._land(item))
        self._waiting += 1
        self._put(item)

    def again(self, item: Item, cost: int | None = None) -> None:
        """It was made in vain and waits again, in its old place; what it cost is charged."""
        charged = self._land(item)
        if cost is not None and cost != charged:
            self._settle(item, cost - charged)
        self._waiting += 1
        self._put(item)

    def in_flight(self, tenant: str) -> int:
        """What the calls of a tenant that are in flight cost together."""
        return self._in_flight[tenant]

    # steering ------------------------------------------------------------------------------------------------

    def set_tenants(self, shares: Mapping[str, Share]) -> None:
        """These tenants have these shares from the next pick on; all others have weight 1. Raises ValueError."""
        check_minima(share.minimum_percent for share in shares.values())
        changed = {
            name for name in {*shares, *self._tenant_shares} if shares.get(name) != self._tenant_shares.get(name)
        }
        self._tenant_shares = dict(shares)
        for lane, tenants in self._tenants.items():
            for name in changed & tenants.keys():
                self._lanes[lane].change(tenants[name], shares.get(name, EQUAL))
        self._head = None

    def set_workloads(self, shares: Mapping[str, Share]) -> None:
        """The same for workloads, against the other workloads of their tenant. Minima are for tenants only."""
        if named := sorted(name for name, share in shares.items() if share.minimum_percent):
            raise ValueError(f"the workload {named[0]!r} has a minimum; only tenants can have one")
        self._workload_shares = dict(shares)
        for tenants in self._tenants.values():
            for tenant in tenants.values():
                for name, flow in tenant.flows.items():
                    share = shares.get(name, EQUAL)
                    if share.weight != flow.weight:
                        tenant.shares.change(flow, share)
        self._head = None

    @property
    def tenants(self) -> Mapping[str, Share]:
        """The shares that were given to tenants."""
        return self._tenant_shares

    @property
    def workloads(self) -> Mapping[str, Share]:
        """The shares that were given to workloads."""
        return self._workload_shares

    def set_floors(self, floors_percent: Mapping[str, int]) -> None:
        """Other floors for the lower lanes, from the next pick on. Raises ValueError."""
        self._picker = LanePicker(floors_percent, self._picker.snapshot())
        self._head = None

    @property
    def picker(self) -> LanePicker:
        """The order between the lanes."""
        return self._picker

    def block(self, *blocks: Block) -> None:
        """From now on none of these goes; what is in flight is not touched."""
        self.set_blocks(self._blocks | {*blocks})

    def unblock(self, *blocks: Block) -> None:
        """These blocks are over; a call that another one holds still waits."""
        self.set_blocks(self._blocks - {*blocks})

    def set_blocks(self, blocks: Iterable[Block]) -> None:
        """Exactly these hold."""
        wanted = set(blocks)
        if wanted == self._blocks:
            return
        self._blocks = wanted
        for flow, line in list(self._lines()):
            line.blocked = self._is_blocked(line.place)
            self._shown(flow, line)

    # lines that are elsewhere --------------------------------------------------------------------------------

    def expect(self, place: Place) -> None:
        """There may be calls of this line elsewhere, behind those at hand."""
        flow, line = self._find(place)
        line.more = True
        self._shown(flow, line)

    def fill(self, place: Place, items: Iterable[Item], more: bool) -> None:
        """Read again: these are the first of the line, and whether there may be others behind them."""
        flow, line = self._find(place)
        before = len(line)
        line.replace(items, more)
        self._waiting += len(line) - before
        self._shown(flow, line)
        self._forget(place)

    def line(self, place: Place) -> Line:
        """What is at hand of a line."""
        return self._find(place)[1]

    def lines_near(self, count: int) -> list[Line]:
        """Lines of about so many tenants of each lane that go next, the very next one first."""
        found: dict[Place, Line] = {}
        first = self._first()
        if first is not None:
            found[first.place] = first
        for shares in self._lanes.values():
            for tenant in shares.near(count):
                for flow in tenant.shares.near(count):
                    found.update((line.place, line) for line in islice(flow.lines.values(), count) if line.shown)
        return list(found.values())

    def knows(self, place: Place) -> bool:
        """Whether there are calls of this line at hand or expected."""
        tenant = self._tenants[place.lane].get(place.tenant)
        flow = tenant.flows.get(place.workload) if tenant is not None else None
        return flow is not None and place in flow.lines

    def places(self) -> list[Place]:
        """All lines that have calls, or may have."""
        return [line.place for _, line in self._lines()]

    # within --------------------------------------------------------------------------------------------------

    def _first(self) -> Line | None:
        if self._head is None and (lane := self._picker.peek(self._waiting_by_lane())) is not None:
            tenant = self._lanes[lane].first()
            flow = tenant.shares.first() if tenant is not None else None
            self._head = flow.first() if flow is not None else None
        return self._head

    def _waiting_by_lane(self) -> dict[str, int]:
        return {lane: shares.waiting for lane, shares in self._lanes.items()}

    def _take(self, line: Line) -> Item:
        item = line.pop()
        lane, name = line.place.lane, line.place.tenant
        tenant = self._tenants[lane][name]
        flow = tenant.flows[line.place.workload]
        tenant.shares.charge(flow, item.cost)
        self._lanes[lane].charge(tenant, item.cost)
        self._waiting -= 1
        self._charged[item.seq] = item.cost
        self._in_flight[name] += item.cost
        self._shown(flow, line)
        return item

    def _land(self, item: Item) -> int:
        charged = self._charged.pop(item.seq)
        left = self._in_flight[item.place.tenant] - charged
        if left:
            self._in_flight[item.place.tenant] = left
        else:
            del self._in_flight[item.place.tenant]
        return charged

    def _settle(self, item: Item, difference: int) -> None:
        self._head = None
        tenant = self._tenants[item.place.lane].get(item.place.tenant)
        if tenant is None:
            return  # it owed nothing and was forgotten
        self._lanes[item.place.lane].settle(tenant, difference)
        if (flow := tenant.flows.get(item.place.workload)) is not None:
            tenant.shares.settle(flow, difference)

    def _next_of_key(self, item: Item) -> None:
        following = self._keys.leave(item)
        if following is not None:
            self._put(following)

    def _put(self, item: Item) -> None:
        flow, line = self._find(item.place)
        line.add(item)
        self._shown(flow, line)

    def _find(self, place: Place) -> tuple[Flow, Line]:
        tenants = self._tenants[place.lane]
        tenant = tenants.get(place.tenant)
        if tenant is None:
            tenant = tenants[place.tenant] = Tenant(place.tenant, self._tenant_shares.get(place.tenant, EQUAL))
        flow = tenant.flows.get(place.workload)
        if flow is None:
            flow = tenant.flows[place.workload] = Flow(place.workload, self._workload_shares.get(place.workload, EQUAL))
        line = flow.lines.get(place)
        if line is None:
            line = flow.lines[place] = Line(place)
            line.blocked = self._is_blocked(place)
        return flow, line

    def _is_blocked(self, place: Place) -> bool:
        return any(block.holds(place) for block in self._blocks)

    def _shown(self, flow: Flow, line: Line) -> None:
        """A line has changed: let its flow, its tenant and its lane know."""
        self._head = None
        lane = line.place.lane
        tenant = self._tenants[lane][line.place.tenant]
        before = flow.live
        flow.show(line)
        self.lines_live += flow.live - before
        if flow.live:
            if not flow.waits:
                tenant.shares.wake(flow)
            if not tenant.waits:
                self._lanes[lane].wake(tenant)
            return
        tenant.shares.rest(flow)
        if not tenant.shares.waiting:
            self._lanes[lane].rest(tenant)

    def _forget(self, place: Place) -> None:
        """Drop what is empty and owes nothing, so that memory follows what waits."""
        self._idle.append(place)
        for _ in range(min(2, len(self._idle))):
            idle = self._idle.popleft()
            if not self._forgotten(idle):
                self._idle.append(idle)

    def _forgotten(self, place: Place) -> bool:
        """Whether there is nothing left to forget of it; False if it should be tried again later."""
        tenant = self._tenants[place.lane].get(place.tenant)
        flow = tenant.flows.get(place.workload) if tenant is not None else None
        if tenant is None or flow is None:
            return True
        if (line := flow.lines.get(place)) is not None:
            if line:
                return True  # it is tried again when it is empty
            del flow.lines[place]
        flying = self._in_flight[place.tenant]
        if flow.lines:
            return True
        if flying or tenant.shares.owes(flow):
            return False
        del tenant.flows[place.workload]
        if tenant.flows:
            return True
        if self._lanes[place.lane].owes(tenant):
            tenant.flows[place.workload] = flow
            return False
        del self._tenants[place.lane][place.tenant]
        return True

    def _lines(self) -> Iterator[tuple[Flow, Line]]:
        for tenants in self._tenants.values():
            for tenant in tenants.values():
                for flow in tenant.flows.values():
                    for line in flow.lines.values():
                        yield flow, line
