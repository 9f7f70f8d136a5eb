"""What a surge knows besides the answers it got: when nobody answered, what was held, and what shares were in force.

It is read from the daemon's overview by the one who sends, and goes into the accepted list and the terms of the
certificate. Orders that cannot be said in the words of the list (a partition, an operation) are left out: what they
keep back then counts as waiting, which is the strict side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from ops.certificate import Terms, Weights

_WHOLE = ("erp", "erp-poster", "all")
"""Targets of an order that mean everything."""
_STOPS = ("pause", "hold")
_TRANSIT_CALLS_LEAST = 16
_EARLY_NS = 5_000_000
"""The daemon's moments are told to the millisecond, on a clock that is read apart from the log's."""


class Spell(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A line of the accepted list that is no message; instants on the clock of the ERP's log."""

    event: str
    from_ns: int
    to_ns: int | None = None
    tenant: str = ""
    lane: str = ""
    why: str = ""


class Evidence:
    """Collects what was seen. Instants are nanoseconds of the monotonic clock, which the sandbox ERP logs by."""

    def __init__(
        self, clock_ns: Callable[[], int] = time.monotonic_ns, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._answered_ns = clock_ns()
        self._away: Spell | None = None
        self._open: dict[tuple[str, str, str], tuple[Spell, str | None]] = {}
        self._spells: list[Spell] = []
        self._floors: dict[str, int] = {}
        self._minima: dict[str, int] = {}
        self._weights: list[Weights] = []
        self._slots = 0

    def instant(self, moment: str | None) -> int | None:
        """A moment that the daemon told (RFC 3339), on the clock of the log."""
        if moment is None:
            return None
        at_ns = round(datetime.fromisoformat(moment).timestamp() * 1_000) * 1_000_000
        return at_ns + self._clock_ns() - self._wall_ns()

    def accepted_by(self, moment: str) -> int:
        """An instant by which something had surely not been made for it yet, if it was accepted at that moment."""
        return (self.instant(moment) or 0) - _EARLY_NS

    # what was seen -------------------------------------------------------------------------------------------

    def gone(self, why: str = "nobody answered at the door", sharply: bool = False) -> None:
        """Nobody answers; `sharply`: from now on, else from the last answer on."""
        if self._away is None:
            self._away = Spell(event="away", from_ns=self._clock_ns() if sharply else self._answered_ns, why=why)

    @contextmanager
    def steering(self, why: str) -> Iterator[None]:
        """Limits are being changed within the block."""
        from_ns = self._clock_ns()
        yield
        self._spells.append(Spell(event="steered", from_ns=from_ns, to_ns=self._clock_ns(), why=why))

    def seen(self, overview: Mapping[str, Any]) -> None:
        """Somebody answers, and this is what is in force."""
        now_ns = self._answered_ns = self._clock_ns()
        if self._away is not None:
            self._spells.append(msgspec.structs.replace(self._away, to_ns=now_ns))
            self._away = None
        self._see_orders(overview["orders"], now_ns)
        self._see_shares(overview["shares"])
        slots = (row["limit"] for row in overview["budget"] if row["window_seconds"] is None)
        self._slots = max(self._slots, min(slots, default=0))

    def _see_orders(self, orders: list[dict[str, Any]], now_ns: int) -> None:
        standing = {(order["verb"], order["target"], order["since"]): order for order in orders}
        for name in [name for name in self._open if name not in standing]:
            spell, until = self._open.pop(name)
            due_ns = self.instant(until)
            spell.to_ns = min(due_ns, now_ns) if due_ns is not None and due_ns <= now_ns else spell.to_ns
            self._spells.append(spell)
        for name, order in standing.items():
            if name in self._open:
                spell, _ = self._open[name]
                self._open[name] = (msgspec.structs.replace(spell, to_ns=now_ns), order["until"])
            elif order["verb"] in _STOPS and (scope := _scope_of(order["target"])) is not None:
                why = f"{order['verb']} {order['target']}: {order['reason']}"
                spell = Spell(event="held", from_ns=now_ns, to_ns=now_ns, why=why, **scope)
                self._open[name] = (spell, order["until"])

    def _see_shares(self, shares: Mapping[str, Any]) -> None:
        self._floors, self._minima = dict(shares["floors"]), {**self._minima, **shares["minima"]}
        weights = {tenant: float(weight) for tenant, weight in shares["weights"].items()}
        if not self._weights:
            self._weights.append(Weights(weights))
        elif weights != self._weights[-1].weights:
            since = max(filter(None, (self.instant(at) for at in shares["since"])), default=self._answered_ns)
            self._weights.append(Weights(weights, max(since, self._weights[-1].from_ns + 1)))

    # what comes of it ----------------------------------------------------------------------------------------

    def lines(self) -> list[Spell]:
        """All spells by their beginning; those that are not over have no end."""
        still = [msgspec.structs.replace(spell, to_ns=None) for spell, _ in self._open.values()]
        away = [self._away] if self._away is not None else []
        return sorted([*self._spells, *still, *away], key=lambda spell: spell.from_ns)

    def terms(self, base: Terms) -> Terms:
        """The terms with the floors and weights that were in force, and as many calls on their way as there are slots.

        Without an answer of the daemon they are as they were.
        """
        if not self._weights:
            return base
        rounds = base.turn_rounds
        return msgspec.structs.replace(
            base,
            floors_percent=self._floors or None,
            weights=self._weights,
            turn_rounds=2 * rounds if rounds is not None and self._minima else rounds,
            transit_calls=max(_TRANSIT_CALLS_LEAST, self._slots),
        )


def _scope_of(target: str) -> dict[str, str] | None:
    """The selectors of a target, or None if the list has no words for it."""
    if target in _WHOLE:
        return {}
    parts = dict(part.partition(":")[::2] for part in target.split(","))
    return parts if parts.keys() <= {"tenant", "lane"} and all(parts.values()) else None
