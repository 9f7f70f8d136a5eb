"""Windows of time mean what people mean by them, also on the two nights when clocks are changed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.calendar import Calendar
from policies.calendar_words import instant, parse_window

BERLIN = "Europe/Berlin"


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(first_year, last_year):
    """Local times without a zone."""
    begin, end = (utc(f"{year}-01-01").replace(tzinfo=None) for year in (first_year, last_year))
    return st.datetimes(begin, end)


def closed(calendar, text):
    state = calendar.at(utc(text))
    return {kind for kind in ("all", "posts", "bulk") if getattr(state, kind) is not None}


@pytest.mark.parametrize(
    ("words", "inside", "outside"),
    [
        ("22:00-06:00", ["2026-01-05 22:00", "2026-01-06 05:59"], ["2026-01-05 21:59", "2026-01-06 06:00"]),
        ("Sun 02:00-04:00", ["2026-01-04 02:00", "2026-01-04 03:59"], ["2026-01-05 02:00", "2026-01-04 04:00"]),
        ("Mon-Fri 08:00-18:00", ["2026-01-05 08:00", "2026-01-09 17:59"], ["2026-01-10 12:00", "2026-01-11 12:00"]),
        ("Sat/Sun 00:00-24:00", ["2026-01-10 00:00", "2026-01-11 23:59"], ["2026-01-12 00:00", "2026-01-09 23:59"]),
        ("Fri-Mon 12:00-13:00", ["2026-01-11 12:30", "2026-01-12 12:30"], ["2026-01-13 12:30"]),
        ("last day 18:00 for 36h", ["2026-02-28 18:00", "2026-03-02 05:59"], ["2026-02-28 17:59", "2026-03-02 06:00"]),
        ("last workday 18:00 for 2h", ["2026-01-30 18:30"], ["2026-01-31 18:30", "2026-01-29 18:30"]),
        ("day 1 00:00-06:00", ["2026-03-01 00:00"], ["2026-03-02 00:00", "2026-03-01 06:00"]),
        ("2026-12-24 22:00 for 8h", ["2026-12-25 05:59"], ["2026-12-25 06:00", "2025-12-24 23:00"]),
        ("daily 9:30 for 15min", ["2026-07-01 09:44"], ["2026-07-01 09:45"]),
    ],
)
def test_a_window_closes_from_its_first_instant_to_before_its_end(words, inside, outside):
    calendar = Calendar("UTC", maintenance=[words])
    assert [closed(calendar, text) for text in inside] == [{"all"}] * len(inside)
    assert [closed(calendar, text) for text in outside] == [set()] * len(outside)


@pytest.mark.parametrize(
    "words",
    ["", "22:00", "25:00-26:00", "Son 02:00-04:00", "day 32 01:00-02:00", "01:00 for 0h", "01:00 for 999h",
     "2026-02-30 01:00 for 1h", "01:00-02:00 every day", "sun", "mon- 01:00-02:00"],
)  # fmt: skip
def test_words_that_make_no_sense_are_refused_with_examples(words):
    with pytest.raises(ValueError, match="Sun 02:00-04:00"):
        parse_window(words)


def test_a_zone_that_does_not_exist_is_refused_by_name():
    with pytest.raises(ValueError, match="Europe/Atlantis"):
        Calendar("Europe/Atlantis")


def test_a_freeze_closes_posts_only_and_the_night_window_opens_bulk_only():
    calendar = Calendar("UTC", close_freeze=["last day 18:00 for 12h"], bulk_only=["22:00-06:00"])
    assert closed(calendar, "2026-01-31 19:00") == {"posts", "bulk"}
    assert closed(calendar, "2026-01-31 23:00") == {"posts"}
    assert closed(calendar, "2026-02-01 12:00") == {"bulk"}


def test_what_is_closed_says_why_and_until_when_in_local_time():
    calendar = Calendar(BERLIN, maintenance=["Sun 02:00-04:00"], bulk_only=["22:00-06:00"])
    closing = calendar.at(utc("2026-01-04 01:30")).all
    assert closing.reason == "it is maintained (Sun 02:00-04:00) until 04:00 Europe/Berlin"
    assert closing.until == utc("2026-01-04 03:00")
    bulk = calendar.at(utc("2026-01-05 12:00")).bulk
    assert bulk.reason == "bulk work waits for its window at 2026-01-05 22:00 Europe/Berlin"
    assert bulk.until == utc("2026-01-05 21:00")


def test_windows_that_touch_are_one_closing():
    calendar = Calendar("UTC", maintenance=["01:00-03:00", "03:00-05:00", "02:00-04:00"])
    assert calendar.at(utc("2026-01-05 01:30")).all.until == utc("2026-01-05 05:00")


@pytest.mark.parametrize(
    ("words", "begin", "end"),
    [
        # clocks go from 02:00 CET to 03:00 CEST at 01:00 UTC
        ("2026-03-29 02:30-04:00", "2026-03-29 01:00", "2026-03-29 02:00"),
        ("2026-03-29 01:00-02:30", "2026-03-29 00:00", "2026-03-29 01:00"),
        ("2026-03-28 22:00-06:00", "2026-03-28 21:00", "2026-03-29 04:00"),
        ("2026-03-28 22:00 for 8h", "2026-03-28 21:00", "2026-03-29 05:00"),
        # clocks go from 03:00 CEST back to 02:00 CET at 01:00 UTC
        ("2026-10-25 02:30-02:45", "2026-10-25 00:30", "2026-10-25 01:45"),
        ("2026-10-24 22:00-06:00", "2026-10-24 20:00", "2026-10-25 05:00"),
    ],
)
def test_on_the_nights_when_clocks_are_changed_a_window_is_never_too_short(words, begin, end):
    window = parse_window(words.replace(" ", " ", 1))
    span = window.span(window.once, ZoneInfo(BERLIN))
    assert (span.begin, span.end) == (utc(begin), utc(end))


@given(moments(2020, 2035), st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]))
def test_a_local_time_becomes_an_instant_that_reads_as_that_time_unless_it_does_not_exist(local, name):
    zone = ZoneInfo(name)
    early, late = instant(local, zone, late=False), instant(local, zone, late=True)
    assert timedelta(0) <= late - early <= timedelta(hours=1)
    for found in (early, late):
        reads = found.astimezone(zone).replace(tzinfo=None)
        exists = local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local
        assert reads == local or not exists


@given(moments(2026, 2027), st.integers(0, 48 * 60))
def test_until_a_change_is_told_nothing_changes(moment, minutes):
    calendar = Calendar(BERLIN, ["Sun 02:00-04:00", "22:30 for 30min"], ["last day 18:00 for 36h"], ["22:00-06:00"])
    now = moment.replace(tzinfo=UTC)
    state = calendar.at(now)
    assert state.changes > now
    later = now + timedelta(minutes=minutes)
    if later < state.changes:
        again = calendar.at(later)
        assert [one is None for one in (again.all, again.posts, again.bulk)] == [
            one is None for one in (state.all, state.posts, state.bulk)
        ]


def test_what_comes_is_listed_by_its_beginning():
    calendar = Calendar("UTC", ["Sun 02:00-04:00"], ["last day 18:00 for 1h"], ["22:00-06:00"])
    coming = calendar.coming(utc("2026-01-07 12:00"))
    assert [(one.kind, one.begin) for one in coming] == [
        ("bulk_only", utc("2026-01-07 22:00")),
        ("maintenance", utc("2026-01-11 02:00")),
        ("close_freeze", utc("2026-01-31 18:00")),
    ]


def test_a_window_may_have_a_zone_of_its_own_and_keeps_to_its_clocks_through_both_changes():
    calendar = Calendar("UTC", maintenance=["22:00-06:00 Europe/Berlin"])
    found = calendar.shut(utc("2026-03-27 12:00"), utc("2026-03-30 12:00"))
    assert [(one.begin, one.end) for one in found] == [
        (utc("2026-03-27 21:00"), utc("2026-03-28 05:00")),
        (utc("2026-03-28 21:00"), utc("2026-03-29 04:00")),
        (utc("2026-03-29 20:00"), utc("2026-03-30 04:00")),
    ]
    autumn = calendar.shut(utc("2026-10-24 12:00"), utc("2026-10-25 12:00"))
    assert [(one.begin, one.end) for one in autumn] == [(utc("2026-10-24 20:00"), utc("2026-10-25 05:00"))]
    assert "until 06:00 Europe/Berlin" in calendar.at(utc("2026-10-25 01:30")).all.reason


def test_what_will_be_closed_goes_on_to_the_end_of_the_month_and_over_it():
    calendar = Calendar("UTC", close_freeze=["last day 18:00 for 36h"], bulk_only=["22:00-06:00"])
    found = calendar.shut(utc("2026-02-27 12:00"), utc("2026-03-02 12:00"))
    assert [(one.kind, one.lane, one.begin, one.end) for one in found] == [
        ("close_freeze", None, utc("2026-02-28 18:00"), utc("2026-03-02 06:00")),
        ("bulk_only", "bulk", utc("2026-02-27 12:00"), utc("2026-02-27 22:00")),
        ("bulk_only", "bulk", utc("2026-02-28 06:00"), utc("2026-02-28 22:00")),
        ("bulk_only", "bulk", utc("2026-03-01 06:00"), utc("2026-03-01 22:00")),
        ("bulk_only", "bulk", utc("2026-03-02 06:00"), utc("2026-03-02 22:00")),
    ]


def test_more_windows_join_those_that_are_there():
    calendar = Calendar(BERLIN, maintenance=["Sun 02:00-04:00"]).joined({"maintenance": ["Mon 02:00-04:00 UTC"]})
    assert closed(calendar, "2026-01-04 01:30") == {"all"}
    assert closed(calendar, "2026-01-05 03:30") == {"all"}
    assert closed(calendar, "2026-01-05 01:30") == set()
    with pytest.raises(ValueError, match="Europe/Atlantis"):
        calendar.joined({"bulk_only": ["22:00-06:00 Europe/Atlantis"]})
