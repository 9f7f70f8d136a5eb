"""Promises of the order between lanes: urgent first, floors that hold in every run of picks, stated waits."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.lanes import LANES, LanePicker, LaneState

ALL = dict.fromkeys(LANES, True)
AVAILABLE = st.fixed_dictionaries({lane: st.booleans() for lane in LANES})
SEQUENCES = st.one_of(
    st.lists(AVAILABLE, max_size=120),
    st.lists(st.tuples(AVAILABLE, st.integers(1, 40)), max_size=12).map(
        lambda runs: [one for one, times in runs for _ in range(times)]
    ),
)
FLOORS = st.fixed_dictionaries({}, optional={"standard": st.integers(1, 33), "bulk": st.integers(1, 33)}).filter(
    lambda floors: sum(floors.values()) <= 50
)


def picks(floors, sequence):
    picker = LanePicker(floors)
    return [picker.pick(waiting) for waiting in sequence]


@given(FLOORS, SEQUENCES)
@settings(max_examples=400)
def test_the_floor_holds_in_every_run_of_picks_during_which_the_lane_waited(floors, sequence):
    picked = picks(floors, sequence)
    for lane, percent in floors.items():
        passed_over = 0
        for waiting, winner in zip(sequence, picked, strict=True):
            passed_over = passed_over + 1 if waiting[lane] and winner != lane else 0
            assert passed_over < 100 // percent


@given(FLOORS, SEQUENCES)
def test_something_that_waits_is_always_picked_and_nothing_else_is(floors, sequence):
    for waiting, winner in zip(sequence, picks(floors, sequence), strict=True):
        assert (winner is None) == (not any(waiting.values()))
        assert winner is None or waiting[winner]


@given(st.integers(1, 500))
def test_with_all_lanes_full_each_gets_its_floor_and_urgent_the_rest(length):
    picked = picks({"standard": 10, "bulk": 5}, [ALL] * length)
    assert length // 10 <= picked.count("standard") <= length // 10 + length // 90 + 1
    assert length // 20 <= picked.count("bulk") <= length // 20 + length // 180 + 1


@given(FLOORS, SEQUENCES)
def test_a_higher_lane_waits_only_for_a_lane_whose_floor_is_close(floors, sequence):
    picker = LanePicker(floors)
    for waiting in sequence:
        before = picker.snapshot().passed_over
        winner = picker.pick(waiting)
        if winner is not None and any(waiting[lane] for lane in LANES[: LANES.index(winner)]):
            assert before[winner] >= 100 // floors[winner] - len(floors)


@given(FLOORS, SEQUENCES, st.integers(0, 8))
@settings(max_examples=300)
def test_a_call_is_picked_within_the_stated_number_of_picks(floors, sequence, ahead):
    picker = LanePicker(floors)
    for lane in ["urgent", *floors]:
        bound = picker.wait_bound(lane, ahead)
        again = LanePicker(floors)
        for waiting in sequence:
            again.pick(waiting)
        served = sum(again.pick({**ALL, lane: True}) == lane for _ in range(bound))
        assert served >= ahead + 1


def test_the_head_of_each_lane_waits_as_the_docstring_says():
    picker = LanePicker()
    assert [picker.wait_bound(lane) for lane in LANES] == [3, 10, 20]


def test_a_lane_without_a_floor_has_no_bound():
    with pytest.raises(ValueError, match="no floor"):
        LanePicker({"standard": 10}).wait_bound("bulk")


def test_peeking_does_not_count():
    picker = LanePicker()
    before = picker.snapshot()
    assert picker.peek(ALL) == "urgent"
    assert picker.snapshot() == before


@given(SEQUENCES, SEQUENCES)
def test_a_snapshot_goes_on_as_if_nothing_had_happened(before, after):
    picker = LanePicker()
    for waiting in before:
        picker.pick(waiting)
    state = msgspec.json.decode(msgspec.json.encode(picker.snapshot()), type=LaneState)
    again = LanePicker(state=state)
    assert [again.pick(waiting) for waiting in after] == [picker.pick(waiting) for waiting in after]


@pytest.mark.parametrize(
    "floors", [{"urgent": 10}, {"slow": 10}, {"bulk": 0}, {"bulk": 34}, {"standard": 30, "bulk": 30}]
)
def test_floors_that_cannot_hold_are_refused(floors):
    with pytest.raises(ValueError, match="floor"):
        LanePicker(floors)
