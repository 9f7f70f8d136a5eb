"""Refusals: whether the ERP was left alone for as long as it asked for, and whether one call alone came back first."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from msgspec import Struct

from ops.certificate.erplog import ErpLog
from ops.certificate.model import NANOSECONDS_PER_SECOND, Example
from ops.certificate.terms import Terms

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
SECONDS_MAX = 3600
"""Nobody is held to stay away longer than an hour by one answer."""


class Freeze(Struct):
    """The ERP asked to be left alone. `from_ns`: the refusal was answered; `until_ns`: as long as it said (the latest
    of several); `over_ns`: the first call after that had ended."""

    line: int
    from_ns: int
    until_ns: int
    over_ns: int


def freezes_of(log: ErpLog) -> list[Freeze]:
    """All times to stay away, those that overlap joined."""
    freezes: list[Freeze] = []
    asked = sorted((log.ended_ns[one.index], one) for one in log.refusals)
    for ended_ns, refusal in asked:
        seconds = seconds_of(refusal.retry_after, log, ended_ns)
        if not seconds:
            continue
        until_ns = ended_ns + round(seconds * NANOSECONDS_PER_SECOND)
        if freezes and ended_ns <= freezes[-1].until_ns:
            freezes[-1].until_ns = max(freezes[-1].until_ns, until_ns)
        else:
            freezes.append(Freeze(log.lines[refusal.index], ended_ns, until_ns, until_ns))
    arrivals = _by_arrival(log)
    for freeze in freezes:
        first = bisect_left(arrivals, (freeze.until_ns,))
        if first < len(arrivals):
            freeze.over_ns = max(arrivals[first][1], freeze.until_ns)
    return freezes


def seconds_of(retry_after: str | None, log: ErpLog, ended_ns: int) -> float | None:
    """A Retry-After in seconds or as an HTTP date (RFC 9110, 10.2.3); None for anything else."""
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), SECONDS_MAX)
    if not text or log.wall_at_zero is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
        zero = datetime.fromisoformat(log.wall_at_zero)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment, zero = (one if one.tzinfo else one.replace(tzinfo=UTC) for one in (moment, zero))
    seconds = (moment - zero - timedelta(microseconds=ended_ns // 1000)).total_seconds()
    return min(max(seconds, 0.0), SECONDS_MAX)


def ignored(log: ErpLog, terms: Terms) -> Iterator[Example]:
    """Calls that arrived while the ERP had asked to be left alone; what was on its way already may arrive."""
    arrivals = _by_arrival(log)
    for freeze in freezes_of(log):
        first = bisect_left(arrivals, (freeze.from_ns + terms.reaction_ns,))
        for arrived_ns, _, index in arrivals[first : bisect_left(arrivals, (freeze.until_ns,))]:
            early = (freeze.until_ns - arrived_ns) / NANOSECONDS_PER_SECOND
            yield Example(
                f"line {log.lines[index]}",
                f"arrived {early:.3f} s before the time told at line {freeze.line} was over",
                log.lines[index],
            )


def herds(log: ErpLog) -> Iterator[Example]:
    """Calls that came back beside the first after a refusal, before that one had an end."""
    arrivals = _by_arrival(log)
    for freeze in freezes_of(log):
        first = bisect_left(arrivals, (freeze.until_ns,))
        if first == len(arrivals):
            continue
        _, probe_over_ns, probe = arrivals[first]
        beside = bisect_left(arrivals, (probe_over_ns,)) - first - 1
        if beside:
            yield Example(
                f"line {log.lines[probe]}",
                f"{beside} more calls arrived before the first after the refusal had ended",
                log.lines[probe],
            )


def _by_arrival(log: ErpLog) -> list[tuple[int, int, int]]:
    return sorted(zip(log.arrived_ns, log.ended_ns, range(len(log)), strict=True))
