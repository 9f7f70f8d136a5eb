"""Limits as people write them: `10/1s`, `600/min`, `6000/300s`, `5000/day`, `5 concurrent`."""

import re
from collections.abc import Iterable

from policies.limits import ConcurrencyLimit, Limit, RateLimit, checked

_SECOND_NS = 1_000_000_000
_UNITS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400}
_RATE = re.compile(r"([0-9]{1,9})\s*(?:/|\bper\b)\s*([0-9]{0,6})\s*([a-z]+)", re.ASCII)
_CONCURRENT = re.compile(r"([0-9]{1,6})\s*(?:concurrent|at once)", re.ASCII)
EXAMPLES = '"10/1s", "600/min", "6000/300s", "5000/day", "5 concurrent"'


def parse_limit(words: str) -> Limit:
    """One limit. Its name is the words themselves. Raises ValueError that shows what is expected."""
    text = words.strip().lower()
    if (found := _CONCURRENT.fullmatch(text)) is not None:
        return ConcurrencyLimit(int(found[1]))
    found = _RATE.fullmatch(text)
    unit = _UNITS.get(found[3].removesuffix("s") or "s") if found else None
    if found is None or unit is None:
        raise ValueError(f"limit {words!r} cannot be read; write it as one of {EXAMPLES}")
    seconds = int(found[2] or 1) * unit
    return RateLimit(int(found[1]), seconds * _SECOND_NS, _name(int(found[1]), seconds))


def _name(limit: int, seconds: int) -> str:
    return f"{limit}/{seconds}s"


def parse_limits(all_words: Iterable[str]) -> tuple[Limit, ...]:
    """Several limits that hold at once. Raises ValueError for words that make no sense, zero, or the same twice."""
    return checked(parse_limit(words) for words in all_words)
