"""What-if clauses of a forecast, as people write them, and the situation and budget that they make.

pause erp-poster until 14:00        pause lane:bulk for 30 min       pause tenant:acme until 2026-03-01T14:00Z
resume lane:bulk                    rate 5/s                         2 concurrent
arrivals stop                       arrivals x2                      calls take 3 s

Several are separated by `;` or `and`. Times without a date are the next such time; without an offset they are UTC.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from policies.budget import Budget, ConcurrencyLimit, Limit, RateLimit
from policies.lanes import LANES
from policies.limit_words import parse_limit
from policies.stages import Pause, Situation

CLAUSES_MAX = 20
EXAMPLES = (
    '"pause erp-poster until 14:00", "pause lane:bulk for 30 min", "pause tenant:acme until 14:00+02:00", '
    '"resume lane:bulk", "rate 5/s", "2 concurrent", "arrivals stop", "arrivals x2", "calls take 3 s"'
)
_SEPARATOR = re.compile(r"\s*;\s*|\s+and\s+")
_PAUSE = re.compile(r"(?:pause|hold)\s+(\S+)(?:\s+(until|for)\s+(.+))?")
_RESUME = re.compile(r"(?:resume|release)\s+(\S+)")
_RATE = re.compile(r"(?:rate|limit)\s+(.+)")
_SLOTS = re.compile(r"[0-9]{1,6}\s*(?:concurrent|at once)")
_ARRIVALS = re.compile(r"arrivals\s+(?:(stop)|x\s*([0-9]{1,3}(?:\.[0-9]{1,3})?))")
_TAKE = re.compile(r"calls\s+take\s+(.+)")
_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(ms|s|sec|seconds?|min|minutes?|h|hours?|d|days?)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_CLOCK = re.compile(r"([0-2]?[0-9]):([0-5][0-9])(Z|[+-][0-9]{2}:[0-9]{2})?")


class WhatIf(Struct, frozen=True):
    """What would be different. limits replace those of their kind; `resumed` are targets whose pauses are over."""

    pauses: tuple[Pause, ...] = ()
    resumed: tuple[Pause, ...] = ()
    limits: tuple[Limit, ...] = ()
    arrivals_factor: float = 1.0
    service_seconds: float | None = None


class Places(Struct, frozen=True):
    """The names that stand for everything a caller does: its system and its domain."""

    system: str
    domain: str


def parse(text: str, now: datetime, places: Places) -> WhatIf:
    """Read clauses. `now` is aware. Raises ValueError that shows the clause, what is wrong and what is expected."""
    clauses = [clause for clause in _SEPARATOR.split(text.strip()) if clause]
    if len(clauses) > CLAUSES_MAX:
        raise ValueError(f"{len(clauses)} clauses; at most {CLAUSES_MAX} are looked at together")
    found = WhatIf()
    for clause in clauses:
        found = _with(found, clause, now, places)
    return found


def _with(found: WhatIf, clause: str, now: datetime, places: Places) -> WhatIf:
    if match := _PAUSE.fullmatch(clause):
        lane, tenant = _target(clause, match[1], places)
        pause = Pause(_until(clause, match[2], match[3], now), lane, tenant)
        return replace(found, pauses=(*found.pauses, pause))
    if match := _RESUME.fullmatch(clause):
        return replace(found, resumed=(*found.resumed, Pause(0.0, *_target(clause, match[1], places))))
    if _SLOTS.fullmatch(clause):
        return replace(found, limits=(*found.limits, parse_limit(clause)))
    if match := _RATE.fullmatch(clause):
        return replace(found, limits=(*found.limits, parse_limit(match[1])))
    if match := _ARRIVALS.fullmatch(clause):
        return replace(found, arrivals_factor=0.0 if match[1] else float(match[2]))
    if match := _TAKE.fullmatch(clause):
        return replace(found, service_seconds=_duration(clause, match[1]))
    raise ValueError(f"{clause!r} cannot be read; write it as one of {EXAMPLES}")


def _target(clause: str, target: str, places: Places) -> tuple[str | None, str | None]:
    found = scope(target, places)
    if found is None:
        known = f"all, {places.system}, {places.domain}, {', '.join(f'lane:{lane}' for lane in LANES)}, tenant:NAME"
        raise ValueError(f"{clause!r}: {target} is not a target of calls; expected one of {known}")
    return found


def scope(target: str, places: Places) -> tuple[str | None, str | None] | None:
    """Lane and tenant that a target narrows all calls to; several parts are joined by commas. None: it is about
    something else than calls, or finer than that."""
    lane: str | None = None
    tenant: str | None = None
    for part in target.split(","):
        kind, _, name = part.strip().partition(":")
        if kind == "lane" and name in LANES:
            lane = name
        elif kind == "tenant" and name:
            tenant = name
        elif part.strip() not in ("all", places.system, places.domain):
            return None
    return lane, tenant


def _until(clause: str, word: str | None, text: str | None, now: datetime) -> float:
    """Seconds from now; infinite without an end."""
    if word is None or text is None:
        return inf
    if word == "for":
        return _duration(clause, text)
    if match := _CLOCK.fullmatch(text.strip()):
        end = _next(clause, int(match[1]), int(match[2]), match[3], now)
    else:
        end = _moment(clause, text)
    seconds = (end - now).total_seconds()
    if seconds <= 0:
        raise ValueError(f"{clause!r}: {text} is past")
    return seconds


def _next(clause: str, hour: int, minute: int, offset: str | None, now: datetime) -> datetime:
    if hour > 23:
        raise ValueError(f"{clause!r}: there is no hour {hour}; expected 00:00 to 23:59")
    zone = UTC if offset in (None, "Z") else datetime.fromisoformat(f"2000-01-01T00:00{offset}").tzinfo
    today = now.astimezone(zone).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


def _moment(clause: str, text: str) -> datetime:
    try:
        end = datetime.fromisoformat(text.strip())
    except ValueError:
        end = None
    if end is None or end.tzinfo is None:
        raise ValueError(f"{clause!r}: {text} is no time; expected 14:00, 14:00+02:00 or 2026-03-01T14:00Z")
    return end


def _duration(clause: str, text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _SECONDS["ms" if match[2] == "ms" else match[2][0]] if match else 0.0
    if seconds <= 0:
        raise ValueError(f"{clause!r}: {text} is no length of time; expected 300 ms, 3 s, 30 min, 2 h")
    return seconds


def apply(what_if: WhatIf, situation: Situation, budget: Budget, now_ns: int) -> tuple[Situation, Budget]:
    """The situation and a budget of its own as they would be; the given ones stay as they are.

    Raises ValueError for limits that make no sense together.
    """
    recent = situation.recent
    arrivals = (
        {key: rate * what_if.arrivals_factor for key, rate in recent.arrivals.items()}
        if what_if.arrivals_factor
        else {}
    )
    service = recent.service_seconds if what_if.service_seconds is None else what_if.service_seconds
    deviation = recent.service_deviation * service / max(recent.service_seconds, 1e-9)
    kept = tuple(pause for pause in situation.pauses if not _resumed(pause, what_if.resumed))
    changed = replace(
        situation,
        recent=replace(recent, arrivals=arrivals, service_seconds=service, service_deviation=deviation),
        pauses=(*kept, *what_if.pauses),
    )
    if not what_if.limits:
        return changed, budget
    own = Budget.from_snapshot(budget.snapshot())
    own.resize(_replaced(own.limits, what_if.limits), now_ns)
    return changed, own


def _resumed(pause: Pause, resumed: Sequence[Pause]) -> bool:
    return not pause.fixed and any((pause.lane, pause.tenant) == (one.lane, one.tenant) for one in resumed)


def _replaced(limits: Sequence[Limit], others: Sequence[Limit]) -> list[Limit]:
    """Rates in place of rates, slots in place of slots."""
    kinds = [kind for kind in (RateLimit, ConcurrencyLimit) if any(isinstance(one, kind) for one in others)]
    return [*(limit for limit in limits if not isinstance(limit, tuple(kinds))), *others]
