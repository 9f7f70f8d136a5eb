"""Limits as people write them.

10/1s  600/min  6000/300s  5000/day  100000/month     calls in any window; a month is any 31 days
5 concurrent                                          calls at the same time
1200 execution-seconds/300s [up to 30s each]          time spent executing; what one call can take at most
post: 300/min                                         of one operation only
30/10min per object                                   for each object by itself
"""

import re
from collections.abc import Iterable

from policies.limits import ConcurrencyLimit, ExecutionLimit, Limit, RateLimit, checked

_SECOND_NS = 1_000_000_000
_UNITS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400}
_UNITS["month"] = 31 * 86_400
_WORDS = re.compile(
    r"(?:(?P<operation>[a-z][a-z0-9_-]{0,30})\s*:\s*)?"
    r"(?P<limit>[0-9]{1,12})\s*"
    r"(?:(?P<concurrent>concurrent|at once)"
    r"|(?P<what>execution-seconds|exec)?\s*(?:/|\bper\b)\s*(?P<count>[0-9]{0,6})\s*(?P<unit>[a-z]+))"
    r"(?:\s+up to\s+(?P<call>[0-9]{1,5})\s*s each)?"
    r"(?P<each>\s+per object)?",
    re.ASCII,
)
EXAMPLES = (
    '"10/1s", "600/min", "6000/300s", "5000/day", "5 concurrent", "1200 execution-seconds/300s", "post: 300/min", '
    '"30/10min per object"'
)


def parse_limit(words: str) -> Limit:
    """One limit. Its name is the words themselves. Raises ValueError that shows what is expected."""
    found = _WORDS.fullmatch(words.strip().lower())
    if found is None or (found["call"] and not found["what"]):
        raise _unreadable(words)
    limit, operation, each = int(found["limit"]), found["operation"], found["each"] is not None
    around = (f"{operation}: " if operation else "", " per object" if each else "")
    if found["concurrent"]:
        return ConcurrencyLimit(limit, "concurrent".join(around), operation, each)
    unit = _UNITS.get(found["unit"].removesuffix("s") or "s")
    if unit is None or found["count"] == "0":
        raise _unreadable(words)
    seconds = int(found["count"] or 1) * unit
    window_ns = seconds * _SECOND_NS
    if found["what"]:
        call_ns = int(found["call"]) * _SECOND_NS if found["call"] else None
        name = f"{limit} execution-seconds/{seconds}s"
        return ExecutionLimit(limit, window_ns, name.join(around), operation, each, call_ns)
    return RateLimit(limit, window_ns, f"{limit}/{seconds}s".join(around), operation, each)


def _unreadable(words: str) -> ValueError:
    return ValueError(f"limit {words!r} cannot be read; write it as one of {EXAMPLES}")


def parse_limits(all_words: Iterable[str]) -> tuple[Limit, ...]:
    """Several limits that hold at once. Raises ValueError for words that make no sense, zero, or the same twice."""
    return checked(parse_limit(words) for words in all_words)
