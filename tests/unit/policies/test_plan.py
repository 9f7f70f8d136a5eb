"""A day's limit says hours ahead when it will be dry, and keeps a part for what is urgent."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.plan import SpendBook, keeps_for, may_spend, outlook

SECOND = 1_000_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
KEEP = {"standard": 5, "bulk": 20}


def spending(per_hour, since_hour, until_hour):
    book = SpendBook(DAY)
    for minute in range(since_hour * 60, until_hour * 60):
        units = per_hour * (minute + 1) // 60 - per_hour * minute // 60
        book.spent(minute * 60 * SECOND, units)
        book.came(minute * 60 * SECOND, units)
    return book


def test_at_nine_it_says_that_sixteen_will_be_dry():
    book = spending(500, 6, 9)
    plan = outlook("5000/day", 5_000, book, waiting=0, now_ns=9 * HOUR)
    assert plan.used == 1_500
    assert plan.pace == pytest.approx(500, rel=0.02)
    assert plan.dry_in_ns == pytest.approx(7 * HOUR, abs=HOUR // 6), "16:00"
    assert plan.free_in_ns == pytest.approx(21 * HOUR, abs=HOUR // 6), "06:00, when the first of today leaves"


def test_a_backlog_that_waits_makes_it_dry_sooner():
    book = spending(500, 6, 9)
    plan = outlook("5000/day", 5_000, book, waiting=2_000, now_ns=9 * HOUR)
    assert plan.dry_in_ns is not None
    assert plan.dry_in_ns < 4 * HOUR
    slower = outlook("5000/day", 5_000, book, waiting=2_000, now_ns=9 * HOUR, fastest_per_hour=600)
    assert slower.dry_in_ns == pytest.approx(3_500 / 600 * HOUR, abs=HOUR // 6)


def test_a_day_that_suffices_is_not_called_dry():
    plan = outlook("5000/day", 5_000, spending(200, 0, 24), waiting=10, now_ns=24 * HOUR)
    assert (plan.dry_in_ns, plan.free_in_ns, plan.short) == (None, None, 0)


def test_what_is_short_is_counted():
    plan = outlook("100/day", 100, SpendBook(DAY), waiting=1_000, now_ns=0)
    assert plan.dry_in_ns is not None
    assert plan.short == 900


def test_a_month_is_planned_like_a_day():
    book = SpendBook(30 * DAY)
    for hour in range(10 * 24):
        book.spent(hour * HOUR, 300)
        book.came(hour * HOUR, 300)
    plan = outlook("100000/month", 100_000, book, waiting=0, now_ns=10 * DAY)
    assert plan.dry_in_ns == pytest.approx(28_000 / 300 * HOUR, rel=0.1)


def test_lower_lanes_leave_a_part_of_the_day_to_the_lanes_above():
    used = [u for u in range(101) if may_spend("bulk", u, 100, KEEP)]
    assert max(used) == 79
    assert keeps_for("urgent", 100, KEEP) == 0
    assert may_spend("standard", 94, 100, KEEP)
    assert not may_spend("standard", 95, 100, KEEP)
    assert may_spend("urgent", 99, 100, KEEP)


@given(
    st.lists(st.tuples(st.integers(0, 24 * 60 - 1), st.integers(1, 50)), max_size=60),
    st.integers(1, 3_000),
    st.integers(0, 5_000),
)
def test_a_plan_is_never_dry_before_it_could_be_and_more_waiting_never_makes_it_later(spends, allowed, waiting):
    book = SpendBook(DAY)
    for minute, units in sorted(spends):
        book.spent(minute * 60 * SECOND, units)
    plans = [outlook("l", allowed, book, more, DAY, fastest_per_hour=600) for more in (waiting, waiting + 500)]
    for plan in plans:
        if plan.dry_in_ns is not None:
            assert plan.dry_in_ns * 600 / HOUR >= min(plan.waiting, allowed - plan.used) - 51
            assert plan.free_in_ns >= plan.dry_in_ns
    first, second = (plan.dry_in_ns for plan in plans)
    assert first is None or (second is not None and second <= first)


def test_the_buckets_cover_the_window_and_forget_what_left_it():
    book = spending(600, 0, 48)
    ends = [at for at, _ in book.buckets(48 * HOUR)]
    assert all(earlier < later for earlier, later in pairwise(ends))
    assert sum(units for _, units in book.buckets(48 * HOUR)) == pytest.approx(600 * 24, rel=0.01)
