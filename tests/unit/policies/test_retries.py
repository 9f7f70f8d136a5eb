"""Promises about repeating: a failing system gets at most a tenth more, then a rest, then one probe."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.retries import Blocked, Breaker, Pass, RetryBudget

SECOND = 1_000_000_000


@given(st.lists(st.booleans(), max_size=2000), st.integers(0, 50))
def test_under_total_failure_calls_stay_within_the_ratio_of_first_calls(tries, percent):
    budget, first, retried = RetryBudget(percent), 0, 0
    for is_retry in tries:
        if not is_retry:
            budget.first_call()
            first += 1
        elif budget.take(first * SECOND, first_waits=True):
            retried += 1
        assert 100 * (first + retried) <= (100 + percent) * first


def test_the_last_failed_call_is_not_stuck_for_ever():
    budget = RetryBudget(trickle_ns=10 * SECOND)
    sent = [second for second in range(60) if budget.take(second * SECOND, first_waits=False)]
    assert sent == [0, 10, 20, 30, 40, 50]


def test_a_system_that_works_again_may_be_asked_again():
    budget = RetryBudget()
    budget.succeeded()
    assert budget.take(0, first_waits=True)
    assert not budget.take(0, first_waits=True)


def test_a_good_day_does_not_pay_for_a_storm():
    budget = RetryBudget(saved_max=3)
    for _ in range(1000):
        budget.succeeded()
    assert [budget.take(0, first_waits=True) for _ in range(5)] == [True, True, True, False, False]


def opened(failures=5, now=0):
    breaker = Breaker(failures)
    for _ in range(failures):
        breaker.failed(breaker.permit(now), now, 0.0)
    return breaker


def test_failures_in_a_row_open_the_breaker_and_a_success_between_does_not_let_them():
    breaker = Breaker(3)
    for _ in range(5):
        breaker.failed(Pass(), 0, 0.0)
        breaker.failed(Pass(), 0, 0.0)
        breaker.succeeded(Pass())
    assert not breaker.open
    assert opened(3).open


def test_an_open_breaker_lets_exactly_one_probe_through_after_the_rest():
    breaker = opened()
    assert breaker.permit(15 * SECOND - 1) == Blocked(15 * SECOND, "5 failures in a row; the system gets a rest")
    assert breaker.permit(15 * SECOND) == Pass(probe=True)
    assert breaker.permit(15 * SECOND).until_ns is None
    assert breaker.permit(999 * SECOND).until_ns is None


def test_a_fine_probe_closes_it_and_a_failed_one_gives_a_longer_rest():
    breaker = opened()
    breaker.failed(breaker.permit(15 * SECOND), 15 * SECOND, 0.0)
    assert breaker.permit(16 * SECOND).until_ns == 45 * SECOND
    breaker.succeeded(breaker.permit(45 * SECOND))
    assert breaker.permit(45 * SECOND) == Pass()


def test_ends_of_calls_from_before_change_nothing():
    breaker = opened()
    breaker.failed(Pass(), 10 * SECOND, 0.0)
    breaker.succeeded(Pass())
    assert breaker.open
    assert isinstance(breaker.permit(15 * SECOND), Pass)


def test_a_probe_that_was_not_sent_makes_room_for_another():
    breaker = opened()
    breaker.unsent(breaker.permit(15 * SECOND))
    assert breaker.permit(15 * SECOND) == Pass(probe=True)


def test_ten_minutes_of_503_at_full_load_cost_a_handful_of_calls():
    """Fault F51: five in flight, ten a second allowed, everything fails for ten minutes."""
    breaker, budget, random = Breaker(), RetryBudget(), Random(7)
    first = retries = probes = 0
    for tick in range(6000):
        now = tick * SECOND // 10
        passage = breaker.permit(now)
        if isinstance(passage, Pass):
            probes += passage.probe
            if budget.take(now, first_waits=True):
                retries += 1
            else:
                budget.first_call()
                first += 1
            breaker.failed(passage, now, random.random())
    assert first + retries <= 1.1 * first
    assert probes == first + retries - 5
    assert probes <= 10


@pytest.mark.parametrize("make", [lambda: Breaker(0), lambda: RetryBudget(-1), lambda: RetryBudget(saved_max=0)])
def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match=r"failures_max|too small"):
        make()
