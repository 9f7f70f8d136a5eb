"""Limits: what they are and how they are written, one by one and in profiles."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec

SECOND_NS = 1_000_000_000
PROFILES_PATH = Path(__file__).parents[1] / "profiles.toml"

_UNIT_SECONDS = {"s": 1, "min": 60, "h": 3_600, "day": 86_400, "month": 31 * 86_400}
_WORDS = re.compile(
    r"(?:([a-z][a-z0-9_-]*): )?(\d+)(?:( concurrent)|( execution-seconds)?/(\d*)(s|min|h|day|month))( per object)?"
)


class LimitError(ValueError):
    """A limit or a profile name that cannot be understood; the message says what was expected."""


class Rate(msgspec.Struct, frozen=True, tag_field="kind", tag="rate", omit_defaults=True):
    """At most `limit` arrivals in any half-open window of `seconds` seconds.

    Of every limit: `op` names the operation that it counts (all, if None), `per` is "object" if each account has it
    for itself.
    """

    limit: int
    seconds: int
    op: str | None = None
    per: str | None = None


class Execution(msgspec.Struct, frozen=True, tag_field="kind", tag="execution", omit_defaults=True):
    """At most `limit` seconds spent executing in any window of `seconds` seconds.

    A finished call counts whole while its end is inside the window, a running one with its time so far.
    """

    limit: int
    seconds: int
    op: str | None = None
    per: str | None = None


class Concurrent(msgspec.Struct, frozen=True, tag_field="kind", tag="concurrent", omit_defaults=True):
    """At most `limit` calls in progress at any instant."""

    limit: int
    op: str | None = None
    per: str | None = None


Limit = Rate | Execution | Concurrent


class Profile(msgspec.Struct, frozen=True):
    """A named set of limits, as `GET /limits` answers it."""

    profile: str
    limits: tuple[Limit, ...]


def parse_limit(text: str) -> Limit:
    """Read a limit such as "10/1s", "1200 execution-seconds/300s", "5 concurrent" or "post: 30/10min per object".

    Raises LimitError when the text is none of these or the number is 0.
    """
    match = _WORDS.fullmatch(text)
    if match is None or int(match[2]) == 0 or (match[5] and int(match[5]) == 0):
        raise LimitError(
            f"limit {text!r} is not understood: write '10/1s', '60/min', '1200 execution-seconds/300s', "
            "'5 concurrent', 'post: 300/min' or '30/10min per object'"
        )
    limit, op, per = int(match[2]), match[1], "object" if match[7] else None
    if match[3]:
        return Concurrent(limit, op, per)
    seconds = int(match[5] or 1) * _UNIT_SECONDS[match[6]]
    return Execution(limit, seconds, op, per) if match[4] else Rate(limit, seconds, op, per)


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
