"""Rules of learning, each by itself: evidence in, limits out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.adaptive import Change, Learner
from policies.budget import Budget
from policies.governor import Frozen, Governor
from policies.latency import FACTOR, SEEN_MIN, Latency
from policies.limits import ConcurrencyLimit, Lease, RateLimit
from policies.pauses import Pauses
from policies.signals import Dimension, Reading, Refusal, Room

SECOND = 1_000_000_000
DAY = RateLimit(5_000, 86_400 * SECOND, "5000/day")
MINUTE = RateLimit(60, 60 * SECOND, "60/min")
FIVE = ConcurrencyLimit(5)
XERO = (MINUTE, DAY, FIVE)


def effective(learner, now=0):
    return {limit.name: limit.limit for limit in learner.limits(now)}


EVENTS = st.one_of(
    st.tuples(st.just("refused"), st.sampled_from(XERO), st.integers(1, 6_000)),
    st.tuples(st.just("fine"), st.sampled_from(XERO), st.integers(1, 6_000)),
    st.tuples(st.just("told"), st.sampled_from(XERO), st.integers(1, 9_000)),
    st.tuples(st.just("room"), st.sampled_from(XERO), st.integers(0, 9_000)),
    st.tuples(st.just("slow"), st.sampled_from(XERO), st.integers(1, 9)),
    st.tuples(st.just("pass"), st.sampled_from(XERO), st.integers(1, 4_000)),
)


@given(st.lists(EVENTS, max_size=80), st.integers(0, 90))
def test_whatever_happens_a_limit_stays_between_one_and_its_ceiling_and_a_refusal_only_narrows(events, reserve):
    learner, now = Learner(XERO, reserve), 0
    for kind, limit, number in events:
        before = effective(learner, now)
        if kind == "refused":
            learner.refused(limit.name, number, "429", now)
            assert all(effective(learner, now)[name] <= was for name, was in before.items())
        elif kind == "fine":
            learner.fine({limit.name: number}, now)
        elif kind == "told":
            word = ConcurrencyLimit(number) if limit is FIVE else RateLimit(number, limit.window_ns, "told")
            learner.told([word], now)
        elif kind == "room":
            window = None if limit is FIVE else limit.window_ns // SECOND
            dimension = Dimension.CONCURRENT if limit is FIVE else Dimension.COUNT
            learner.rooms([Room(dimension, number, None, window)], {limit.name: 3}, {limit.name: 2}, now)
        elif kind == "slow":
            learner.slow(number, now)
        else:
            now += number * SECOND
        for ceiling in XERO:
            assert 1 <= effective(learner, now)[ceiling.name] <= ceiling.limit


@pytest.mark.parametrize(
    ("refusal", "levels", "name"),
    [
        (Refusal(Dimension.CONCURRENT, ""), {"60/min": 60, "5000/day": 9, "concurrent": 2}, "concurrent"),
        (Refusal(Dimension.COUNT, "", 60), {"60/min": 3, "5000/day": 4_999, "concurrent": 5}, "60/min"),
        (Refusal(Dimension.COUNT, "", 86_400), {"60/min": 60, "5000/day": 9, "concurrent": 5}, "5000/day"),
        (Refusal(Dimension.COUNT, ""), {"60/min": 50, "5000/day": 9, "concurrent": 5}, "60/min"),
        (Refusal(Dimension.UNKNOWN, ""), {"60/min": 10, "5000/day": 9, "concurrent": 4}, "concurrent"),
        (Refusal(Dimension.COUNT, "", 300), {"60/min": 10, "5000/day": 9, "concurrent": 4}, "60/min"),
        (Refusal(Dimension.EXECUTION, ""), {"60/min": 10, "5000/day": 9, "concurrent": 4}, None),
        (Refusal(Dimension.OBJECT, ""), {"60/min": 60, "5000/day": 9, "concurrent": 5}, None),
        (Refusal(Dimension.COUNT, "", 60, scope="app"), {"60/min": 60, "5000/day": 9, "concurrent": 5}, None),
        (Refusal(Dimension.UNKNOWN, ""), {}, None),
    ],
)
def test_a_refusal_is_put_down_to_the_limit_that_it_is_about(refusal, levels, name):
    assert Learner(XERO).culprit(refusal, levels) == name


def test_what_the_system_tells_narrows_at_once_and_is_taken_back_at_once():
    learner = Learner(XERO)
    learner.told([ConcurrencyLimit(2), RateLimit(1_000, 86_400 * SECOND, "x")], 0)
    assert effective(learner) == {"60/min": 60, "5000/day": 1_000, "concurrent": 2}
    learner.told([ConcurrencyLimit(50), RateLimit(5_000, 86_400 * SECOND, "x")], 0)
    assert effective(learner) == {"60/min": 60, "5000/day": 5_000, "concurrent": 5}


def test_when_the_system_tells_more_again_a_trial_begins_at_once():
    learner = Learner([ConcurrencyLimit(15)])
    learner.told([ConcurrencyLimit(5)], 0)
    for level in (6, 5):
        learner.refused("concurrent", level, "429", 0)
    learner.told([ConcurrencyLimit(15)], SECOND)
    learner.fine({"concurrent": 4}, SECOND)
    assert effective(learner, SECOND) == {"concurrent": 5}


def test_what_others_use_is_ours_again_when_the_window_is_over():
    learner = Learner(XERO)
    learner.rooms([Room(Dimension.COUNT, 10, 60, 60)], {"60/min": 20}, {"60/min": 18}, 0)
    assert effective(learner, 59 * SECOND)["60/min"] == 28, "two of ours may have come after it was counted"
    assert effective(learner, 121 * SECOND)["60/min"] == 60


def test_what_our_own_calls_in_flight_explain_is_not_put_down_to_others():
    learner = Learner([RateLimit(600, 60 * SECOND, "600/min")])
    learner.rooms([Room(Dimension.COUNT, 100, 600, 60)], {"600/min": 500}, {"600/min": 495}, 0)
    assert effective(learner) == {"600/min": 600}


def test_what_was_learned_survives_a_change_of_the_ceiling_and_a_restart():
    learner = Learner(XERO)
    learner.refused("concurrent", 4, "429", 0)
    learner.set_ceilings((MINUTE, ConcurrencyLimit(9)), SECOND)
    assert effective(learner, SECOND) == {"60/min": 60, "concurrent": 3}
    again = Learner(XERO)
    again.restore({"concurrent": 3, "60/min": 90, "gone": 1}, 0)
    assert effective(again) == {"60/min": 60, "5000/day": 5_000, "concurrent": 3}


def test_the_first_pause_is_what_was_asked_and_a_refused_probe_waits_longer_each_time():
    pauses = Pauses()
    assert pauses.after(0, was_probe=False) == 0
    assert [pauses.after(0, was_probe=True) // SECOND for _ in range(4)] == [1, 2, 4, 8]
    assert pauses.after(90 * SECOND, was_probe=True) == 90 * SECOND, "never shorter than what was asked"
    pauses.fine()
    assert pauses.after(None, was_probe=False) == 5 * SECOND
    assert [pauses.after(None, was_probe=True) // SECOND for _ in range(5)] == [10, 20, 40, 60, 60]


def test_answers_three_times_as_slow_as_usual_narrow_the_calls_at_once_but_not_below_half():
    latency = Latency()
    assert [latency.measured(50) for _ in range(SEEN_MIN * 2)] == [None] * SEEN_MIN * 2
    alarms = [found for _ in range(500) if (found := latency.measured(500)) is not None]
    assert alarms
    assert all(factor > FACTOR for factor in alarms)
    learner = Learner([ConcurrencyLimit(9)])
    for _ in range(10):
        learner.slow(4.0, 0)
    assert effective(learner) == {"concurrent": 5}


def test_ordinary_jitter_is_no_alarm():
    latency = Latency()
    assert not [found for n in range(5_000) if (found := latency.measured(40 + n * 7 % 60)) is not None]


def admitted(governor, now):
    lease = governor.budget.admit(now)
    assert isinstance(lease, Lease), lease
    governor.admitted(lease, now)
    return lease


def test_a_governor_that_does_not_adapt_freezes_all_the_same():
    governor = Governor(Budget([FIVE]), 0, adapt=False)
    lease = admitted(governor, 0)
    until = governor.refused(lease, Reading(Refusal(Dimension.CONCURRENT, "full")), 3.0, "full", 0)
    governor.budget.ended(lease, 0, fine=False)
    assert until == 3 * SECOND
    assert governor.budget.limits == (FIVE,)
    assert [type(one) for one in governor.take_news()] == [Frozen]


def test_a_restored_freeze_holds_until_its_time_and_one_that_is_over_does_not():
    governor = Governor(Budget([FIVE]), 0)
    governor.restore({"concurrent": 2}, [Frozen(0, None, 5 * SECOND, "asked")], 2 * SECOND)
    assert governor.budget.obstacle(2 * SECOND).until_ns == 5 * SECOND
    assert governor.budget.limits[0].limit == 2
    fresh = Governor(Budget([FIVE]), 0)
    fresh.restore({}, [Frozen(0, None, SECOND, "asked")], 2 * SECOND)
    assert fresh.budget.obstacle(2 * SECOND) is None


def test_news_are_told_once():
    governor = Governor(Budget([FIVE]), 0)
    lease = admitted(governor, 0)
    governor.refused(lease, Reading(Refusal(Dimension.CONCURRENT, "full")), None, "full", 0)
    assert [type(one) for one in governor.take_news()] == [Frozen, Change]
    assert governor.take_news() == []


def test_a_burst_of_refusals_is_one_freeze_until_the_latest_time():
    governor = Governor(Budget([FIVE]), 0)
    leases = [admitted(governor, 0) for _ in range(3)]
    for now, lease in enumerate(leases):
        governor.refused(lease, Reading(Refusal(Dimension.CONCURRENT, "full")), 2.0, "full", now)
    assert [one.until_ns for one in governor.recent if isinstance(one, Frozen)] == [2 * SECOND + 2]
    assert governor.budget.frozen.until_ns == 2 * SECOND + 2


def test_a_reserve_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="0 to 90"):
        Learner(XERO, 91)
