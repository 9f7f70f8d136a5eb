"""Forecasts: exact where nothing is uncertain, wider where something is, honest about never, quick at a million."""

from collections.abc import Mapping
from math import inf

import pytest

from policies.budget import Budget, ConcurrencyLimit, RateLimit
from policies.forecast import Forecast, Pause, Situation, drain_seconds, forecast
from policies.pace import Recent

SECOND = 1_000_000_000
CALM = Recent(service_seconds=0.05, service_deviation=0.0, calls=1_000.0)
TEN = RateLimit(10, SECOND, "10/1s")


def told(
    waiting: Mapping[tuple[str, str], int], *limits: RateLimit | ConcurrencyLimit, recent: Recent = CALM, **more: object
) -> Forecast:
    situation = Situation(waiting=waiting, recent=recent, **more)  # type: ignore[arg-type]
    return forecast(situation, Budget(limits or (TEN,)), 0)


def test_a_rate_alone_leaves_no_doubt() -> None:
    found = told({("standard", "a"): 1_000})
    assert found.total.likely == pytest.approx(100, rel=0.01)
    assert found.total.low is not None
    assert found.total.high is not None
    assert found.total.high - found.total.low < 0.05 * 100
    assert found.calls_per_second == pytest.approx(10, rel=0.02)


def test_slots_and_the_length_of_calls_bound_it_too() -> None:
    slow = Recent(service_seconds=2.0, service_deviation=0.5, calls=200.0)
    found = told({("standard", "a"): 1_000}, ConcurrencyLimit(5), recent=slow)
    assert found.total.likely == pytest.approx(400, rel=0.02)
    assert found.total.low is not None
    assert found.total.high is not None
    assert found.total.low < 380 < 430 < found.total.high


def test_slots_in_use_are_still_slots() -> None:
    slow = Recent(service_seconds=2.0, service_deviation=0.5, calls=200.0)
    budget = Budget((ConcurrencyLimit(5), RateLimit(6_000, 300 * SECOND, "6000/300s")))
    for _ in range(5):
        budget.admit(0)
    found = forecast(Situation(waiting={("bulk", "a"): 1_000}, recent=slow), budget, SECOND)
    assert found.total.likely == pytest.approx(400, rel=0.02)


def test_lanes_and_tenants_are_done_in_the_order_that_is_kept() -> None:
    found = told({("urgent", "a"): 50, ("standard", "b"): 50, ("bulk", "c"): 500, ("bulk", "d"): 20})
    ends = [found.lanes[lane].likely for lane in ("urgent", "standard", "bulk")]
    assert None not in ends
    assert ends == sorted(ends, key=lambda end: end or 0)
    assert (found.tenants["d"].likely or 0) < (found.tenants["c"].likely or 0)
    assert (found.total.waiting, found.total.likely) == (620, found.lanes["bulk"].likely)


def test_what_was_spent_already_is_counted() -> None:
    budget = Budget((RateLimit(100, 60 * SECOND, "100/60s"),))
    for _ in range(100):
        budget.ended(budget.admit(0), 0)  # type: ignore[arg-type]
    found = forecast(Situation(waiting={("bulk", "a"): 10}, recent=CALM), budget, 10 * SECOND)
    assert found.total.likely == pytest.approx(50, abs=1)


def test_repeats_take_their_part_of_the_budget() -> None:
    failing = Recent(service_seconds=0.05, service_deviation=0.0, calls=1_000.0, failure_share=0.5)
    assert told({("bulk", "a"): 100}, recent=failing).total.likely == pytest.approx(22, rel=0.15)


def test_arrivals_above_delay_the_lanes_below_and_widen_what_is_told() -> None:
    coming = Recent(0.05, 0.0, 1_000.0, 0.0, {("urgent", "b"): 5.0}, 600.0)
    quiet, busy = told({("bulk", "a"): 100}), told({("bulk", "a"): 100}, recent=coming)
    assert (busy.total.likely or 0) > 1.7 * (quiet.total.likely or inf)
    assert _width(busy) > _width(quiet)


def _width(found: Forecast) -> float:
    return (found.total.high or inf) - (found.total.low or 0)


def test_a_pause_shifts_what_it_holds_and_lets_the_others_go_first() -> None:
    waiting = {("bulk", "a"): 100, ("bulk", "b"): 100}
    found = told(waiting, pauses=(Pause(60.0, tenant="a"),))
    assert found.tenants["b"].likely == pytest.approx(10, rel=0.1)
    assert found.tenants["a"].likely == pytest.approx(70, rel=0.05)


def test_a_pause_of_everything_shifts_everything() -> None:
    found = told({("bulk", "a"): 100}, pauses=(Pause(60.0),))
    assert found.total.likely == pytest.approx(70, rel=0.05)
    assert 60 < (found.total.low or 0) < (found.total.high or inf) < 73, "its end is no matter of chance"


def test_what_a_person_holds_has_no_time() -> None:
    found = told({("bulk", "a"): 100, ("urgent", "b"): 100}, pauses=(Pause(inf, lane="bulk"),))
    assert found.lanes["bulk"].likely is None
    assert found.total.likely is None
    assert found.lanes["urgent"].likely == pytest.approx(9, abs=0.5)


def test_nothing_waiting_is_done_now() -> None:
    assert told({}).total.likely == 0


def test_ten_thousand_tenants_and_a_million_calls_are_told_one_by_one() -> None:
    waiting = {
        (lane, f"t{number}"): 20 + number % 30 for lane in ("urgent", "standard", "bulk") for number in range(10_000)
    }
    found = told(waiting)
    assert len(found.tenants) == 10_000
    assert found.total.waiting == sum(waiting.values()) > 1_000_000
    assert found.total.likely == pytest.approx(found.total.waiting / 10, rel=0.01)


def test_the_short_form_is_the_long_one_without_lanes() -> None:
    budget = Budget((TEN,))
    assert drain_seconds(budget, 0, 1_000, CALM) == pytest.approx(told({("bulk", "a"): 1_000}).total.likely, rel=0.02)


def test_a_time_that_is_closed_later_is_waited_for_when_it_comes() -> None:
    later = Pause(80.0, begins=20.0)
    assert told({("bulk", "a"): 100}, pauses=(later,)).total.likely == pytest.approx(10, abs=1)
    assert told({("bulk", "a"): 300}, pauses=(later,)).total.likely == pytest.approx(90, rel=0.05)
    twice = (later, Pause(200.0, begins=90.0))
    assert told({("bulk", "a"): 400}, pauses=twice).total.likely == pytest.approx(210, rel=0.05)


def test_where_a_person_has_to_act_first_the_work_after_that_is_told() -> None:
    found = told({("bulk", "a"): 100, ("bulk", "b"): 300}, pauses=(Pause(inf, tenant="a"),))
    assert (found.total.likely, found.tenants["a"].likely) == (None, None)
    assert found.total.work == pytest.approx(40, rel=0.05)
    assert found.tenants["a"].work == pytest.approx(20, rel=0.1)
    assert found.tenants["b"].work is None
    assert found.tenants["b"].likely == pytest.approx(30, rel=0.05)


def test_messages_that_are_at_hand_are_not_a_surprise() -> None:
    coming = Recent(0.05, 0.0, 1_000.0, 0.0, {("urgent", "b"): 5.0}, 1.0)
    short, long = (told({("bulk", "a"): 100}, recent=coming, to_come=count) for count in (0, 500))
    assert (long.total.likely or 0) > 1.7 * (short.total.likely or inf)
    assert (long.total.low or 0) > (short.total.high or inf)


def test_calls_of_unknown_outcome_are_waited_for() -> None:
    asked = {("standard", "a"): 30.0}
    found = told({("bulk", "b"): 10}, asked_seconds=asked)
    assert (found.total.low or 0) >= 30
    assert (found.tenants["a"].waiting, found.tenants["a"].likely) == (0, pytest.approx(30, abs=1))
    assert (found.tenants["b"].likely or inf) < 2


def test_while_few_calls_are_known_their_length_may_be_anything() -> None:
    few, many = (told({("bulk", "a"): 500}, ConcurrencyLimit(5), recent=Recent(2.0, 0.1, n)) for n in (1.0, 500.0))
    assert _width(few) > 1.5 * _width(many)
