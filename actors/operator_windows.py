"""Windows that come again, given by operators: maintenance, close freeze, the night for bulk.

A window is a standing order of the setting `window` (`actors/operator_settings.py`): its target is the kind with the
words, such as `maintenance:Sun 02:00-04:00 Europe/Berlin`, so each window is given, ended, undone and audited by
itself. What is configured stands beside it and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from broker.store.reads import Control
from contracts.errors import ContractError, nearest
from policies.calendar import KINDS, Calendar, placed

WINDOW = "window"
WORDS_MAX = 100
EXAMPLE = "window maintenance 'Sun 02:00-04:00 Europe/Berlin'"


def window_target(target: str, value: str = "") -> tuple[str, str]:
    """Target and words of a window as they are kept: `kind`, or `kind:words`, and words that may come beside it.

    Raises:
        ContractError: operation.target for an unknown kind, operation.value for words that make no sense.
    """
    kind, _, own = target.partition(":")
    kind = kind.strip().replace("-", "_")
    words = " ".join((value or own).split())
    if kind not in KINDS:
        detail = f"{kind} is no kind of window. There are {', '.join(KINDS)}. Write it as in: {EXAMPLE}."
        raise ContractError("operation.target", detail, "/target", known=list(KINDS), nearest=nearest(kind, KINDS))
    if len(words) > WORDS_MAX or "," in words:
        raise ContractError("operation.value", f"A window of at most {WORDS_MAX} characters, without commas.", "/value")
    try:
        placed(words)
    except ValueError as error:
        raise ContractError("operation.value", f"{error}.", "/value") from None
    return f"{kind}:{words}", words


def with_windows(configured: Calendar, orders: Iterable[Control]) -> Calendar:
    """The configured calendar with what operators have added."""
    more: dict[str, list[str]] = {}
    for order in orders:
        kind, _, words = order.target.partition(":")
        if words not in configured.words.get(kind, ()):
            more.setdefault(kind, []).append(words)
    return configured.joined(more) if more else configured


def told(calendar: Calendar, kind: str) -> str:
    """The windows of a kind as text."""
    return ", ".join(calendar.words.get(kind.partition(":")[0], ())) or "none"


def next_span(words: str, zone: str, now: datetime) -> str:
    """When a window is open, or opens next, as text for people; empty if that is not within a month."""
    one = placed(words, zone)
    span = next((span for span in one.spans(now) if span.end > now), None)
    if span is None:
        return ""
    begin, end = (moment.astimezone(one.zone) for moment in (span.begin, span.end))
    return f"{'open' if span.begin <= now else 'next'}: {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {one.zone.key}"


def same(one: Calendar, other: Calendar) -> bool:
    """Whether both close the same times."""
    words: tuple[Mapping[str, tuple[str, ...]], ...] = (one.words, other.words)
    return one.zone == other.zone and words[0] == words[1]
