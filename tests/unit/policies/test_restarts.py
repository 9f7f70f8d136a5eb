"""Promises of the restart arithmetic: OTP's limit, and delays that grow and differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.restarts import Backoff, Escalate, Restart, RestartCounter, RestartLimit

SECOND = 1_000_000_000
UNIT = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 5), st.integers(1, 100), st.lists(st.integers(0, 30), max_size=60))
def test_no_period_ever_holds_more_restarts_than_the_limit(count, period, gaps):
    counter, now, restarts = RestartCounter(RestartLimit(count, period)), 0, []
    for gap in gaps:
        now += gap
        recent = [at for at in restarts if now - at < period]
        decision = counter.record(now, 0.0)
        assert isinstance(decision, Escalate) == (len(recent) >= count)
        if isinstance(decision, Restart):
            restarts.append(now)
            assert decision.number == len(recent) + 1


@given(st.integers(1, 10**9), st.integers(1, 10**12), st.integers(1, 10_000), UNIT)
def test_a_delay_keeps_half_of_the_exponential_and_never_passes_the_cap(base, cap, attempt, random):
    whole = min(cap, base * 2 ** (attempt - 1))
    assert whole // 2 <= Backoff(base, cap).delay_ns(attempt, random) <= whole


def test_two_children_that_crash_together_do_not_return_together():
    backoff = Backoff()
    assert backoff.delay_ns(3, 0.1) != backoff.delay_ns(3, 0.9)


def test_an_escalation_says_why():
    counter = RestartCounter(RestartLimit(1, 5 * SECOND))
    counter.record(0, 0.0)
    assert counter.record(1, 0.0) == Escalate("a crash after 1 restarts in 5 s; the limit is 1")


def test_crashes_far_apart_never_escalate():
    counter = RestartCounter(RestartLimit(1, SECOND))
    assert all(isinstance(counter.record(n * SECOND, 0.0), Restart) for n in range(100))


@pytest.mark.parametrize(
    "make",
    [
        lambda: RestartLimit(-1, 1),
        lambda: RestartLimit(1, 0),
        lambda: Backoff().delay_ns(0, 0.5),
        lambda: Backoff().delay_ns(1, 1.0),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()
