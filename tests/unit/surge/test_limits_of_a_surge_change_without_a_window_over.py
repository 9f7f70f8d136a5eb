"""Shortened, narrower and wider limits, and the way from one set to the next."""

from hypothesis import given
from hypothesis import strategies as st

from ops.sandbox.limits import Concurrent, Execution, Limit, Rate, load_profile, parse_limit
from ops.surge_limits import LIFTED, both, instead, shortened, steered, told, word, words
from policies.limit_words import parse_limits

LIMITS = st.lists(
    st.one_of(
        st.builds(Rate, st.integers(1, 9_999), st.sampled_from([1, 60, 300, 86_400])),
        st.builds(Execution, st.integers(1, 9_999), st.sampled_from([60, 300])),
        st.builds(Concurrent, st.integers(1, 99)),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda limit: (type(limit), getattr(limit, "seconds", None)),
)


def amounts(limits: tuple[Limit, ...]) -> dict[object, int]:
    return {(type(limit), getattr(limit, "seconds", None)): limit.limit for limit in limits}


def test_windows_become_short_and_keep_their_amounts() -> None:
    assert words(shortened(load_profile("xero").limits)) == ["60/1s", "5000/100s", "5 concurrent"]


def test_execution_seconds_are_time_and_become_short_with_their_window() -> None:
    assert words(shortened(load_profile("dataverse").limits)) == [
        "6000/60s",
        "240 execution-seconds/60s",
        "52 concurrent",
    ]


def test_what_was_shortened_is_said_with_its_factor() -> None:
    said = told("xero", load_profile("xero").limits)
    assert "60 s to 1 s (1/60)" in said
    assert "86400 s to 100 s (1/864)" in said
    assert "execution seconds with them" in told("dataverse", load_profile("dataverse").limits)


def test_long_windows_keep_their_amount_when_limits_are_steered() -> None:
    limits = (Rate(60, 1), Rate(5_000, 100), Concurrent(5))
    assert words(steered(limits, 60)) == ["36/1s", "5000/100s", "3 concurrent"]
    assert words(steered((Concurrent(1),), 60)) == ["1 concurrent"]


@given(LIMITS)
def test_every_limit_is_read_back_by_erp_and_daemon(limits: list[Limit]) -> None:
    assert [parse_limit(word(limit)) for limit in limits] == limits
    assert len(parse_limits(words(limits))) == len(limits)


@given(LIMITS, LIMITS)
def test_between_two_sets_neither_is_exceeded(before: list[Limit], after: list[Limit]) -> None:
    kept = amounts(both(before, after))
    for limit in (*before, *after):
        assert kept[type(limit), getattr(limit, "seconds", None)] <= limit.limit


@given(LIMITS, LIMITS)
def test_in_the_end_only_the_new_set_binds(before: list[Limit], after: list[Limit]) -> None:
    left = amounts(instead(before, after))
    named = amounts(tuple(after))
    assert {window: amount for window, amount in left.items() if window in named} == named
    assert {amount for window, amount in left.items() if window not in named} <= {LIFTED}
    assert left.keys() == {*named, *amounts(tuple(before))}
