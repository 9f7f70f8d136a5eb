"""The stated bounds of the order, against everything that others may do meanwhile."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.lanes import LanePicker
from policies.order import NEVER, Block, Item, Order, Place, Share
from policies.order_place import calls_before

NAMES = [f"t{n}" for n in range(6)]
SHARES = st.dictionaries(st.sampled_from(NAMES), st.builds(Share, st.integers(1, 9)))
MINIMA = st.dictionaries(
    st.sampled_from(NAMES), st.builds(Share, st.integers(1, 9), st.sampled_from([0, 5, 10, 20])), max_size=4
).filter(lambda shares: sum(share.minimum_percent for share in shares.values()) <= 50)
BACKLOGS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 60), min_size=1)


def backlog(order: Order, counts: dict[str, int], workload: str = "w", lane: str = "standard") -> count[int]:
    numbers = count(1)
    for tenant, calls in counts.items():
        for _ in range(calls):
            order.add(Item(next(numbers), Place(lane, tenant, workload)))
    return numbers


def tenants_picked(order: Order, times: int) -> list[str]:
    """Each call is over before the next one is picked."""
    picked = []
    for _ in range(times):
        item = order.pick()
        if item is None:
            break
        order.ended(item)
        picked.append(item.place.tenant)
    return picked


@given(SHARES, BACKLOGS, st.integers(0, 40))
@settings(max_examples=200)
def test_a_new_call_of_another_tenant_waits_for_one_round_at_most(shares, counts, warm_up):
    order = Order(tenants=shares)
    numbers = backlog(order, counts)
    tenants_picked(order, warm_up)
    order.add(Item(next(numbers), Place("standard", "new", "w")))
    before = tenants_picked(order, 1_000)
    round_ = before[: before.index("new")]
    assert len(round_) == len(set(round_)), "each of the others once at most"


def test_one_call_behind_fifty_thousand_of_another_tenant_is_next_but_one():
    order = Order()
    numbers = backlog(order, {"A": 50_000})
    tenants_picked(order, 100)
    order.add(Item(next(numbers), Place("standard", "B", "w")))
    assert tenants_picked(order, 2).count("B") == 1


@given(SHARES, st.dictionaries(st.sampled_from(NAMES), st.just(400), min_size=2), st.integers(1, 300))
@settings(max_examples=100)
def test_the_kth_call_goes_within_its_stated_rounds(shares, counts, k):
    order = Order(tenants=shares)
    numbers = backlog(order, counts)
    tenants_picked(order, 7)
    for _ in range(k):
        order.add(Item(next(numbers), Place("standard", "new", "w")))
    bound = k + sum((k - 1) * shares.get(name, Share()).weight // 1 + 1 for name in counts)
    assert tenants_picked(order, bound).count("new") == k


@given(SHARES, st.integers(100, 2_000))
@settings(max_examples=60)
def test_long_run_shares_follow_the_weights_to_within_a_call(shares, picks):
    order = Order(tenants=shares)
    backlog(order, dict.fromkeys(NAMES, picks))
    got = Counter(tenants_picked(order, picks))
    weights = {name: shares.get(name, Share()).weight for name in NAMES}
    rounds = picks / sum(weights.values())
    for name, weight in weights.items():
        assert abs(got[name] - rounds * weight) <= weight + 1


@given(MINIMA, BACKLOGS)
@settings(max_examples=150)
def test_a_minimum_holds_in_every_run_of_picks_during_which_the_tenant_waited(shares, counts):
    order = Order(tenants=shares)
    left = Counter(counts)
    backlog(order, counts)
    passed = Counter()
    for tenant in tenants_picked(order, 1_000):
        for name, share in shares.items():
            waited = left[name] > 0 and name != tenant
            passed[name] = passed[name] + 1 if waited else 0
            assert not share.minimum_percent or passed[name] < 100 // share.minimum_percent
        left[tenant] -= 1
    assert not left.total()


def test_a_minimum_is_more_than_a_small_weight_gives_and_no_more_than_needed():
    others = {f"t{n}": 1_000 for n in range(99)}
    order = Order(tenants={"small": Share(minimum_percent=20)})
    backlog(order, {"small": 1_000, **others})
    assert 200 <= tenants_picked(order, 1_000).count("small") <= 202


def test_an_unused_minimum_is_everybodys_and_is_back_at_once():
    order = Order(tenants={"acme": Share(minimum_percent=33)})
    numbers = backlog(order, {"A": 500, "B": 500})
    assert Counter(tenants_picked(order, 100)) == {"A": 50, "B": 50}
    for _ in range(50):
        order.add(Item(next(numbers), Place("standard", "acme", "w")))
    assert "acme" in tenants_picked(order, 3)


def test_a_new_weight_acts_on_what_waits_already():
    order = Order()
    backlog(order, {"A": 1_000, "B": 1_000})
    assert Counter(tenants_picked(order, 100)) == {"A": 50, "B": 50}
    order.set_tenants({"A": Share(9)})
    assert 89 <= Counter(tenants_picked(order, 100))["A"] <= 91
    order.set_tenants({})
    assert 49 <= Counter(tenants_picked(order, 100))["A"] <= 51


def test_a_tenant_pays_for_what_its_calls_cost_in_fact():
    """B's calls turn out ten times as dear, so it gets a tenth of the calls and as much of the system."""
    order = Order()
    numbers = count(1)
    for tenant in ("A", "B"):
        for _ in range(1_000):
            order.add(Item(next(numbers), Place("standard", tenant, "w"), cost=10))
    picked = Counter()
    for _ in range(220):
        item = order.pick()
        order.ended(item, 10 if item.place.tenant == "A" else 100)
        picked[item.place.tenant] += 1
    assert 198 <= picked["A"] <= 202


def test_calls_in_flight_count_before_they_end():
    order = Order()
    backlog(order, {"A": 10, "B": 10})
    flying = [order.pick() for _ in range(8)]
    assert Counter(item.place.tenant for item in flying) == {"A": 4, "B": 4}
    assert order.in_flight("A") == order.in_flight("B") == 4


@given(st.lists(st.sampled_from([3, 5, 9, NEVER]), min_size=1, max_size=20))
def test_within_a_workload_the_earliest_deadline_goes_first_then_the_first_come(deadlines):
    order = Order()
    for number, deadline in enumerate(deadlines):
        order.add(Item(number, Place("standard", "A", "w"), deadline))
    picked = [order.pick() for _ in deadlines]
    assert [item.seq for item in picked] == sorted(range(len(deadlines)), key=lambda n: (deadlines[n], n))


def test_a_workload_does_not_hold_up_another_of_its_tenant():
    order = Order(workloads={"incident": Share(3)})
    for number in range(400):
        order.add(Item(number, Place("standard", "A", "billing-cycle" if number < 300 else "incident")))
    picked = Counter(order.pick().place.workload for _ in range(40))
    assert picked == {"incident": 30, "billing-cycle": 10}


def test_a_blocked_million_is_passed_by():
    order = Order()
    backlog(order, {"A": 20_000, "B": 3})
    order.block(Block(tenant="A"))
    assert tenants_picked(order, 10) == ["B"] * 3
    order.unblock(Block(tenant="A"))
    assert tenants_picked(order, 2) == ["A"] * 2


def test_a_block_of_an_operation_names_its_parts():
    block = Block(operation="adjustment")
    assert block.holds(Place("urgent", "A", "w", "adjustment.create"))
    assert block.holds(Place("urgent", "A", "w", "adjustment"))
    assert not block.holds(Place("urgent", "A", "w", "adjustments.list"))


@pytest.mark.parametrize(("weight", "minimum"), [(0, 0), (1_001, 0), (1, -1), (1, 34)])
def test_a_share_that_cannot_be_is_refused(weight, minimum):
    with pytest.raises(ValueError, match="expected"):
        Share(weight, minimum)


def test_minima_that_cannot_all_be_kept_are_refused():
    with pytest.raises(ValueError, match="60 %"):
        Order(tenants={name: Share(minimum_percent=20) for name in "ABC"})
    with pytest.raises(ValueError, match="workload 'w'"):
        Order(workloads={"w": Share(minimum_percent=5)})


@given(
    MINIMA,
    st.dictionaries(st.sampled_from(["w1", "w2"]), st.builds(Share, st.integers(1, 5))),
    st.dictionaries(
        st.tuples(
            st.sampled_from(["urgent", "standard", "bulk"]), st.sampled_from(NAMES[:4]), st.sampled_from(["w1", "w2"])
        ),
        st.integers(1, 12),
        min_size=1,
    ),
    st.integers(0, 30),
    st.data(),
)
@settings(max_examples=300)
def test_nobody_waits_for_more_calls_than_they_were_told(tenants, workloads, counts, warm_up, data):
    order = Order(tenants=tenants, workloads=workloads)
    numbers = count(1)
    waiting = []
    for (lane, tenant, workload), calls in counts.items():
        for _ in range(calls):
            waiting.append(Item(next(numbers), Place(lane, tenant, workload)))
            order.add(waiting[-1])
    for _ in range(min(warm_up, len(waiting) - 1)):
        item = order.pick()
        order.ended(item)
        waiting.remove(item)
    mine = data.draw(st.sampled_from(waiting))
    before = sum(item.place == mine.place and item.seq < mine.seq for item in waiting)
    flows = Counter(item.place[:3] for item in waiting)
    told = calls_before(mine.place, before, flows, LanePicker(), tenants, workloads)
    assert told < len(waiting)
    went = 0
    while (item := order.pick()) != mine:
        order.ended(item)
        went += 1
    assert went <= told


@given(BACKLOGS, st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=100)
def test_a_backlog_read_in_parts_goes_in_the_same_order_as_one_at_hand(counts, chance, ahead):
    whole, parts = Order(), Order()
    numbers = count(1)
    store: dict[Place, list[Item]] = {}
    for tenant, calls in counts.items():
        for _ in range(calls):
            item = Item(next(numbers), Place("standard", tenant, chance.choice("vw")), chance.choice([5, 7, NEVER]))
            whole.add(item)
            store.setdefault(item.place, []).append(item)
    for place, items in sorted(store.items(), key=lambda pair: pair[1][0].seq):
        items.sort(key=lambda item: (item.deadline, item.seq))
        parts.expect(place)
    for _ in range(sum(counts.values())):
        while isinstance(place := parts.peek(), Place):
            parts.fill(place, store[place][:ahead], len(store[place]) > ahead)
        item = parts.pick()
        store[item.place].remove(item)
        if len(store[item.place]) < ahead and not parts.line(item.place).items() and store[item.place]:
            parts.expect(item.place)
        assert item == whole.pick()
    assert parts.pick() is None
    assert parts.waiting == 0


def test_nothing_is_kept_of_tenants_that_are_gone():
    order = Order()
    for number in range(2_000):
        order.add(Item(number, Place("standard", f"t{number}", "w")))
        order.ended(order.pick())
    assert len(order.places()) == 0
    assert sum(len(tenants) for tenants in order._tenants.values()) <= 3
