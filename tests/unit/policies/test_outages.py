"""A daemon that is away again and again: what is expected of it holds as often as it says."""

from random import Random

import pytest

from policies.outages import NONE, Accidents, lost_seconds
from policies.pace import Pace

SECOND = 1_000_000_000


def test_what_never_happened_is_not_expected() -> None:
    accidents = Accidents()
    accidents.passed(3_600.0)
    assert accidents.lately() == NONE
    assert lost_seconds(NONE, 1_000.0) == (0, 0, 0)


def test_one_accident_is_forgotten_and_a_series_is_expected_to_go_on() -> None:
    accidents = Accidents()
    accidents.passed(3_600.0)
    accidents.happened(7.0)
    _, likely, high = lost_seconds(accidents.lately(), 60.0)
    assert likely < 1 < high < 7
    accidents.passed(3_600.0)
    assert accidents.lately() == NONE
    for _ in range(5):
        accidents.passed(20.0)
        accidents.happened(7.0)
    low, likely, _ = lost_seconds(accidents.lately(), 600.0)
    assert 0 < low < likely
    assert accidents.lately().mean_seconds == pytest.approx(7.0)


def test_the_interval_holds_for_accidents_at_random_moments() -> None:
    """Each seed: a daemon that works off a backlog, is killed now and then, and is asked half a minute to ten on."""
    random, held, asked = Random(11), 0, 0
    while asked < 600:
        every, away, work = random.uniform(15, 120), random.uniform(2, 10), random.uniform(30, 300)
        accidents, begun = Accidents(), random.uniform(30, 600)
        left = begun
        while (quiet := random.expovariate(1 / every)) < left:
            accidents.passed(quiet)
            accidents.happened(away)
            left -= quiet
        accidents.passed(left)
        if not accidents.count:
            continue
        truth, at = work, random.expovariate(1 / every)
        while at < work:
            truth += away
            at += random.expovariate(1 / every)
        low, _, high = lost_seconds(accidents.lately(), work)
        held += work + low <= truth <= work + high
        asked += 1
    assert 0.72 <= held / asked <= 0.95


def test_pace_goes_on_after_a_restart_as_if_it_had_not_been() -> None:
    pace = Pace(0)
    for number in range(600):
        pace.arrived("standard", "a", number * SECOND // 10)
        pace.started(number * SECOND // 10)
        pace.ended(number * SECOND // 10, number * SECOND // 10 + 2 * SECOND, True)
    before = pace.recent(60 * SECOND)
    follower = Pace(5 * SECOND)
    follower.restore(pace.snapshot(60 * SECOND), 7.0, 5 * SECOND, missed=True)
    after = follower.recent(5 * SECOND)
    assert after.arrivals == {("standard", "a"): pytest.approx(before.arrivals["standard", "a"], rel=0.01)}
    assert (after.service_seconds, after.calls) == (before.service_seconds, before.calls)
    assert after.wave_seconds == pytest.approx(before.wave_seconds, rel=0.01)
    assert after.outages.mean_seconds == pytest.approx(7.0)
    assert after.outages.per_second == pytest.approx(1 / 60, rel=0.1)


def test_after_a_long_time_away_nothing_is_taken_to_come_in_still() -> None:
    pace = Pace(0)
    for number in range(600):
        pace.arrived("standard", "a", number * SECOND // 10)
    follower = Pace(0)
    follower.restore(pace.snapshot(60 * SECOND), 3_600.0, 0, missed=False)
    assert sum(follower.recent(SECOND).arrivals.values()) < 0.1
    assert follower.recent(SECOND).outages == NONE
