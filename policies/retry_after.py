"""Reading Retry-After (RFC 9110, 10.2.3: delay in seconds, or an HTTP date), as systems really send it."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil

from msgspec import Struct

RETRY_AFTER_MAX_SECONDS = 3600
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_TEXT_MAX = 64


class RetryAfter(Struct, frozen=True):
    """How long the system asked us to stay away. `capped`: it asked for more; `note`: the same in words."""

    seconds: int
    capped: bool
    note: str


def parse_retry_after(text: str | None, now: datetime, seconds_max: int = RETRY_AFTER_MAX_SECONDS) -> RetryAfter | None:
    """The time told by a Retry-After header, rounded up to a second, at most `seconds_max` (an hour unless told).

    `now` is aware and by the same wall clock as the answer's Date. A date in the past is 0. None if there
    is no header or it makes no sense (negative, words, too long): the caller's own default applies then.
    """
    text = (text or "").strip()
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        # A number longer than this is over any cap, and Python refuses to read very long ones.
        seconds = seconds_max + 1 if len(text) > _TEXT_MAX else ceil(float(text))
        return _capped(seconds, text, seconds_max)
    moment = _http_date(text)
    return None if moment is None else _capped(max(0, ceil((moment - now).total_seconds())), text, seconds_max)


def _capped(seconds: int, text: str, seconds_max: int) -> RetryAfter:
    if seconds <= seconds_max:
        return RetryAfter(seconds, False, f"the system asked for {seconds} s")
    note = f"the system asked for {text[:_TEXT_MAX]}; capped at {seconds_max} s"
    return RetryAfter(seconds_max, True, note)


def _http_date(text: str) -> datetime | None:
    if len(text) > _TEXT_MAX:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
