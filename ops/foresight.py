"""Forecasts during a surge, and afterwards what came true."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from ops.client import Client, DaemonAway, Refused
from ops.forecasting import compare
from ops.report import Foreseen
from ops.report.tables import held_of
from ops.surge import Progress

SHARES = (0.05, 0.2, 0.4, 0.6, 0.8)
"""Asked when so much of the surge has its outcome."""


class Foresight:
    """Asks a few times, and keeps the answers. A daemon that is away is asked at the next occasion."""

    def __init__(
        self, client: Client, ask: Callable[[], dict[str, Any]] | None = None, shares: Sequence[float] = SHARES
    ) -> None:
        """`ask`: another way to ask than over HTTP. `shares`: when."""
        self._client = client
        self._ask = ask or client.forecast
        self._shares = shares
        self._begun = time.monotonic()
        self._told: list[tuple[float, dict[str, Any]]] = []

    def look(self, progress: Progress) -> None:
        """Ask, if it is time."""
        due = sum(progress.settled >= share * progress.total for share in self._shares)
        if due <= len(self._told) or progress.settled == progress.total:
            return
        try:
            told = self._ask()
        except (DaemonAway, Refused):
            return
        self._told += [(time.monotonic() - self._begun, told)] * (due - len(self._told))

    def conclude(self, out: Path, marks_ns: Sequence[int] = ()) -> list[Foreseen]:
        """Compare all answers with the truth; also kept in `out` as forecasts.json.

        marks_ns: when something was done to the daemon or its limits (monotonic); no forecast knew of it.

        Raises DaemonAway or Refused when the daemon cannot tell.
        """
        asked = {seconds: told for seconds, told in self._told if told["total"]["waiting"]}
        kept = [{"asked_seconds": seconds, **told} for seconds, told in asked.items()]
        (out / "forecasts.json").write_text(json.dumps(kept, indent=1) + "\n")
        steps = [at_ns / 1e9 - self._begun for at_ns in marks_ns]
        return [
            Foreseen(
                round(seconds, 3),
                row["what"],
                row["waiting"],
                row["low_seconds"],
                row["likely_seconds"],
                row["high_seconds"],
                row["seconds"],
                bool(row.get("held_by")),
                sum(seconds < step < seconds + (row["seconds"] or inf) for step in steps),
            )
            for seconds, told in asked.items()
            for row in compare(told, self._client.truth(told["at_us"]))
        ]


def sentences(foreseen: list[Foreseen]) -> list[str]:
    """For people: the forecasts of everything, and how many of all held."""
    lines = [_line(one) for one in foreseen if one.what == "everything"]
    if not lines:
        return []
    return [f"forecasts, and what came true: {held_of(foreseen)}", *lines]


def _line(one: Foreseen) -> str:
    asked = f"  asked after {one.asked_seconds:.0f} s: {one.waiting} waiting, "
    if one.held:
        return f"{asked}not while a person holds it; came true: {_seconds(one.truth)} (held)"
    between = f"between {_seconds(one.low)} and {_seconds(one.high)}"
    meanwhile = f", {one.steps} interventions meanwhile" if one.steps else ""
    return (
        f"{asked}likely {_seconds(one.likely)}, {between}; came true: {_seconds(one.truth)} ({one.verdict}){meanwhile}"
    )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
