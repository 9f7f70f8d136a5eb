"""Promises about Retry-After, as systems really send it (fault F50)."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.retry_after import parse_retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def seconds(text):
    found = parse_retry_after(text, NOW)
    return None if found is None else found.seconds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 0),
        ("1.2", 2),
        ("3600", 3600),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90),
        ("Sun Mar  1 12:01:30 2026", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
    ],
)
def test_seconds_and_all_three_forms_of_http_date_are_read(text, told):
    assert seconds(text) == told
    assert not parse_retry_after(text, NOW).capped


@pytest.mark.parametrize(
    "text", [None, "", "  ", "-5", "soon", "1e3", "inf", "nan", "0x10", "٣٠", "1_000", "30 s", "Sun, 99 Foo"]
)
def test_what_makes_no_sense_leaves_the_decision_to_the_caller(text):
    assert parse_retry_after(text, NOW) is None


@pytest.mark.parametrize("text", ["1000000000", "3601", "9" * 100_000, "Sun, 01 Mar 2099 12:00:00 GMT"])
def test_more_than_an_hour_is_capped_and_the_cap_is_told(text):
    found = parse_retry_after(text, NOW)
    assert (found.seconds, found.capped) == (3600, True)
    assert "capped at 3600 s" in found.note
    assert len(found.note) < 150


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")))
def test_no_text_at_all_breaks_it(text):
    found = parse_retry_after(text, NOW)
    assert found is None or 0 <= found.seconds <= 3600


@given(st.integers(-(10**6), 3600))
def test_a_date_means_the_time_until_then(offset):
    assert seconds(format_datetime(NOW + timedelta(seconds=offset), usegmt=True)) == max(0, offset)
