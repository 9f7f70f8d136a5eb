"""Durable accept over HTTP, beside a route that discards and one that commits each event alone.

The references only accept, so the daemon is measured accepting (its deciders are paused) and, in a row of its own, with
the deciders working through the same events at the same time.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from ops.client import Client
from ops.process import DaemonProcess
from tests.load.run import ROUNDS, Row, load, middle, reference, show

OURS = "tidegate"
BUSY = "tidegate, deciding too"
SINGLE = 6_000
BATCHED = 60_000
CONNECTIONS = 64
_PAUSED = {"TIDEGATE_ERP__URL": "http://127.0.0.1:9", "TIDEGATE_DAEMON__LOG_LEVEL": "ERROR"}


def group_rows_per_second(directory: Path) -> float:
    """Rows of 1 KB a second that this disk takes in commits of 100 (WAL, synchronous=FULL)."""
    connection = sqlite3.connect(directory / "rows.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE r (id INTEGER PRIMARY KEY, body BLOB)")
    body, rows, begun = b"x" * 1024, 0, time.perf_counter()
    while time.perf_counter() - begun < 2:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO r (body) VALUES (?)", [(body,)] * 100)
        connection.execute("COMMIT")
        rows += 100
    return rows / (time.perf_counter() - begun)


def run(directory: Path) -> str:
    """Measure in rounds, the three servers in turn; the table as Markdown."""
    rates: dict[tuple[str, int], list[float]] = {}
    latency: dict[tuple[str, int], float] = {}
    rows_per_second = []
    with (
        reference("discard", directory / "discard") as bare,
        reference("each", directory / "each") as each,
        DaemonProcess(directory / "accept", _PAUSED) as daemon,
        Client(daemon.url, directory / "accept" / "operator.token") as client,
    ):
        client.operate("pause", target="all", reason="only acceptance is measured", who="bench")
        servers = {"discard the body": bare, "commit each event": each, OURS: daemon.url}
        for number in range(ROUNDS):
            (directory / f"rows{number}").mkdir()
            rows_per_second.append(group_rows_per_second(directory / f"rows{number}"))
            for name, url in servers.items():
                for batch, count in ((1, SINGLE), (100, BATCHED if name == OURS else BATCHED // 6)):
                    found = load(url, f"{batch}x{number}", count, batch, CONNECTIONS if batch == 1 else 8)
                    rates.setdefault((name, batch), []).append(found["events_per_second"])
                    latency[name, batch] = found["p99_ms"]
    with DaemonProcess(directory / "busy", _PAUSED) as busy:
        for batch, count in ((1, SINGLE), (100, BATCHED // 6)):
            found = load(busy.url, f"busy{batch}", count, batch, CONNECTIONS if batch == 1 else 8)
            rates[BUSY, batch], latency[BUSY, batch] = [found["events_per_second"]], found["p99_ms"]
    return _table(rates, latency, middle(rows_per_second))


def _table(rates: dict[tuple[str, int], list[float]], latency: dict[tuple[str, int], float], disk: float) -> str:
    rows: list[Row] = []
    for batch, what in ((1, f"single, {CONNECTIONS} clients"), (100, "batch of 100, 8 clients")):
        each = middle(rates["commit each event", batch])
        for name in ("discard the body", "commit each event", OURS, BUSY):
            rate = middle(rates[name, batch])
            rows.append((f"{what}: {name}", f"{rate:,.0f}", f"{rate / each:.2f}", f"{latency[name, batch]:.1f}"))
    rows.append(("disk: rows in commits of 100", f"{disk:,.0f}", "", ""))
    return show(
        "Durable accept over HTTP (202 after the commit)", ["what", "events/s", "x commit-each", "p99 ms"], rows
    )
