"""Random lives of a backlog: every choice is the one that scanning everything would have made."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from policies.lanes import LANES
from policies.order import NEVER, Block, Item, Order, Place, Share
from tests.unit.policies.order_model import Model

PLACES = st.builds(
    Place,
    st.sampled_from(["standard", "standard", "standard", "urgent", "bulk"]),
    st.sampled_from("AAB"),
    st.sampled_from(["incident", "incident", "incident", "billing"]),
    st.sampled_from(["post", "post", "post", "void"]),
    st.sampled_from([0, 0, 0, 1]),
)
BLOCKS = st.builds(
    Block,
    lane=st.none() | st.sampled_from(LANES),
    tenant=st.none() | st.sampled_from("AB"),
    workload=st.none() | st.just("billing"),
    operation=st.none() | st.just("void"),
    partition=st.none() | st.integers(0, 1),
)
SHARES = st.dictionaries(st.sampled_from("AB"), st.builds(Share, st.integers(1, 5)))
pick = st.randoms(use_true_random=False)


class OrderMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.order = Order()
        self.model = Model()
        self.count = 0

    @rule(
        place=PLACES,
        key=st.none() | st.sampled_from(["k1", "k2"]),
        deadline=st.sampled_from([5, 6, 7, NEVER]),
        cost=st.integers(1, 3),
        times=st.integers(1, 4),
    )
    def request(self, place: Place, key: str | None, deadline: int, cost: int, times: int) -> None:
        for _ in range(times):
            self.count += 1
            item = Item(self.count, place, deadline, f"{place.tenant}{key}{place.lane}" if key else None, cost)
            self.order.add(item)
            self.model.waiting.append(item)
        self.model.sync()

    @rule(times=st.integers(1, 6))
    def choose(self, times: int) -> None:
        for _ in range(times):
            may_go = self.model.eligible()
            told = self.order.peek()
            item = self.order.pick()
            assert told == item
            if item is None:
                assert not may_go, "work-conserving"
                return
            assert item in may_go
            place = item.place
            assert place.lane == self.model.lane()
            assert place.tenant in self.model.lowest((place.lane,))
            assert place.workload in self.model.lowest((place.lane, place.tenant))
            flow = [other for other in may_go if other.place[:3] == place[:3]]
            assert (item.deadline, item.seq) == min((other.deadline, other.seq) for other in flow)
            self.model.take(item)

    @precondition(lambda self: self.model.flying)
    @rule(chance=pick, cost=st.none() | st.integers(0, 6), end=st.sampled_from(["ended", "again", "undo"]))
    def end(self, chance, cost: int | None, end: str) -> None:
        item = chance.choice(self.model.flying)
        if end == "undo":
            cost = 0
            self.order.undo(item)
        else:
            getattr(self.order, end)(item, cost)
        self.model.land(item, 0 if cost is None else cost - item.cost)
        if end != "ended":
            self.model.waiting.append(item)
        self.model.sync()

    @precondition(lambda self: self.model.waiting)
    @rule(chance=pick)
    def cancel(self, chance) -> None:
        item = chance.choice(self.model.waiting)
        self.order.remove(item)
        self.model.waiting.remove(item)
        self.model.sync()

    @rule(block=BLOCKS)
    def block(self, block: Block) -> None:
        self.order.block(block)
        self.model.blocks.add(block)
        self.model.sync()

    @precondition(lambda self: self.model.blocks)
    @rule(chance=pick)
    def unblock(self, chance) -> None:
        block = chance.choice(sorted(self.model.blocks, key=repr))
        self.order.unblock(block)
        self.model.blocks.remove(block)
        self.model.sync()

    @rule(tenants=SHARES, weight=st.integers(1, 5))
    def reweigh(self, tenants: dict[str, Share], weight: int) -> None:
        workloads = {"billing": Share(weight)}
        self.order.set_tenants(tenants)
        self.order.set_workloads(workloads)
        self.model.reweigh(tenants, workloads)

    @invariant()
    def the_counts_follow(self) -> None:
        assert self.order.waiting == len(self.model.waiting)
        for tenant in "AB":
            assert self.order.in_flight(tenant) == sum(i.cost for i in self.model.flying if i.place.tenant == tenant)


OrderMachine.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
TestOrderFollowsItsModel = OrderMachine.TestCase
