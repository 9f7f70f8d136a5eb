"""Promises of the sum behind every window: never less than the truth, hardly more, and small."""

from bisect import bisect_right
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.budget_sum import FINENESS, SlidingSum

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=40), st.integers(-1, 51), st.integers(1, 99))
def test_a_short_sum_is_what_counting_gives(arrivals, instant, units):
    found = SlidingSum()
    for at, more in arrivals:
        found.add(at, more)
    assert found.after(instant) == sum(more for at, more in arrivals if at > instant)
    reached = [at for at in range(51) if sum(more for its, more in arrivals if its <= at) >= units]
    assert found.reaches(units) == (reached[0] if reached else None)


@given(st.integers(0, 2**32), st.sampled_from([0.001, 0.1, 5.0]))
@settings(max_examples=25, deadline=None)
def test_a_thinned_sum_counts_a_call_never_shorter_and_hardly_longer(seed, mean_seconds):
    random, found, now, arrivals = Random(seed), SlidingSum(steps_exact=64), 0, []
    for _ in range(6_000):
        now += int(random.expovariate(1 / mean_seconds) * SECOND)
        arrivals.append(now)
        found.add(now, 1)
        found.thin(now)
    assert len(found) < len(arrivals)
    for _ in range(200):
        span = random.randrange(1, now)
        told = found.after(now - span)
        assert _after(arrivals, now - span) <= told <= _after(arrivals, now - span - span // FINENESS - 1)


def _after(arrivals, instant):
    return len(arrivals) - bisect_right(arrivals, instant)


def test_late_news_is_put_where_it_belongs_in_a_thinned_sum():
    found = SlidingSum(steps_exact=16)
    for second in range(5_000):
        found.add(second * SECOND, 1)
        found.thin(second * SECOND)
    before = found.after(4_000 * SECOND)
    found.add(4_500 * SECOND + 1, 7)
    found.add(3_000 * SECOND, 5)
    assert found.after(4_000 * SECOND) == before + 7
    assert found.total == 5_012


def test_a_hundred_days_at_full_speed_take_some_thousand_steps():
    found, now = SlidingSum(), 0
    for _ in range(200_000):  # 43 s apart: 2,000 a day; what counts is the ratio of the window to the gap
        now += 43 * SECOND
        found.add(now, 13_500)
        found.thin(now)
    assert len(found) < 20_000
    exact = 13_500 * (31 * DAY // (43 * SECOND))
    assert exact <= found.after(now - 31 * DAY) <= exact * (1 + 2 / FINENESS)


def test_what_is_forgotten_leaves_the_rest_as_it_was():
    found = SlidingSum()
    for at in range(600):
        found.add(at, 2)
    assert found.forget(400, at_least=256) == 400
    assert (len(found), found.total, found.after(500)) == (199, 1200, 198)
    assert found.forget(450, at_least=256) is None
