"""What a call costs: its part of the limit that it keeps busy the longest."""

import pytest

from policies.limits import ConcurrencyLimit, ExecutionLimit, RateLimit
from policies.order_cost import cost_us, settled_cost

RATE = RateLimit(10, 1_000_000_000, "10/1s")
PLACES = ConcurrencyLimit(5)


@pytest.mark.parametrize(
    ("held_ms", "units", "cost_ms"),
    [(50, 1, 100), (50, 3, 300), (500, 1, 100), (2_000, 1, 400)],
)
def test_a_call_costs_the_most_that_any_limit_says(held_ms, units, cost_ms):
    assert cost_us([RATE, PLACES], held_ms * 1_000_000, units) == cost_ms * 1_000


def test_where_execution_time_is_scarce_a_call_costs_by_how_long_it_executes():
    limits = [RATE, ExecutionLimit(20, 300_000_000_000, "20 execution-seconds/300s")]
    assert [cost_us(limits, held_ms * 1_000_000) for held_ms in (1, 40, 2_000)] == [100_000, 600_000, 30_000_000]


def test_a_limit_of_each_object_makes_no_call_dearer():
    scarce = RateLimit(20, 86_400_000_000_000, "20/day per object", per_object=True)
    assert cost_us([RATE, scarce, ConcurrencyLimit(1, "one", per_object=True)], 500_000_000) == 100_000


def test_a_call_costs_something_where_nothing_is_limited():
    assert cost_us([], 0) == 1


@pytest.mark.parametrize(("found", "charged"), [(100, 100), (150, 150), (9_000, 200), (10, 50)])
def test_what_is_charged_in_the_end_is_within_a_factor_of_two(found, charged):
    assert settled_cost(100, found) == charged
