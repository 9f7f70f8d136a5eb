"""The limits a log is held against: from its headers, a published profile, or the command line."""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ops.certificate.model import Limit, LimitKind, WrongUse
from ops.certificate.spans import Span

_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "day": 86400, "month": 31 * 86400}
_SCOPED = re.compile(r"^(?:([a-z][a-z0-9_-]*)\s*:\s*)?(.*?)(\s+per object)?$")
_WINDOW = re.compile(r"^(\d+)\s*(exec(?:ution-seconds)?\s*)?/\s*(\d+)?\s*(ms|s|min|m|month|h|day|d)$")
_CONCURRENT = re.compile(r"^(\d+)\s*concurrent$")
UNLIMITED = float("inf")
FOREVER_NS = 1 << 62
PROFILES_PATH = Path(__file__).parents[1] / "profiles.toml"
Key = tuple[LimitKind, int | float | None, str | None, Literal["object"] | None]


class LimitTrack:
    """One limit over time: what was allowed from which instant on (a log may carry several headers)."""

    def __init__(
        self,
        kind: LimitKind,
        seconds: int | float | None,
        op: str | None = None,
        per: Literal["object"] | None = None,
    ) -> None:
        self.kind = kind
        self.seconds = seconds
        self.op = op
        self.per = per
        self.window_ns = Limit(kind, 0, seconds).window_ns
        self._from_ns: list[int] = []
        self._limits: list[int | float] = []

    def change(self, from_ns: int, limit: int | float) -> None:
        """From `from_ns` on, `limit` is in force. Instants must not go backwards."""
        if not self._limits or self._limits[-1] != limit:
            self._from_ns.append(from_ns)
            self._limits.append(limit)

    @property
    def constant(self) -> int | float | None:
        """The limit if it never changed."""
        return self._limits[0] if len(self._limits) == 1 else None

    @property
    def current(self) -> int | float:
        return self._limits[-1]

    def regimes(self) -> list[tuple[Span, int | float]]:
        """What was in force from when to when, spells without a limit left out."""
        ends = [*self._from_ns[1:], FOREVER_NS]
        spans = (Span(start, end) for start, end in zip(self._from_ns, ends, strict=True))
        return [(span, limit) for span, limit in zip(spans, self._limits, strict=True) if limit != UNLIMITED]

    def allowed(self, start_ns: int, end_ns: int) -> int | float:
        """The highest limit in force at any instant of [start_ns, end_ns]."""
        first = max(bisect_right(self._from_ns, start_ns) - 1, 0)
        last = max(bisect_right(self._from_ns, end_ns), first + 1)
        return max(self._limits[first:last])


def tracks_of(changes: Sequence[tuple[int, Sequence[Limit]]]) -> list[LimitTrack]:
    """Turn whole sets of limits, each with the instant from which it holds, into one track per limit.

    A limit that a later set does not name is lifted from then on.
    """
    tracks: dict[Key, LimitTrack] = {}
    for from_ns, limits in changes:
        named: dict[Key, int | float] = {}
        for limit in limits:  # of two that count the same, the narrower is the promise
            key = (limit.kind, limit.seconds, limit.op, limit.per)
            named[key] = min(limit.limit, named.get(key, UNLIMITED))
        for key in named.keys() - tracks.keys():
            tracks[key] = LimitTrack(*key)
            if from_ns != changes[0][0]:
                tracks[key].change(changes[0][0], UNLIMITED)
        for key, track in tracks.items():
            track.change(from_ns, named.get(key, UNLIMITED))
    return sorted(tracks.values(), key=lambda track: (track.kind, track.seconds or 0, track.op or "", track.per or ""))


def parse_limit(text: str) -> Limit:
    """Read `10/1s`, `60/min`, `5000/24h`, `5 concurrent`, `1200 exec/300s`, `post: 300/min` or `30/10min per object`.

    Raises WrongUse for anything else, with the forms that are understood.
    """
    scoped = _SCOPED.match(text.strip().lower())
    op, plain, each = scoped.groups() if scoped else (None, "", None)
    per: Literal["object"] | None = "object" if each else None
    if found := _CONCURRENT.match(plain):
        return check_limit(Limit("concurrent", int(found[1]), None, op, per))
    if found := _WINDOW.match(plain):
        seconds = int(found[3] or 1) * _UNIT_SECONDS[found[4]]
        return check_limit(Limit("execution" if found[2] else "rate", int(found[1]), seconds, op, per))
    raise WrongUse(
        f"limit {text!r} is not understood; write a rate as '10/1s' or '60/min', slots as '5 concurrent', "
        "execution time as '1200 exec/300s', and what counts as 'post: 300/min' or '30/10min per object'"
    )


def _read_profiles() -> dict[str, tuple[Limit, ...]]:
    """The profiles that publish a number. None if this package stands alone, without the file beside it."""
    if not PROFILES_PATH.exists():
        return {}
    table = tomllib.loads(PROFILES_PATH.read_text("utf-8"))
    words = {name: profile["limits"] for name, profile in table.items()}
    return {name: tuple(map(parse_limit, limits)) for name, limits in words.items() if limits}


def profile_limits(name: str) -> tuple[Limit, ...]:
    """The published limits of a profile. Raises WrongUse for an unknown name."""
    if name not in PROFILES:
        raise WrongUse(f"profile {name!r} is not known here; known are {', '.join(PROFILES)}; or use --limit")
    return PROFILES[name]


def check_limit(limit: Limit) -> Limit:
    """The limit itself, if it can be examined. Raises WrongUse when it says nothing or contradicts itself."""
    if limit.limit < 1:
        raise WrongUse(f"a limit of {limit.limit} admits no call; expected 1 or more")
    expected = "none" if limit.kind == "concurrent" else "above 0"
    if (limit.kind == "concurrent") != (limit.seconds is None) or (limit.seconds is not None and limit.seconds <= 0):
        raise WrongUse(f"a {limit.kind} limit with seconds={limit.seconds}: expected {expected}")
    return limit


def describe(track: LimitTrack, limit: int | float) -> str:
    """The limit in words, as tables and reasons name it."""
    calls = f"{track.op} calls" if track.op else "calls"
    each = " for each object" if track.per else ""
    if track.kind == "concurrent":
        return f"{limit:g} {calls} at the same time{each}"
    what = calls if track.kind == "rate" else f"execution seconds of {calls}" if track.op else "execution seconds"
    return f"{limit:g} {what} in any {track.seconds:g} s{each}"


PROFILES: dict[str, tuple[Limit, ...]] = _read_profiles()
"""Published limits by name, those of the sandbox ERP. Published numbers move, so a log's own header is preferred."""
