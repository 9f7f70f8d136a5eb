"""Times as operators say them are the moments that they mean."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ops.times import duration, moment

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("14:00", datetime(2026, 3, 1, 12, 0, tzinfo=UTC)),
        ("11:59", datetime(2026, 3, 2, 9, 59, tzinfo=UTC)),
        ("12:00", datetime(2026, 3, 2, 10, 0, tzinfo=UTC)),
        ("9:30:15", datetime(2026, 3, 2, 7, 30, 15, tzinfo=UTC)),
        ("2026-03-01T14:00Z", datetime(2026, 3, 1, 14, 0, tzinfo=UTC)),
        ("2026-03-01T14:00+01:00", datetime(2026, 3, 1, 13, 0, tzinfo=UTC)),
    ],
)
def test_a_time_of_day_is_the_next_one_on_the_local_clock(text: str, utc: datetime) -> None:
    assert moment(text, NOON) == utc


@pytest.mark.parametrize("text", ["", "tomorrow", "25:00", "2026-03-01T14:00", "14", "14:60"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a local time"):
        moment(text, NOON)


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("1h30m", 5400), ("45s", 45), ("2d", 172_800)])
def test_a_duration_is_the_sum_of_its_parts(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "m", "1.5h", "-3m", "3m x"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        duration(text)
