"""Forecasts during a surge, and afterwards what came true."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ops.client import Client, DaemonAway, Refused
from ops.forecasting import compare
from ops.report import Foreseen
from ops.surge import Progress

SHARES = (0.05, 0.2, 0.4, 0.6, 0.8)
"""Asked when so much of the surge has its outcome."""


class Foresight:
    """Asks a few times, and keeps the answers. A daemon that is away is asked at the next occasion."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._begun = time.monotonic()
        self._told: list[tuple[float, dict[str, Any]]] = []

    def look(self, progress: Progress) -> None:
        """Ask, if it is time."""
        due = sum(progress.settled >= share * progress.total for share in SHARES)
        if due <= len(self._told) or progress.settled == progress.total:
            return
        try:
            told = self._client.forecast()
        except (DaemonAway, Refused):
            return
        self._told += [(time.monotonic() - self._begun, told)] * (due - len(self._told))

    def conclude(self, out: Path) -> list[Foreseen]:
        """Compare all answers with the truth; also kept in `out` as forecasts.json, for `tidegate forecast --compare`.

        Raises DaemonAway or Refused when the daemon cannot tell.
        """
        asked = {seconds: told for seconds, told in self._told if told["total"]["waiting"]}
        kept = [{"asked_seconds": seconds, **told} for seconds, told in asked.items()]
        (out / "forecasts.json").write_text(json.dumps(kept, indent=1) + "\n")
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
            )
            for seconds, told in asked.items()
            for row in compare(told, self._client.truth(told["at_us"]))
        ]


def sentences(foreseen: list[Foreseen]) -> list[str]:
    """For people: the forecasts of everything, and how many of all held."""
    lines = [_line(one) for one in foreseen if one.what == "everything"]
    known = [one for one in foreseen if one.truth is not None and not one.held]
    held = sum(one.verdict == "within" for one in known)
    return [f"forecasts, and what came true: {held} of {len(known)} within their interval", *lines] if lines else []


def _line(one: Foreseen) -> str:
    asked = f"  asked after {one.asked_seconds:.0f} s: {one.waiting} waiting, "
    if one.held:
        return f"{asked}not while a person holds it; came true: {_seconds(one.truth)} (held)"
    between = f"between {_seconds(one.low)} and {_seconds(one.high)}"
    return f"{asked}likely {_seconds(one.likely)}, {between}; came true: {_seconds(one.truth)} ({one.verdict})"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
