"""Windows of time as people write them, and the instants that they mean in a time zone.

    22:00-06:00                         every day, over midnight
    Sun 02:00-04:00                     a weekday; `Mon-Fri 08:00-18:00`, `Sat/Sun 00:00-24:00`
    last day 18:00 for 36h              the end of each month; `last workday 18:00 for 2h`, `day 1 00:00-06:00`
    2026-12-24 22:00 for 8h             once

Times are local times of the zone, and so are ends; `for` counts elapsed time. Where a clock is put forward, a time
that does not exist is the moment of the change. Where it is put back and a time exists twice, a window begins at the
first and ends at the second: a window is never shorter than what was written.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

EXAMPLES = '"22:00-06:00", "Sun 02:00-04:00", "last day 18:00 for 36h", "2026-12-24 22:00 for 8h"'
LENGTH_MAX = timedelta(days=14)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(
    r"(?:(?P<day>[0-9a-z/ -]+?)\s+)?(?P<begin>[0-9]{1,2}:[0-9]{2})"
    r"(?:\s*-\s*(?P<end>[0-9]{1,2}:[0-9]{2})|\s+for\s+(?P<length>[0-9]{1,4})\s*(?P<unit>h|min))",
    re.ASCII,
)


_ZONE = re.compile(r"(.+?)\s+([A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*)", re.ASCII)


class Span(Struct, frozen=True):
    """From one instant to another, both aware UTC; the end does not belong to it."""

    begin: datetime
    end: datetime


class Window(Struct, frozen=True):
    """A window that comes again. On a matching day it begins at `begin`; it ends at `end` or after `length`.

    One of `weekdays` (0 is Monday), `month_day` (-1: the last), `last_workday`, `once` says which days match; none of
    them: every day.
    """

    words: str
    begin: time
    end: time | None = None
    length: timedelta | None = None
    weekdays: frozenset[int] | None = None
    month_day: int | None = None
    last_workday: bool = False
    once: date | None = None

    def matches(self, day: date) -> bool:
        """Whether it begins on this day."""
        if self.once is not None:
            return day == self.once
        if self.weekdays is not None:
            return day.weekday() in self.weekdays
        if self.last_workday:
            return day == _last_workday(day)
        if self.month_day is not None:
            return day.day == self.month_day if self.month_day > 0 else (day + timedelta(days=1)).day == 1
        return True

    def span(self, day: date, zone: ZoneInfo) -> Span:
        """The span that begins on this day."""
        begin = instant(datetime.combine(day, self.begin), zone, late=False)
        if self.length is not None:
            return Span(begin, begin + self.length)
        end = self.end or time(0)
        over_midnight = end <= self.begin
        return Span(begin, instant(datetime.combine(day + timedelta(days=over_midnight), end), zone, late=True))


def split_zone(words: str) -> tuple[str, str | None]:
    """The words of a window, and the zone at their end if one is named there."""
    found = _ZONE.fullmatch(" ".join(words.split()))
    return (words, None) if found is None else (found[1], found[2])


def parse_window(words: str) -> Window:
    """One window. Raises ValueError that shows what is expected."""
    found = _FORM.fullmatch(" ".join(words.lower().split()))
    if found is None:
        raise ValueError(f"window {words!r} cannot be read; write it as one of {EXAMPLES}")
    try:
        begin = _time(found["begin"])
        end = None if found["end"] is None else _time(found["end"])
        window = Window(" ".join(words.split()), begin, end, _length(found["length"], found["unit"]))
        return _on(window, found["day"])
    except ValueError:
        raise ValueError(f"window {words!r} names no day, time or length that exists; write it as {EXAMPLES}") from None


def _length(number: str | None, unit: str | None) -> timedelta | None:
    if number is None:
        return None
    length = timedelta(hours=int(number)) if unit == "h" else timedelta(minutes=int(number))
    if not timedelta(0) < length <= LENGTH_MAX:
        raise ValueError(number)
    return length


def _time(text: str) -> time:
    return time(0) if text == "24:00" else time.fromisoformat(text.rjust(5, "0"))


def _on(window: Window, day: str | None) -> Window:
    if day is None or day == "daily":
        return window
    if day == "last day":
        return replace(window, month_day=-1)
    if day == "last workday":
        return replace(window, last_workday=True)
    if (found := re.fullmatch(r"day ([0-9]{1,2})", day)) is not None and 1 <= int(found[1]) <= 31:
        return replace(window, month_day=int(found[1]))
    if day[0].isdigit():
        return replace(window, once=date.fromisoformat(day))
    return replace(window, weekdays=frozenset(number for part in day.split("/") for number in _weekdays(part)))


def _weekdays(part: str) -> list[int]:
    first, dash, last = part.strip().partition("-")
    if dash and not last:
        raise ValueError(part)
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]


def _last_workday(day: date) -> date:
    last = (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return last - timedelta(days=max(0, last.weekday() - 4))


def instant(local: datetime, zone: ZoneInfo, late: bool) -> datetime:
    """The instant of a naive local time, aware UTC. Of two, the second if `late`; of none, the change of the clock."""
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return second if late else first
    before, after = second, first  # in a gap the later reading is the earlier instant
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == second.astimezone(zone).utcoffset():
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
