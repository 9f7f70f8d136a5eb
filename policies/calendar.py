"""When calls may not start by the calendar: maintenance of the system, the close of a period, the night for bulk.

* `maintenance`: no call starts, look-ups included.
* `close_freeze`: nothing is posted; look-ups go on, because they change nothing.
* `bulk_only`: the bulk lane starts only inside these windows; without any it may always.

Facts in, decision out: `now` is aware, zones are IANA names (`policies/calendar_words.py` says what happens when
clocks are changed).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct
from msgspec.structs import replace

from policies.calendar_words import LENGTH_MAX, Span, Window, parse_window, split_zone

MAINTENANCE, CLOSE_FREEZE, BULK_ONLY = KINDS = ("maintenance", "close_freeze", "bulk_only")
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


class Shut(Struct, frozen=True):
    """A time in which calls may not start: of this lane, or (None) of any. Aware UTC; the end does not belong to it."""

    kind: str
    lane: str | None
    begin: datetime
    end: datetime


class Placed(Struct, frozen=True):
    """A window and the zone whose clocks it goes by."""

    window: Window
    zone: ZoneInfo

    def spans(self, now: datetime) -> Iterator[Span]:
        """Its spans from some days ago until a month ahead."""
        today = now.astimezone(self.zone).date()
        for days in range(-_BACK_DAYS, _AHEAD_DAYS + 1):
            day = today + timedelta(days=days)
            if self.window.matches(day):
                yield self.window.span(day, self.zone)


class Calendar:
    """The windows of one system, in one zone if they name no other (`Sun 02:00-04:00 Europe/Berlin`).

    Raises ValueError for a zone or words that make no sense.
    """

    def __init__(
        self,
        zone: str = "UTC",
        maintenance: Iterable[str] = (),
        close_freeze: Iterable[str] = (),
        bulk_only: Iterable[str] = (),
    ) -> None:
        _zone(zone)
        self.zone = zone
        self.words = {
            MAINTENANCE: tuple(maintenance),
            CLOSE_FREEZE: tuple(close_freeze),
            BULK_ONLY: tuple(bulk_only),
        }
        self._windows = {kind: [placed(one, zone) for one in words] for kind, words in self.words.items()}

    def joined(self, more: Mapping[str, Iterable[str]]) -> "Calendar":
        """This calendar with more windows, by kind. Raises ValueError for words that make no sense."""
        return Calendar(self.zone, *((*self.words[kind], *more.get(kind, ())) for kind in KINDS))

    def at(self, now: datetime) -> State:
        """What is closed now, and until when that holds."""
        maintenance = self._open(self._windows[MAINTENANCE], now)
        freeze = self._open(self._windows[CLOSE_FREEZE], now)
        return State(
            None if maintenance is None else self._closing(MAINTENANCE, "it is maintained", maintenance, now),
            None if freeze is None else self._closing(CLOSE_FREEZE, "the books are being closed", freeze, now),
            self._night(now),
            self._changes(now),
        )

    def coming(self, now: datetime) -> list[Coming]:
        """Every window that is open now or begins within a month, the first of each, by its beginning."""
        found = [
            Coming(kind, one.window.words, span.begin, span.end)
            for kind, windows in self._windows.items()
            for one in windows
            if (span := next((s for s in one.spans(now) if s.end > now), None)) is not None
        ]
        return sorted(found, key=lambda one: one.begin)

    def shut(self, now: datetime, until: datetime) -> list[Shut]:
        """What will be closed between these moments (at most a month), by kind and time; what touches is one."""
        found = [
            Shut(kind, None, max(span.begin, now), span.end)
            for kind in (MAINTENANCE, CLOSE_FREEZE)
            for span in self._merged(kind, now)
            if span.end > now and span.begin < until
        ]
        at = now
        for span in self._merged(BULK_ONLY, now):
            if span.end <= now or at >= until:
                continue
            if span.begin > at:
                found.append(Shut(BULK_ONLY, "bulk", at, span.begin))
            at = span.end
        return found

    def _merged(self, kind: str, now: datetime) -> list[Span]:
        """The spans of a kind in their order, those that touch put together."""
        found: list[Span] = []
        for span in sorted((s for one in self._windows[kind] for s in one.spans(now)), key=lambda span: span.begin):
            if found and span.begin <= found[-1].end:
                found[-1] = Span(found[-1].begin, max(span.end, found[-1].end))
            else:
                found.append(span)
        return found

    # inside --------------------------------------------------------------------------------------------------

    def _open(self, windows: list[Placed], now: datetime) -> tuple[Placed, Span] | None:
        """The open window that ends last; windows that follow each other without a gap count as one."""
        spans = [(window, span) for window in windows for span in window.spans(now)]
        found: tuple[Placed, Span] | None = None
        for window, span in sorted(spans, key=lambda pair: pair[1].begin):
            if found is None:
                found = (window, span) if span.begin <= now < span.end else None
            elif span.begin <= found[1].end < span.end:
                found = (found[0], Span(found[1].begin, span.end))
        return found

    def _closing(self, kind: str, what: str, found: tuple[Placed, Span], now: datetime) -> Closing:
        one, span = found
        local = span.end.astimezone(one.zone)
        same_day = local.date() == now.astimezone(one.zone).date()
        until = f"{local:%H:%M}" if same_day else f"{local:%Y-%m-%d %H:%M}"
        return Closing(kind, f"{what} ({one.window.words}) until {until} {one.zone.key}", span.end)

    def _night(self, now: datetime) -> Closing | None:
        nights = self._windows[BULK_ONLY]
        if not nights or self._open(nights, now) is not None:
            return None
        nexts = ((span.begin, one.zone) for one in nights for span in one.spans(now) if span.begin > now)
        begin, zone = min(nexts, key=lambda pair: pair[0], default=(None, None))
        if begin is None or zone is None:
            return Closing(BULK_ONLY, "bulk work has no window within a month", None)
        local = begin.astimezone(zone)
        return Closing(BULK_ONLY, f"bulk work waits for its window at {local:%Y-%m-%d %H:%M} {zone.key}", begin)

    def _changes(self, now: datetime) -> datetime:
        windows = [one for found in self._windows.values() for one in found]
        edges = (edge for one in windows for span in one.spans(now) for edge in (span.begin, span.end))
        return min((edge for edge in edges if edge > now), default=now + timedelta(days=1))


def placed(words: str, zone: str = "UTC") -> Placed:
    """One window with its zone, which is `zone` if its words name none. Raises ValueError saying what is expected."""
    text, own = split_zone(words)
    return Placed(replace(parse_window(text), words=" ".join(words.split())), _zone(own or zone))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"zone {name!r} is not known; write an IANA name such as 'Europe/Berlin' or 'UTC'") from None
