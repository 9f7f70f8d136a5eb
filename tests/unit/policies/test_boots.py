"""Instants of earlier boots, whatever the wall clock did meanwhile."""

from hypothesis import given
from hypothesis import strategies as st

from policies.boots import Boot, shifts

SECOND = 1_000_000_000
HOUR = 3_600
DAY = 24 * HOUR


def boot(name, first_s, last_s, offset_s):
    """A boot known from `first_s` to `last_s` of its own clock; its wall clock is ahead of that by `offset_s`."""
    first, last = int(first_s * SECOND), int(last_s * SECOND)
    return Boot(name, first, first // 1000 + offset_s * 1_000_000, last, last // 1000 + offset_s * 1_000_000)


def test_the_wall_clock_tells_only_how_long_the_machine_was_off():
    old, now = boot("old", 100, 500, 0), boot("now", 10, 20, 1_000)
    # off from 500 to 1,010 by the wall: the last call of the old boot was 520 s ago
    assert shifts([old], now)["old"] + 500 * SECOND == 10 * SECOND - 510 * SECOND


def test_a_jump_of_the_wall_clock_within_an_earlier_boot_makes_nothing_look_older():
    jumped = Boot("old", 0, 0, 500 * SECOND, (DAY + 500) * 1_000_000)
    now = boot("now", 10, 20, DAY + 500)
    assert shifts([jumped], now)["old"] + 500 * SECOND == 0


def test_time_that_went_back_while_the_machine_was_off_counts_as_none():
    old, now = boot("old", 0, 500, 10 * DAY), boot("now", 5, 6, 0)
    assert shifts([old], now)["old"] + 500 * SECOND == 5 * SECOND


def test_boots_are_chained_one_to_the_next():
    first, second, now = boot("a", 0, 100, 0), boot("b", 5, 55, 200), boot("c", 1, 2, 400)
    found = shifts([first, second], now)
    assert found["c"] == 0
    assert found["b"] + 55 * SECOND == (1 - 146) * SECOND  # off from 255 to 401
    assert found["a"] + 100 * SECOND == found["b"] + 5 * SECOND - 105 * SECOND  # off from 100 to 205


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-(10**6), 10**6)), max_size=5))
def test_an_earlier_boot_is_never_later_than_a_later_one(parts):
    boots = [boot(str(n), first, first + length, offset) for n, (first, length, offset) in enumerate(parts)]
    now = boot("now", 3, 9, 0)
    found = shifts(boots, now)
    ends = [found[one.id] + one.last_ns for one in boots]
    assert ends == sorted(ends)
    assert all(end <= 3 * SECOND for end in ends)
