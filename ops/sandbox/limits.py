"""Limits: what they are, how they are written, and how the ERP enforces them on arrivals.

A refused call is logged and counts as an arrival like any other (strict: hammering never helps), but it
occupies none of the concurrent slots.
"""

import re
import tomllib
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

SECOND_NS = 1_000_000_000
PROFILES_PATH = Path(__file__).with_name("profiles.toml")

_UNIT_SECONDS = {"s": 1, "min": 60, "h": 3_600, "day": 86_400}
_WINDOW = re.compile(r"(\d+)( execution-seconds)?/(\d*)(s|min|h|day)")
_CONCURRENT = re.compile(r"(\d+) concurrent")


class LimitError(ValueError):
    """A limit or a profile name that cannot be understood; the message says what was expected."""


class Rate(msgspec.Struct, frozen=True, tag_field="kind", tag="rate"):
    """At most `limit` arrivals in any half-open window of `seconds` seconds."""

    limit: int
    seconds: int


class Execution(msgspec.Struct, frozen=True, tag_field="kind", tag="execution"):
    """At most `limit` seconds spent executing in any window of `seconds` seconds.

    A finished call counts whole while its end is inside the window, a running one with its time so far.
    """

    limit: int
    seconds: int


class Concurrent(msgspec.Struct, frozen=True, tag_field="kind", tag="concurrent"):
    """At most `limit` calls in progress at any instant."""

    limit: int


Limit = Rate | Execution | Concurrent


class Profile(msgspec.Struct, frozen=True):
    """A named set of limits, as `GET /limits` answers it."""

    profile: str
    limits: tuple[Limit, ...]


class Refusal(msgspec.Struct, frozen=True):
    """Which limit a call broke, and after how many whole seconds it may have room again."""

    code: str
    retry_after_seconds: int


def parse_limit(text: str) -> Limit:
    """Read a limit such as "10/1s", "60/min", "1200 execution-seconds/300s" or "5 concurrent".

    Raises LimitError when the text is none of these or the number is 0.
    """
    if (match := _CONCURRENT.fullmatch(text)) and int(match[1]) > 0:
        return Concurrent(int(match[1]))
    if (match := _WINDOW.fullmatch(text)) and int(match[1]) > 0 and int(match[3] or 1) > 0:
        seconds = int(match[3] or 1) * _UNIT_SECONDS[match[4]]
        return Execution(int(match[1]), seconds) if match[2] else Rate(int(match[1]), seconds)
    raise LimitError(
        f"limit {text!r} is not understood: write '10/1s', '60/min', '1200 execution-seconds/300s' or '5 concurrent'"
    )


def profile_words(name: str) -> list[str]:
    """The limits of a profile in profiles.toml, as text. Raises LimitError when there is none of that name."""
    table = {"custom": {"limits": []}, **tomllib.loads(PROFILES_PATH.read_text("utf-8"))}
    if name not in table:
        raise LimitError(f"profile {name!r} is unknown: choose one of {', '.join(sorted(table))}")
    return list(table[name]["limits"])


def load_profile(name: str, extra: Iterable[str] = ()) -> Profile:
    """A profile with limits added to it; "custom" has only the added ones.

    Raises LimitError when the name is unknown or an added limit is not understood.
    """
    return Profile(name, tuple(parse_limit(text) for text in [*profile_words(name), *extra]))


class RateWindow:
    """Exact sliding window over arrivals: it keeps the last `limit` of them and nothing else."""

    def __init__(self, limit: Rate) -> None:
        self._window_ns = limit.seconds * SECOND_NS
        self._arrivals: deque[int] = deque(maxlen=limit.limit)

    def arrive(self, now_ns: int) -> int:
        """Count an arrival; give 0 when the window had room, else the nanoseconds until it has."""
        arrivals = self._arrivals
        full = len(arrivals) == arrivals.maxlen and arrivals[0] > now_ns - self._window_ns
        arrivals.append(now_ns)
        return arrivals[0] + self._window_ns - now_ns if full else 0


class ExecutionWindow:
    """Exact sliding sum of execution time, by the ends of calls."""

    def __init__(self, limit: Execution) -> None:
        self._limit_ns = limit.limit * SECOND_NS
        self._window_ns = limit.seconds * SECOND_NS
        self._ended: deque[tuple[int, int]] = deque()
        self._used_ns = 0

    def end(self, ended_ns: int, duration_ns: int) -> None:
        """Count a call that ended; ends come in increasing order."""
        self._ended.append((ended_ns, duration_ns))
        self._used_ns += duration_ns

    def has_room(self, now_ns: int, running_ns: int) -> bool:
        """Whether less than the limit is used; `running_ns` is the time so far of the calls in progress."""
        while self._ended and self._ended[0][0] <= now_ns - self._window_ns:
            self._used_ns -= self._ended.popleft()[1]
        return self._used_ns + running_ns < self._limit_ns


class Admission:
    """All limits of a profile together, told of every arrival and every end (monotonic nanoseconds)."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        limits = tuple(limits)
        self._rates = [RateWindow(limit) for limit in limits if isinstance(limit, Rate)]
        self._executions = [ExecutionWindow(limit) for limit in limits if isinstance(limit, Execution)]
        self._slots = min((limit.limit for limit in limits if isinstance(limit, Concurrent)), default=None)
        self._started_sum_ns = 0
        self.in_progress = 0

    def arrive(self, now_ns: int) -> Refusal | None:
        """Count an arrival in every window and take a slot, or say which limit has no room."""
        refusal = self._judge(now_ns)
        if refusal is None:
            self.in_progress += 1
            self._started_sum_ns += now_ns
        return refusal

    def end(self, arrived_ns: int, ended_ns: int) -> None:
        """Give the slot of an admitted call back and count its execution time."""
        self.in_progress -= 1
        self._started_sum_ns -= arrived_ns
        for window in self._executions:
            window.end(ended_ns, ended_ns - arrived_ns)

    def remember(self, arrivals: Iterable[int], ends: Iterable[tuple[int, int]]) -> None:
        """Fill the windows with the past of an earlier process: arrivals, and (arrived, ended) pairs."""
        for arrived_ns in sorted(arrivals):
            for rate in self._rates:
                rate.arrive(arrived_ns)
        for arrived_ns, ended_ns in sorted(ends, key=lambda pair: pair[1]):
            for execution in self._executions:
                execution.end(ended_ns, ended_ns - arrived_ns)

    def _judge(self, now_ns: int) -> Refusal | None:
        # Every window sees the arrival, also when an earlier one already refused it.
        wait_ns = max([rate.arrive(now_ns) for rate in self._rates], default=0)
        if wait_ns > 0:
            return Refusal("rate.exceeded", -(-wait_ns // SECOND_NS))
        if self._slots is not None and self.in_progress >= self._slots:
            return Refusal("concurrency.exceeded", 1)
        running_ns = self.in_progress * now_ns - self._started_sum_ns
        if not all(window.has_room(now_ns, running_ns) for window in self._executions):
            return Refusal("execution.exceeded", 1)
        return None
