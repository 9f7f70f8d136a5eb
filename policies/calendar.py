"""When calls may not start by the calendar: maintenance of the system, the close of a period, the night for bulk.

* `maintenance`: no call starts, look-ups included.
* `close_freeze`: nothing is posted; look-ups go on, because they change nothing.
* `bulk_only`: the bulk lane starts only inside these windows; without any it may always.

Facts in, decision out: `now` is aware, zones are IANA names (`policies/calendar_words.py` says what happens when
clocks are changed).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from policies.calendar_words import LENGTH_MAX, Span, Window, parse_window

_BACK_DAYS = LENGTH_MAX.days + 1
_AHEAD_DAYS = 35
"""So far ahead the next beginning is looked for: every window that comes again does within a month."""


class Closing(Struct, frozen=True):
    """Calls may not start: `kind`, a sentence, and until when (aware UTC); None if no end is in sight."""

    kind: str
    reason: str
    until: datetime | None


class State(Struct, frozen=True):
    """What is closed at a moment. It holds until `changes` (aware UTC)."""

    all: Closing | None
    posts: Closing | None
    bulk: Closing | None
    changes: datetime


class Coming(Struct, frozen=True):
    """A window that is open or begins next."""

    kind: str
    words: str
    begin: datetime
    end: datetime


class Calendar:
    """The windows of one system in one zone. Raises ValueError for a zone or words that make no sense."""

    def __init__(
        self,
        zone: str = "UTC",
        maintenance: Iterable[str] = (),
        close_freeze: Iterable[str] = (),
        bulk_only: Iterable[str] = (),
    ) -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"zone {zone!r} is not known; write an IANA name such as 'Europe/Berlin' or 'UTC'"
            ) from None
        self.zone = zone
        self._maintenance = [parse_window(words) for words in maintenance]
        self._close_freeze = [parse_window(words) for words in close_freeze]
        self._bulk_only = [parse_window(words) for words in bulk_only]

    def at(self, now: datetime) -> State:
        """What is closed now, and until when that holds."""
        maintenance = self._open(self._maintenance, now)
        freeze = self._open(self._close_freeze, now)
        return State(
            None if maintenance is None else self._closing("maintenance", "it is maintained", maintenance, now),
            None if freeze is None else self._closing("close_freeze", "the books are being closed", freeze, now),
            self._night(now),
            self._changes(now),
        )

    def coming(self, now: datetime) -> list[Coming]:
        """Every window that is open now or begins within a month, the first of each, by its beginning."""
        kinds = {"maintenance": self._maintenance, "close_freeze": self._close_freeze, "bulk_only": self._bulk_only}
        found = [
            Coming(kind, window.words, span.begin, span.end)
            for kind, windows in kinds.items()
            for window in windows
            if (span := next((s for s in self._spans(window, now) if s.end > now), None)) is not None
        ]
        return sorted(found, key=lambda one: one.begin)

    # inside --------------------------------------------------------------------------------------------------

    def _spans(self, window: Window, now: datetime) -> Iterator[Span]:
        today = now.astimezone(self._zone).date()
        for days in range(-_BACK_DAYS, _AHEAD_DAYS + 1):
            day = today + timedelta(days=days)
            if window.matches(day):
                yield window.span(day, self._zone)

    def _open(self, windows: list[Window], now: datetime) -> tuple[Window, Span] | None:
        """The open window that ends last; windows that follow each other without a gap count as one."""
        spans = [(window, span) for window in windows for span in self._spans(window, now)]
        found: tuple[Window, Span] | None = None
        for window, span in sorted(spans, key=lambda pair: pair[1].begin):
            if found is None:
                found = (window, span) if span.begin <= now < span.end else None
            elif span.begin <= found[1].end < span.end:
                found = (found[0], Span(found[1].begin, span.end))
        return found

    def _closing(self, kind: str, what: str, found: tuple[Window, Span], now: datetime) -> Closing:
        window, span = found
        local = span.end.astimezone(self._zone)
        same_day = local.date() == now.astimezone(self._zone).date()
        until = f"{local:%H:%M}" if same_day else f"{local:%Y-%m-%d %H:%M}"
        return Closing(kind, f"{what} ({window.words}) until {until} {self.zone}", span.end)

    def _night(self, now: datetime) -> Closing | None:
        if not self._bulk_only or self._open(self._bulk_only, now) is not None:
            return None
        nexts = [span.begin for window in self._bulk_only for span in self._spans(window, now) if span.begin > now]
        begin = min(nexts, default=None)
        if begin is None:
            return Closing("bulk_only", "bulk work has no window within a month", None)
        local = begin.astimezone(self._zone)
        return Closing("bulk_only", f"bulk work waits for its window at {local:%Y-%m-%d %H:%M} {self.zone}", begin)

    def _changes(self, now: datetime) -> datetime:
        windows = [*self._maintenance, *self._close_freeze, *self._bulk_only]
        edges = (edge for window in windows for span in self._spans(window, now) for edge in (span.begin, span.end))
        return min((edge for edge in edges if edge > now), default=now + timedelta(days=1))
