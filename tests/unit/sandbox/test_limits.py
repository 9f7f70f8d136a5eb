"""The ERP's own limits, exact at their edges."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.sandbox.admission import Admission, RateWindow
from ops.sandbox.limits import (
    PROFILES_PATH,
    SECOND_NS,
    Concurrent,
    Execution,
    LimitError,
    Rate,
    load_profile,
    parse_limit,
)

PROFILES = [*tomllib.loads(PROFILES_PATH.read_text()), "custom"]


def test_a_call_exactly_one_window_after_the_first_has_room() -> None:
    window = RateWindow(Rate(2, 1))
    assert [window.arrive(at) for at in (0, 0)] == [0, 0]
    assert window.arrive(SECOND_NS) == 0


def test_a_call_one_nanosecond_before_that_has_none() -> None:
    window = RateWindow(Rate(2, 1))
    assert [window.arrive(at) for at in (0, 0)] == [0, 0]
    assert window.arrive(SECOND_NS - 1) > 0


def test_a_refused_call_counts_as_an_arrival() -> None:
    window = RateWindow(Rate(1, 1))
    window.arrive(0)
    assert window.arrive(SECOND_NS // 2) > 0
    assert window.arrive(SECOND_NS) > 0
    assert window.arrive(2 * SECOND_NS) == 0


def test_the_wait_that_a_refusal_tells_is_just_enough() -> None:
    window = RateWindow(Rate(2, 1))
    for at in (0, 10):
        window.arrive(at)
    wait_ns = window.arrive(20)
    assert window.arrive(20 + wait_ns) == 0


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 5))
def test_the_window_agrees_with_counting_every_arrival(gaps: list[int], limit: int) -> None:
    window = RateWindow(Rate(limit, 1))
    arrivals: list[int] = []
    for gap in gaps:
        arrivals.append((arrivals[-1] if arrivals else 0) + gap * SECOND_NS // 20)
        inside = sum(arrived > arrivals[-1] - SECOND_NS for arrived in arrivals)
        assert (window.arrive(arrivals[-1]) == 0) == (inside <= limit)


def test_a_slot_is_free_again_when_its_call_has_ended() -> None:
    admission = Admission([Concurrent(1)])
    assert admission.arrive(0) is None
    refusal = admission.arrive(1)
    assert refusal is not None
    assert refusal.code == "concurrency.exceeded"
    admission.end(0, 2)
    assert admission.arrive(2) is None


def test_execution_seconds_count_calls_that_ended_and_calls_in_progress() -> None:
    admission = Admission([Execution(10, 300)])
    assert admission.arrive(0) is None
    admission.end(0, 6 * SECOND_NS)
    assert admission.arrive(6 * SECOND_NS) is None
    assert admission.arrive(10 * SECOND_NS - 1) is None
    refusal = admission.arrive(10 * SECOND_NS)
    assert refusal is not None
    assert refusal.code == "execution.exceeded"


def test_execution_seconds_leave_the_window_with_the_end_of_their_call() -> None:
    admission = Admission([Execution(10, 300)])
    admission.remember([], [(0, 10 * SECOND_NS, "post", None)])
    assert admission.arrive(310 * SECOND_NS - 1) is not None
    assert admission.arrive(310 * SECOND_NS) is None


def test_a_limit_of_one_operation_counts_no_other() -> None:
    admission = Admission([Rate(3, 60), Rate(1, 60, "post"), Concurrent(1, "find")])
    assert admission.arrive(0, "post") is None
    refusal = admission.arrive(1, "post")
    assert refusal is not None
    assert (refusal.code, refusal.rule) == ("rate.exceeded", "post")
    assert admission.arrive(2, "find") is None
    assert admission.arrive(3, "other") is not None
    admission.end(2, 3, "find")
    assert admission.arrive(61 * SECOND_NS, "find") is None


def test_each_object_has_its_limit_for_itself() -> None:
    admission = Admission([Rate(1, 60, None, "object"), Concurrent(5)])
    for account in ("A", "B"):
        assert admission.arrive(0) is None
        assert admission.touch(0, "post", account) is None
        admission.end(0, 5, "post", account)
    assert admission.arrive(6) is None
    refusal = admission.touch(6, "post", "A")
    assert refusal is not None
    assert refusal.rule == "object"
    admission.end(6, 7)
    assert admission.in_progress == 0
    assert admission.touch(61 * SECOND_NS, "post", "A") is None


def test_a_call_refused_for_its_object_takes_no_slot_of_it() -> None:
    admission = Admission([Rate(1, 60, None, "object"), Concurrent(1, None, "object")])
    assert admission.touch(0, "post", "A") is None
    assert admission.touch(1, "post", "A") is not None
    admission.arrive(0)
    admission.end(0, 2, "post", "A")
    assert admission.touch(70 * SECOND_NS, "post", "A") is None


def test_bodies_read_in_another_order_than_their_calls_arrived_are_counted_all_the_same() -> None:
    window = RateWindow(Rate(2, 1))
    assert [window.arrive(at) for at in (10, 5)] == [0, 0]
    assert window.arrive(8) > 0


def test_what_earlier_processes_saw_of_an_object_is_not_forgotten() -> None:
    admission = Admission([Rate(2, 60, "post", "object")])
    admission.remember([(0, "post"), (1, "post")], [(0, 5, "post", "A"), (1, 5, "post", "B")])
    assert admission.touch(10, "post", "A") is None
    assert admission.touch(11, "post", "A") is not None
    assert admission.touch(11, "post", "B") is None


def test_every_window_sees_a_call_that_another_one_refused() -> None:
    admission = Admission([Rate(1, 1), Rate(2, 60)])
    assert admission.arrive(0) is None
    assert admission.arrive(1) is not None
    assert admission.arrive(5 * SECOND_NS) is not None


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("10/1s", Rate(10, 1)),
        ("6000/300s", Rate(6_000, 300)),
        ("60/min", Rate(60, 60)),
        ("5000/day", Rate(5_000, 86_400)),
        ("5 concurrent", Concurrent(5)),
        ("1200 execution-seconds/300s", Execution(1_200, 300)),
        ("100000/month", Rate(100_000, 31 * 86_400)),
        ("post: 300/min", Rate(300, 60, "post")),
        ("find: 2 concurrent", Concurrent(2, "find")),
        ("30/10min per object", Rate(30, 600, None, "object")),
        ("post: 1 concurrent per object", Concurrent(1, "post", "object")),
    ],
)
def test_limits_are_written_in_words(text: str, limit: object) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize("text", ["", "10", "10/s/s", "0/1s", "10/0s", "0 concurrent", "ten/1s", "-1/1s"])
def test_a_limit_that_is_not_understood_says_how_to_write_one(text: str) -> None:
    with pytest.raises(LimitError, match="write '10/1s'"):
        parse_limit(text)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_found_by_name(name: str) -> None:
    assert load_profile(name).profile == name


def test_limits_can_be_added_to_a_profile() -> None:
    assert load_profile("small", ["3/min"]).limits == (Rate(10, 1), Concurrent(5), Rate(3, 60))


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(LimitError, match="business-central"):
        load_profile("sap")
