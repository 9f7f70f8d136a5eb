"""Promises of the door: it closes at the high mark, opens at the low one, and says when to come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.lanes import LANES
from policies.watermarks import Accept, Refuse, Watermarks, at_the_door, marks_of_lanes

SECOND = 1_000_000_000
MARKS = Watermarks(waiting_high=100, waiting_low=60, age_high_ns=50 * SECOND, age_low_ns=20 * SECOND)


def door(waiting, refusing=False, age=0, drained=10.0):
    return at_the_door(MARKS, refusing, waiting, age * SECOND, drained)


def test_the_door_closes_at_the_high_mark_and_opens_at_the_low_one():
    assert isinstance(door(99), Accept)
    assert isinstance(door(100), Refuse)
    assert isinstance(door(61, refusing=True), Refuse)
    assert isinstance(door(60, refusing=True), Accept)


def test_a_refusal_says_when_the_low_mark_will_be_reached():
    assert door(100).come_back_seconds == 4
    assert door(101, drained=2.0).come_back_seconds == 21


def test_a_line_that_does_not_move_says_the_longest_time():
    assert door(100, drained=0.0).come_back_seconds == 3600


def test_old_work_closes_the_door_too():
    assert door(10, age=50) == Refuse(1, "the oldest item waits for 50 s; that is too long to take more")
    assert isinstance(door(10, age=21, refusing=True), Refuse)
    assert isinstance(door(10, age=20, refusing=True), Accept)
    assert isinstance(door(0, age=99), Accept)


def test_a_line_that_hardly_moves_says_the_longest_time():
    assert door(100, drained=5e-324).come_back_seconds == 3600


@given(st.booleans(), st.integers(0, 10**9), st.integers(0, 10**9), st.floats(allow_nan=False))
def test_a_come_back_time_is_always_between_a_second_and_the_longest(refusing, waiting, age, drained):
    decision = door(waiting, refusing, age, drained)
    assert isinstance(decision, Accept) or 1 <= decision.come_back_seconds <= 3600


@pytest.mark.parametrize("wrong", [(10, 10), (10, -1), (10, 5, 5, 5)])
def test_marks_in_the_wrong_order_are_refused(wrong):
    with pytest.raises(ValueError, match="expected 0 <= low < high"):
        Watermarks(*wrong)


def test_a_lower_lane_closes_first_and_opens_last():
    marks = marks_of_lanes(1_000, 600, {"standard": 90, "bulk": 80})
    highs = [marks[lane].waiting_high for lane in LANES]
    lows = [marks[lane].waiting_low for lane in LANES]
    assert (highs, lows) == ([1_000, 900, 800], [600, 540, 480])


def test_marks_that_leave_no_way_back_are_refused():
    with pytest.raises(ValueError, match="expected 0 <= low < high"):
        marks_of_lanes(10, 10, {})
