"""Reading the store from outside, with nothing but sqlite3; and what a reader finds."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

Row = tuple[Any, ...]
KINDS = ("duplicate", "lost", "orphan", "unrecorded", "blind", "uncounted", "audit")
"""Twice; gone; without an end; a call without an intent; sent again unasked; outside of the budget; an untrue audit."""


class Finding(NamedTuple):
    """One thing that is wrong."""

    kind: str
    detail: str


def ask(store: Path, query: str) -> list[Row]:
    """Read the store, also beside a daemon. Gives nothing while there is none."""
    try:
        connection = sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return []
