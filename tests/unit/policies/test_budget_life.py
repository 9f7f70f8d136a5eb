"""Promises of the gate about single calls: refusals, lost answers, restarts, changes, and what it tells."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.budget import (
    Budget,
    BudgetState,
    ConcurrencyLimit,
    Lease,
    RateLimit,
    Spend,
    Wait,
    arrival_bound,
)

SECOND = 1_000_000_000
RATE = RateLimit(3, SECOND, "per second")


def admitted(budget, now, cost=1):
    lease = budget.admit(now, cost)
    assert isinstance(lease, Lease), lease
    return lease


def waits(budget, now, cost=1):
    wait = budget.admit(now, cost)
    assert isinstance(wait, Wait), wait
    return wait


def finished(budget, now, **more):
    lease = admitted(budget, now)
    budget.ended(lease, now, **more)
    return lease


def test_a_call_in_flight_counts_for_as_long_as_it_flies():
    budget = Budget([RateLimit(1, SECOND, "one")], guard_ns=0)
    lease = admitted(budget, 0)
    assert waits(budget, 90 * SECOND).until_ns is None
    budget.ended(lease, 90 * SECOND)
    assert waits(budget, 90 * SECOND).until_ns == 91 * SECOND


def test_a_known_arrival_frees_the_window_sooner_than_the_end_would():
    budget = Budget([RateLimit(1, SECOND, "one")], guard_ns=0)
    lease = admitted(budget, 0)
    budget.ended(lease, arrival_bound(0, 10 * SECOND, 10 * SECOND))
    assert admitted(budget, 10 * SECOND)


def test_a_server_that_reports_impossible_durations_is_not_believed():
    assert arrival_bound(0, 100, 101) == 100
    assert arrival_bound(0, 100, -1) == 100
    assert arrival_bound(0, 100, None) == 100
    assert arrival_bound(0, 100, 100) == 0


def test_an_arrival_before_the_admission_is_refused_and_the_slot_stays_taken():
    budget = Budget([ConcurrencyLimit(1)])
    lease = admitted(budget, 100)
    with pytest.raises(ValueError, match="cannot have arrived by 99"):
        budget.ended(lease, 99)
    assert waits(budget, 200).limit_name == "concurrent"


def test_all_limits_are_taken_or_none():
    budget = Budget([RATE, ConcurrencyLimit(1)], guard_ns=0)
    lease = admitted(budget, 0)
    for _ in range(50):
        assert waits(budget, 1).limit_name == "concurrent"
    budget.ended(lease, 1)
    assert [usage.used for usage in budget.usage(1)] == [1, 0]


def test_a_slot_may_stay_taken_until_a_stated_time_after_the_end():
    budget = Budget([ConcurrencyLimit(1)])
    budget.ended(admitted(budget, 0), 5, free_at_ns=9)
    assert waits(budget, 8).until_ns == 9
    assert admitted(budget, 9)


def test_an_abandoned_call_holds_its_slots_until_it_is_surely_over():
    budget = Budget([RateLimit(1, SECOND, "one"), ConcurrencyLimit(1)], guard_ns=0)
    budget.abandoned(admitted(budget, 0), 30 * SECOND)
    assert waits(budget, 5 * SECOND).until_ns == 31 * SECOND
    assert admitted(budget, 31 * SECOND)


def test_a_late_answer_replaces_the_assumption_about_an_abandoned_call():
    budget = Budget([RateLimit(1, SECOND, "one"), ConcurrencyLimit(1)], guard_ns=0)
    lease = admitted(budget, 0)
    budget.abandoned(lease, 30 * SECOND)
    assert budget.ended(lease, 2 * SECOND)
    assert waits(budget, 2 * SECOND).until_ns == 3 * SECOND


def test_a_call_that_never_left_gives_everything_back():
    budget = Budget([RateLimit(1, SECOND, "one"), ConcurrencyLimit(1)])
    budget.forget(admitted(budget, 0))
    assert admitted(budget, 0)


def test_a_lease_is_settled_once():
    budget = Budget([RATE])
    lease = finished(budget, 0)
    before = budget.snapshot()
    assert not budget.ended(lease, 5)
    assert not budget.abandoned(lease, 5)
    assert not budget.forget(lease)
    assert budget.snapshot() == before


def test_a_restored_call_counts_from_where_it_was():
    budget = Budget([RateLimit(2, SECOND, "two"), ConcurrencyLimit(1)], guard_ns=0)
    budget.restore([Spend(arrived_by_ns=900), Spend(safe_at_ns=2000)], 1000)
    assert waits(budget, 1500).limit_name == "two"
    assert waits(budget, SECOND + 900 - 1).until_ns == SECOND + 900
    assert admitted(budget, SECOND + 900)


def test_a_restored_call_without_any_time_is_refused():
    with pytest.raises(ValueError, match="safe_at_ns"):
        Budget([RATE]).restore([Spend()], 0)


def test_a_clock_that_goes_back_admits_nothing_until_it_is_where_it_was():
    budget = Budget([RATE])
    finished(budget, 100)
    assert waits(budget, 99) == Wait(100, "clock", "the clock went back; waiting until it is where it was")
    assert admitted(budget, 100)


# -- refusals


def test_a_refusal_freezes_until_exactly_the_stated_time_then_sends_one_probe():
    budget = Budget([RATE])
    budget.freeze(50, "the ERP said 429", "per second")
    assert waits(budget, 49) == Wait(50, "per second", "the ERP said 429")
    assert admitted(budget, 50).probe
    assert waits(budget, 51).limit_name == "probe"
    assert waits(budget, 500 * SECOND).until_ns is None


def test_a_fine_probe_opens_the_gate_step_by_step():
    budget = Budget([RateLimit(100, SECOND, "per second")], guard_ns=0)
    budget.freeze(0, "429")
    finished(budget, 0)
    assert budget.frozen is None
    flying, waves = [], []
    for wave in range(1, 5):
        while isinstance(found := budget.admit(wave), Lease):
            flying.append(found)
        waves.append(len(flying))
        while flying:
            budget.ended(flying.pop(), wave)
    assert waves == [2, 4, 8, 16]


def test_a_refused_call_never_widens_the_gate():
    budget = Budget([RateLimit(1, SECOND, "one")], guard_ns=0)
    lease = admitted(budget, 0)
    budget.ended(lease, 0, fine=False)
    budget.freeze(10, "429")
    budget.freeze(5, "429 with a shorter time")
    assert budget.frozen.until_ns == 10
    assert waits(budget, 10).until_ns == SECOND


def test_calls_from_before_the_refusal_neither_open_the_gate_nor_widen_it():
    budget = Budget([RateLimit(100, SECOND, "per second")])
    old = [admitted(budget, 0) for _ in range(20)]
    budget.freeze(10, "429")
    for lease in old[:10]:
        budget.ended(lease, 5)
    assert waits(budget, 9).until_ns == 10
    budget.ended(admitted(budget, 10), 11)
    for lease in old[10:]:
        budget.ended(lease, 12)
    assert len([lease for lease in (budget.admit(13) for _ in range(9)) if isinstance(lease, Lease)]) == 2


@pytest.mark.parametrize("end", ["failed", "abandoned", "forgotten"])
def test_a_probe_that_proves_nothing_makes_room_for_the_next_one(end):
    budget = Budget([RATE])
    budget.freeze(0, "429")
    probe = admitted(budget, 0)
    if end == "failed":
        budget.ended(probe, 1, fine=False)
    elif end == "forgotten":
        budget.forget(probe)
    else:
        budget.abandoned(probe, 40)
        assert waits(budget, 39).until_ns == 40
    assert admitted(budget, 40).probe
    assert waits(budget, 40).limit_name == "probe"


def test_a_probe_that_is_refused_freezes_again():
    budget = Budget([RATE])
    budget.freeze(0, "429")
    budget.ended(admitted(budget, 0), 1, fine=False)
    budget.freeze(100, "429 again")
    assert waits(budget, 99).reason == "429 again"


# -- changes while running


def test_lowering_takes_effect_at_once_and_counts_what_was_spent():
    budget = Budget([RateLimit(10, SECOND, "rate")], guard_ns=0)
    for at in range(10):
        finished(budget, at)
    budget.resize([RateLimit(4, SECOND, "rate")], 10)
    assert waits(budget, 10).until_ns == SECOND + 6
    assert admitted(budget, SECOND + 6)
    assert isinstance(budget.admit(SECOND + 6), Wait)


def test_raising_takes_effect_at_once():
    budget = Budget([RateLimit(1, SECOND, "rate")])
    finished(budget, 0)
    budget.resize([RateLimit(2, SECOND, "rate")], 0)
    assert admitted(budget, 0)


def test_a_longer_window_set_live_counts_the_calls_before_it():
    budget = Budget([RateLimit(10, SECOND, "rate")])
    for second in range(0, 100, 2):
        finished(budget, second * SECOND)
    budget.resize([RateLimit(50, 300 * SECOND, "five minutes")], 100 * SECOND)
    assert waits(budget, 100 * SECOND).limit_name == "five minutes"


@pytest.mark.parametrize(
    "limits",
    [[RateLimit(0, SECOND, "a")], [RateLimit(1, 0, "a")], [RATE, RATE], [ConcurrencyLimit(-1)]],
)
def test_a_limit_that_makes_no_sense_is_refused_and_the_old_ones_stay(limits):
    budget = Budget([RATE])
    with pytest.raises(ValueError, match="limit"):
        budget.resize(limits, 0)
    assert budget.limits == (RATE,)


def test_a_call_that_can_never_fit_says_so():
    wait = waits(Budget([RATE]), 0, cost=4)
    assert wait.until_ns is None
    assert "split it" in wait.reason


# -- what it tells


def test_usage_says_how_full_each_limit_is_and_when_the_next_slot_comes():
    budget = Budget([RateLimit(2, SECOND, "rate"), ConcurrencyLimit(1)], guard_ns=0)
    finished(budget, 5)
    admitted(budget, 6)
    rate, concurrent = budget.usage(7)
    assert (rate.used, rate.limit, rate.free_at_ns, rate.window_ns) == (2, 2, SECOND + 5, SECOND)
    assert (concurrent.used, concurrent.limit, concurrent.free_at_ns) == (1, 1, None)


@given(
    st.integers(1, 5),
    st.integers(1, 1000),
    st.lists(st.integers(0, 300), max_size=12).map(sorted),
    st.integers(0, 30),
)
def test_the_eta_of_the_nth_call_is_when_it_really_goes(limit, window_ns, spent, ahead):
    budget = Budget([RateLimit(limit, window_ns, "rate")], guard_ns=3)
    budget.restore([Spend(arrived_by_ns=at) for at in spent], 300)
    told, now, gone = budget.eta(300, ahead), 300, 0
    while gone <= ahead:
        answer = budget.admit(now)
        if isinstance(answer, Lease):
            budget.ended(answer, now)
            gone += 1
        else:
            now = answer.until_ns
    assert told == now


def test_the_eta_knows_freezes_and_the_length_of_calls():
    budget = Budget([ConcurrencyLimit(2)])
    assert [budget.eta(0, ahead, call_ns=10) for ahead in range(5)] == [0, 0, 10, 10, 20]
    budget.freeze(500, "429")
    assert budget.eta(0, 2, call_ns=10) == 510


def test_asking_changes_nothing():
    budget = Budget([RATE, ConcurrencyLimit(2)])
    finished(budget, 0)
    before = budget.snapshot()
    budget.usage(10**12)
    budget.eta(10**12, 5)
    budget.obstacle(10**12)
    assert budget.snapshot() == before


def test_a_snapshot_goes_through_json_and_goes_on_as_if_nothing_had_happened():
    budget = Budget([RATE, ConcurrencyLimit(2)])
    lease, other = admitted(budget, 0), admitted(budget, 0)
    budget.abandoned(other, 50)
    budget.freeze(10, "429")
    budget.freeze(20, "429", scope="find", object_="B")
    state = msgspec.json.decode(msgspec.json.encode(budget.snapshot()), type=BudgetState)
    again = Budget.from_snapshot(state)
    assert again.snapshot() == budget.snapshot()
    assert again.in_flight == (lease,)
    for one in (budget, again):
        one.ended(lease, 5)
    assert again.admit(20) == budget.admit(20)
    assert again.snapshot() == budget.snapshot()


def test_a_call_costs_at_least_one_unit():
    with pytest.raises(ValueError, match="at least 1 unit"):
        Budget([RATE]).admit(0, 0)
