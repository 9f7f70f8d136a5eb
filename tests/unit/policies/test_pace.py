"""The pace of the last minutes: new things count most, silence is heard, and a quiet night unlearns nothing."""

import pytest

from policies.pace import Pace

SECOND = 1_000_000_000


def steady(pace: Pace, per_second: int, seconds: int, begin: int = 0) -> int:
    for number in range(per_second * seconds):
        pace.arrived("standard", "a", (begin * per_second + number) * SECOND // per_second)
    return (begin + seconds) * SECOND


def call(pace: Pace, seconds: float, fine: bool = True) -> None:
    pace.started(0)
    pace.ended(0, round(seconds * SECOND), fine)


def test_a_steady_rate_is_told_as_it_is() -> None:
    pace = Pace(0)
    now_ns = steady(pace, 5, 600)
    assert pace.recent(now_ns).arrivals == {("standard", "a"): pytest.approx(5, rel=0.05)}


def test_a_rate_is_known_soon_after_the_start() -> None:
    pace = Pace(0)
    assert pace.recent(steady(pace, 5, 10)).arrivals["standard", "a"] == pytest.approx(5, rel=0.1)


def test_arrivals_that_ceased_are_soon_not_expected_any_more() -> None:
    pace = Pace(0)
    now_ns = steady(pace, 50, 20)
    assert pace.recent(now_ns).arrivals["standard", "a"] == pytest.approx(50, rel=0.1)
    assert pace.recent(now_ns + 5 * SECOND).arrivals["standard", "a"] < 2


def test_how_long_a_wave_goes_on_is_told_as_far_as_memory_goes() -> None:
    pace = Pace(0)
    now_ns = steady(pace, 2, 300)
    assert pace.recent(now_ns).wave_seconds == pytest.approx(300, rel=0.1)
    now_ns = steady(pace, 2, 5_000, begin=300)
    assert 2_000 < pace.recent(now_ns).wave_seconds <= 3_600


def test_calls_are_remembered_however_long_nothing_happens() -> None:
    pace = Pace(0)
    for _ in range(100):
        call(pace, 2.0)
    found = pace.recent(86_400 * SECOND)
    assert (found.service_seconds, found.failure_share) == (pytest.approx(2.0), 0)
    assert found.calls > 50


def test_the_newest_calls_count_most() -> None:
    pace = Pace(0)
    for number in range(1_000):
        call(pace, 1.0 if number < 500 else 3.0, fine=number < 500 or number % 2 == 0)
    found = pace.recent(SECOND)
    assert found.service_seconds > 2.7
    assert 0.4 < found.failure_share < 0.6


def test_nothing_is_known_of_nothing() -> None:
    found = Pace(0).recent(SECOND)
    assert (found.calls, found.arrivals, found.wave_seconds) == (0, {}, 0)


def test_calls_that_are_still_under_way_are_not_forgotten() -> None:
    pace = Pace(0)
    for seconds in (1.0, 1.0, 8.0, 8.0):
        pace.started(0)
        if seconds == 1.0:
            pace.ended(0, SECOND, fine=True)
    assert pace.recent(7 * SECOND).service_seconds > 4
