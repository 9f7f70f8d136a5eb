"""Refusals: whether the ERP was left alone for as long as it asked for, and whether one call alone came back first."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from msgspec import Struct

from ops.certificate.erplog import ErpLog
from ops.certificate.model import NANOSECONDS_PER_SECOND, Example
from ops.certificate.records import Refusal
from ops.certificate.terms import Terms

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
SECONDS_MAX = 3600
"""Nobody is held to stay away longer than an hour by one answer."""


class Freeze(Struct):
    """The ERP asked to be left alone. `from_ns`: the refusal was answered; `until_ns`: as long as it said (the latest
    of several); `over_ns`: the first call after that had ended. `op`, `account`: what was refused, if not everything.
    """

    line: int
    from_ns: int
    until_ns: int
    over_ns: int
    op: str = ""
    account: str = ""


Met = tuple[int, int, int]
"""A call: arrived, ended, place in the log."""


class Scopes:
    """The calls of the log by what a refusal can be about, in order of arrival."""

    def __init__(self, log: ErpLog) -> None:
        self._log = log
        self._every = sorted(zip(log.arrived_ns, log.ended_ns, range(len(log)), strict=True))
        self._of_account: dict[str, list[Met]] = defaultdict(list)
        for met in self._every:
            self._of_account[log.accounts[met[2]]].append(met)

    def of(self, op: str, account: str) -> list[Met]:
        """Empty text selects everything."""
        calls = self._of_account[account] if account else self._every
        return [met for met in calls if self._log.op(met[2]) == op] if op else calls


def freezes_of(log: ErpLog, scopes: Scopes | None = None) -> list[Freeze]:
    """All times to stay away; those that overlap and are about the same are one."""
    freezes: list[Freeze] = []
    latest: dict[tuple[str, str], Freeze] = {}
    for ended_ns, refusal in sorted(((log.ended_ns[one.index], one) for one in log.refusals), key=lambda one: one[0]):
        seconds = seconds_of(refusal.retry_after, log, ended_ns)
        if not seconds:
            continue
        until_ns = ended_ns + round(seconds * NANOSECONDS_PER_SECOND)
        scope = _scope(refusal, log)
        known = latest.get(scope)
        if known is not None and ended_ns <= known.until_ns:
            known.until_ns = max(known.until_ns, until_ns)
        else:
            latest[scope] = Freeze(log.lines[refusal.index], ended_ns, until_ns, until_ns, *scope)
            freezes.append(latest[scope])
    scopes = scopes or Scopes(log)
    for freeze in freezes:
        calls = scopes.of(freeze.op, freeze.account)
        first = bisect_left(calls, (freeze.until_ns,))
        if first < len(calls):
            freeze.over_ns = max(calls[first][1], freeze.until_ns)
    return freezes


def _scope(refusal: Refusal, log: ErpLog) -> tuple[str, str]:
    words = refusal.rule.split()
    op = next((word for word in words if word != "object"), "")
    return op, log.accounts[refusal.index] if "object" in words else ""


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
    scopes = Scopes(log)
    for freeze in freezes_of(log, scopes):
        calls = scopes.of(freeze.op, freeze.account)
        first = bisect_left(calls, (freeze.from_ns + terms.reaction_ns + 1,))
        for arrived_ns, _, index in calls[first : bisect_left(calls, (freeze.until_ns,))]:
            early = (freeze.until_ns - arrived_ns) / NANOSECONDS_PER_SECOND
            yield Example(
                f"line {log.lines[index]}",
                f"arrived {early:.3f} s before the time told at line {freeze.line} was over",
                log.lines[index],
            )


def herds(log: ErpLog) -> Iterator[Example]:
    """Calls that came back beside the first after a refusal, before that one had an end."""
    scopes = Scopes(log)
    for freeze in freezes_of(log, scopes):
        calls = scopes.of(freeze.op, freeze.account)
        first = bisect_left(calls, (freeze.until_ns,))
        if first == len(calls):
            continue
        _, probe_over_ns, probe = calls[first]
        beside = bisect_left(calls, (probe_over_ns,)) - first - 1
        if beside:
            yield Example(
                f"line {log.lines[probe]}",
                f"{beside} more calls arrived before the first after the refusal had ended",
                log.lines[probe],
            )
