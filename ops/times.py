"""Times as operators say them: `14:00` on the local clock, a date with offset, `30m`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?", re.ASCII)
_PART = re.compile(r"([0-9]{1,6})(d|h|m|s)", re.ASCII)
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def moment(text: str, now: datetime) -> datetime:
    """The moment meant: a time of day is the next such on the clock of `now` (aware), a date needs its offset.

    Raises:
        ValueError: what is expected.
    """
    if (found := _CLOCK.fullmatch(text.strip())) is not None:
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        today = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
        return (today if today > now else today + timedelta(days=1)).astimezone(UTC)
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise ValueError(f"{text!r}: expected a local time such as 14:00, or 2026-03-01T14:00Z with its offset")
    return parsed.astimezone(UTC)


def duration(text: str) -> timedelta:
    """How long `30m`, `1h30m`, `45s` or `2d` is. Raises ValueError saying what is expected."""
    parts = _PART.findall(text.strip().lower())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip().lower():
        raise ValueError(f"{text!r}: expected a duration such as 30m, 1h30m or 45s")
    return timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))


class Moment(click.ParamType[datetime]):
    """An option that is a moment."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment, in UTC."""
        try:
            return value if isinstance(value, datetime) else moment(str(value), datetime.now().astimezone())
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class Duration(click.ParamType[timedelta]):
    """An option that is a length of time."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The length."""
        try:
            return value if isinstance(value, timedelta) else duration(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
