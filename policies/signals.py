"""What an answer says about limits: a refusal and of which kind, how long to stay away, and what is left.

The rules are data, one row a vendor (`policies/vendors.py`); this module only reads answers by them. A rule looks at
answers of status 400 and above: whatever the text of a success says, it is a success. Over-limit does not always look
like 429, so a row says which statuses and codes stand for it, and whether the system surely did nothing (`undone`):
a time-out under load is a sign of overload and leaves the outcome open all the same.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import isfinite

from msgspec import Struct

from policies.retry_after import RetryAfter, parse_retry_after

TEXT_MAX = 4096
"""So much of a body is looked at for a code."""
_DAY_SECONDS = 86_400
_EPOCH_MIN, _EPOCH_MS_MIN = 1_000_000_000, 1_000_000_000_000
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_PAIR = re.compile(r"([A-Za-z][A-Za-z-]*)\s*[=:]\s*\"?([0-9]{1,15})", re.ASCII)


class Dimension(StrEnum):
    """What kind of limit it is."""

    COUNT = "count"
    CONCURRENT = "concurrent"
    EXECUTION = "execution"
    OBJECT = "object"
    """One object, record or lock: nothing about the system as a whole."""
    UNKNOWN = "unknown"


class Answered(Struct, frozen=True):
    """The parts of an answer that may speak of limits. Header names in lower case."""

    status: int
    headers: Mapping[str, str] = {}
    code: str = ""
    text: str = ""


class Refusal(Struct, frozen=True):
    """The system refused for a limit.

    `window_seconds`: of the limit that was hit, when the answer tells. `wait_seconds`: how long to stay away, by the
    answer or by the vendor's documents; None when neither says. `undone`: it surely did nothing. `suspected`: it may
    as well be what it looks like (a refused credential); only a probe can tell. `scope`: what the limit belongs to,
    when that is not the whole system.
    """

    dimension: Dimension
    sentence: str
    window_seconds: int | None = None
    wait_seconds: float | None = None
    undone: bool = True
    suspected: bool = False
    scope: str = ""


class Room(Struct, frozen=True):
    """What is left of a limit by the system's own count. `limit` and `resets_seconds` (from now) when it tells."""

    dimension: Dimension
    remaining: int
    limit: int | None = None
    window_seconds: int | None = None
    resets_seconds: float | None = None
    scope: str = ""


class Reading(Struct, frozen=True):
    """All that one answer says about limits."""

    refusal: Refusal | None = None
    rooms: tuple[Room, ...] = ()


NOTHING = Reading()


class Rule(Struct, frozen=True, kw_only=True):
    """Answers that are refusals: any of `statuses` (none named: any) with any of `words` (none named: any text).

    Words are looked for as whole words in the code, then in `header` if one is named, then in the body.
    `wait_seconds`: what the vendor's documents ask for, when the answer says nothing.
    """

    means: Dimension
    statuses: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    header: str | None = None
    window_seconds: int | None = None
    wait_seconds: float | None = None
    undone: bool = True
    suspected: bool = False
    scope: str = ""


class Gauge(Struct, frozen=True, kw_only=True):
    """Headers that say what is left. Names in lower case; `pairs` is a header like `total=100; remaining=7`.

    `used_of` is a header like `api-usage=25/5000`. A name that ends in `*` stands for every header that begins so.
    """

    remaining: str | None = None
    limit: str | None = None
    reset: str | None = None
    pairs: str | None = None
    used_of: str | None = None
    dimension: Dimension = Dimension.COUNT
    window_seconds: int | None = None
    scope: str = ""


class Vendor(Struct, frozen=True):
    """How one system speaks of its limits. The first rule that fits decides."""

    name: str
    rules: tuple[Rule, ...] = ()
    gauges: tuple[Gauge, ...] = ()


def read(vendor: Vendor, answer: Answered, now: datetime) -> Reading:
    """What the answer says; `now` is aware. Never raises for what a system may send."""
    rooms = tuple(room for gauge in vendor.gauges for room in _rooms(gauge, answer.headers, now))
    rule = next((rule for rule in vendor.rules if _fits(rule, answer)), None) if answer.status >= 400 else None
    return Reading(None if rule is None else _refusal(vendor, rule, answer, rooms, now), rooms)


# refusals ----------------------------------------------------------------------------------------------------


def _fits(rule: Rule, answer: Answered) -> bool:
    if rule.statuses and answer.status not in rule.statuses:
        return False
    if not rule.words:
        return True
    if rule.header is not None:
        return _has_word(rule, answer.headers.get(rule.header, ""))
    return _has_word(rule, answer.code) or _has_word(rule, answer.text[:TEXT_MAX])


def _has_word(rule: Rule, text: str) -> bool:
    return _word(rule, text) is not None


def _word(rule: Rule, text: str) -> str | None:
    """The first of the rule's words that stands in the text as a whole word."""
    lower = text.lower()
    found = (word for word in rule.words if re.search(rf"(?<![\w-]){re.escape(word.lower())}(?![\w-])", lower))
    return next(found, None)


def _refusal(vendor: Vendor, rule: Rule, answer: Answered, rooms: tuple[Room, ...], now: datetime) -> Refusal:
    # a day's quota may rightly ask for hours; anything else that does is capped
    after = parse_retry_after(answer.headers.get("retry-after"), now, max(3600, rule.window_seconds or 0))
    empty = [room for room in rooms if room.remaining == 0 and room.resets_seconds is not None]
    wait: float | None = rule.wait_seconds
    if after is not None:
        wait = after.seconds
    elif empty:
        wait = max(room.resets_seconds or 0.0 for room in empty)
    window = rule.window_seconds
    if window is None and len(empty) == 1:
        window = empty[0].window_seconds
    sentence = _sentence(vendor, rule, answer, after)
    return Refusal(rule.means, sentence, window, wait, rule.undone, rule.suspected, rule.scope)


_WHAT = {
    Dimension.COUNT: "too many calls",
    Dimension.CONCURRENT: "too many calls at once",
    Dimension.EXECUTION: "too much execution time",
    Dimension.OBJECT: "this object is busy or changed too often",
    Dimension.UNKNOWN: "over a limit that it does not name",
}


def _sentence(vendor: Vendor, rule: Rule, answer: Answered, after: RetryAfter | None) -> str:
    code = answer.code[:80] or _word(rule, answer.text[:TEXT_MAX]) or ""
    told = f"{answer.status} {code}".strip()
    window = f" in {rule.window_seconds} s" if rule.window_seconds else ""
    note = f"; {after.note}" if after else ""
    doubt = "perhaps " if rule.suspected else ""
    return f"it answered {told}: {doubt}{_WHAT[rule.means]}{window}{note} (read as {vendor.name})"


# what is left ------------------------------------------------------------------------------------------------


def _rooms(gauge: Gauge, headers: Mapping[str, str], now: datetime) -> Iterator[Room]:
    if gauge.pairs is not None:
        for name in _named(gauge.pairs, headers):
            yield from _from_pairs(gauge, name, headers, now)
    elif gauge.used_of is not None:
        used = re.search(rf"{re.escape(gauge.used_of)}=([0-9]{{1,15}})/([0-9]{{1,15}})", headers.get(gauge.scope, ""))
        if used is not None:
            left = max(0, int(used[2]) - int(used[1]))
            yield Room(gauge.dimension, left, int(used[2]), gauge.window_seconds)
    elif (left_text := _count(headers.get(gauge.remaining or ""))) is not None:
        reset = reset_seconds(headers.get(gauge.reset or ""), now)
        limit = _count(headers.get(gauge.limit or ""))
        yield Room(gauge.dimension, left_text, limit, gauge.window_seconds, reset, gauge.scope)


def _named(pattern: str, headers: Mapping[str, str]) -> list[str]:
    if not pattern.endswith("*"):
        return [pattern] if pattern in headers else []
    return sorted(name for name in headers if name.startswith(pattern[:-1]))


def _from_pairs(gauge: Gauge, name: str, headers: Mapping[str, str], now: datetime) -> Iterator[Room]:
    """`total=100; remaining=7; resets=1700000000`, and the two drafts of RateLimit (with RateLimit-Policy)."""
    found = {key.lower(): int(number) for key, number in _PAIR.findall(headers[name][:TEXT_MAX])}
    left = found.get("remaining", found.get("r"))
    if left is None:
        return
    policy = {key.lower(): int(number) for key, number in _PAIR.findall(headers.get(f"{name}-policy", ""))}
    resets = found.get("reset", found.get("resets", found.get("t")))
    limit = found.get("limit", found.get("total", policy.get("q")))
    window = gauge.window_seconds or policy.get("w")
    scope = name.removeprefix(gauge.pairs.removesuffix("*")) if gauge.pairs and gauge.pairs.endswith("*") else ""
    resets_seconds = None if resets is None else reset_seconds(str(resets), now)
    yield Room(gauge.dimension, left, limit, window, resets_seconds, scope)


def _count(text: str | None) -> int | None:
    """A count as headers have it: `25`, `25.0`, or the first of `25, 600`."""
    first = (text or "").partition(",")[0].partition(";")[0].strip()
    return int(float(first)) if _NUMBER.fullmatch(first) else None


def reset_seconds(text: str | None, now: datetime) -> float | None:
    """Seconds until a quota resets: told as seconds, as an epoch (s or ms), or as an HTTP date; at most a day."""
    text = (text or "").strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _EPOCH_MIN:
            number = number / (1000 if number >= _EPOCH_MS_MIN else 1) - now.timestamp()
        return min(max(number, 0.0), _DAY_SECONDS) if isfinite(number) else None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), _DAY_SECONDS)
