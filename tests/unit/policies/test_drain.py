"""The fluid drain agrees with the order it stands for, call by call, and costs what lines cost, not calls."""

from math import inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.drain import Part, drain
from policies.lanes import LANES
from policies.order import Item, Order, Place


def played(parts: list[Part], arrivals: float = 0.0) -> dict[tuple[str, str], int]:
    """After how many picks each line is done, by the order itself, with newcomers of other tenants in every lane."""
    order, seq, last = Order(), 0, {}
    marked: dict[int, tuple[str, str]] = {}
    for part in parts:
        for _ in range(int(part.waiting)):
            seq += 1
            marked[seq] = (part.lane, part.tenant)
            order.add(Item(seq, Place(part.lane, part.tenant, "work")))
    owed, picks = 0.0, 0
    while (item := order.pick()) is not None:
        order.ended(item)
        picks += 1
        if item.seq in marked:
            last[marked[item.seq]] = picks
        owed += arrivals
        if owed >= 1 and picks < 2 * len(marked):
            owed, seq = owed - 1, seq + 1
            order.add(Item(seq, Place("standard", "newcomer", "work")))
    return last


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(LANES), st.sampled_from("abcde"), st.integers(20, 200)), min_size=1, max_size=12)
)
def test_lines_are_done_when_the_order_has_done_them(lines: list[tuple[str, str, int]]) -> None:
    parts = [Part(lane, tenant, waiting) for (lane, tenant), waiting in {line[:2]: line[2] for line in lines}.items()]
    truth = played(parts)
    total = sum(part.waiting for part in parts)
    for part, done in zip(parts, drain(parts).done, strict=True):
        # a lane's floor works with whole picks: a period of it, and a round of its tenants, may be off
        slack = 0.02 * total + 25 + 2 * len(parts)
        assert done.begun - slack <= truth[part.lane, part.tenant] <= done.over + slack


def test_what_comes_in_meanwhile_takes_its_share() -> None:
    parts = [Part("standard", "a", 100), Part("bulk", "b", 200)]
    coming = [*parts, Part("standard", "newcomer", 0, arrivals=0.4)]
    for part, done in zip(coming[:2], drain(coming).done[:2], strict=True):
        assert played(parts, arrivals=0.4)[part.lane, part.tenant] == pytest.approx(done.likely, rel=0.1)
        assert done.likely > drain(parts).done[coming.index(part)].likely


def test_what_never_ends_is_said_to_never_end() -> None:
    parts = [Part("urgent", "a", 10, arrivals=2.0), Part("bulk", "b", 10)]
    urgent, bulk = drain(parts, {"bulk": 5}).done
    assert urgent.likely < inf  # those that wait now go before those that come
    assert bulk.likely == pytest.approx(9.5 * 20)  # by its floor alone


def test_a_stop_leaves_what_was_not_served() -> None:
    parts = [Part("standard", "a", 100), Part("standard", "b", 10)]
    stopped = drain(parts, until=50)
    assert [part.waiting for part in stopped.left] == pytest.approx([60, 0])
    rest = drain(stopped.left)
    assert 50 + rest.done[0].over == pytest.approx(drain(parts).done[0].over)


def test_weights_divide_a_lane() -> None:
    heavy, light = drain([Part("bulk", "a", 90, weight=9), Part("bulk", "b", 90)]).done
    assert heavy.over == pytest.approx(100)
    assert light.over == pytest.approx(180)


def test_many_lines_are_all_told_and_nothing_is_served_twice() -> None:
    random = Random(1)
    parts = [Part(lane, f"t{number}", random.randint(1, 50)) for lane in LANES for number in range(500)]
    done = drain(parts).done
    assert max(one.over for one in done) == pytest.approx(sum(part.waiting for part in parts))
