"""The full way, and what a million waiting calls change: accept, decide, call, an ERP that answers at once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from broker.store.rows import CallRow
from broker.store.store import Store
from broker.store.unit import Unit
from contracts.codec import encode
from contracts.messages import AdjustmentRequest
from contracts.money import Money
from ops.client import Client
from ops.process import DaemonProcess
from ops.sandbox.process import SandboxProcess
from tests.load.run import Row, cpu_seconds, load, middle, rss_mb, show

EVENTS = 20_000
POSTINGS = 8_000
DRAIN_SECONDS = 30.0
BACKLOGS = (10_000, 1_000_000)


def _settings(erp: str) -> dict[str, str]:
    return {
        "TIDEGATE_ERP__URL": erp,
        "TIDEGATE_ERP__LIMITS": "1000000/1s,64 concurrent",
        "TIDEGATE_DAEMON__LOG_LEVEL": "ERROR",
    }


def run(directory: Path) -> str:
    """Both tables as Markdown."""
    return full_way(directory / "way") + "\n" + backlog(directory)


def full_way(directory: Path) -> str:
    """Events/s from the first request to the last posting, and where the time goes."""
    directory.mkdir(parents=True)
    with (
        SandboxProcess(directory / "erp", "unlimited") as erp,
        DaemonProcess(directory / "data", _settings(erp.url)) as daemon,
        Client(daemon.url, directory / "data" / "operator.token") as client,
    ):
        cpu, begun = cpu_seconds(daemon.pid), time.perf_counter()
        load(daemon.url, "way", EVENTS, 100, 4)
        accepted = time.perf_counter() - begun
        while _done(client) < EVENTS:
            time.sleep(0.1)
        seconds = time.perf_counter() - begun
        cpu = cpu_seconds(daemon.pid) - cpu
    rows: list[Row] = [
        ("events/s, first request to last posting", f"{EVENTS / seconds:,.0f}"),
        ("accepted within, s", f"{accepted:.1f}"),
        ("everything posted within, s", f"{seconds:.1f}"),
        ("daemon CPU per event, µs", f"{cpu / EVENTS * 1e6:,.0f}"),
        *_stages(directory / "data" / "tidegate.db"),
    ]
    return show(f"Full way, {EVENTS:,} events, limits lifted", ["what", "value"], rows)


def _done(client: Client) -> int:
    return sum(row["done"] for row in client.overview()["calls"])


def _stages(path: Path) -> Iterator[Row]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    stages = {
        "accepted -> decided": "SELECT handled_at - accepted_at FROM message WHERE type = 'support.case.opened'",
        "adjustment requested -> call in the worklist": (
            "SELECT handled_at - accepted_at FROM message WHERE type = 'erp.adjustment.request'"
        ),
        "call requested -> started": (
            "SELECT s.started_at - c.requested_at FROM call c JOIN spend s ON s.intent_id = c.intent_id"
        ),
        "call started -> outcome": (
            "SELECT c.changed_at - s.started_at FROM call c JOIN spend s ON s.intent_id = c.intent_id"
        ),
    }
    for name, query in stages.items():
        values = [row[0] / 1e3 for row in connection.execute(query)]
        yield f"{name}, median ms", f"{middle(values):,.1f}"


def backlog(directory: Path) -> str:
    """Postings a second, CPU and memory while ten thousand and a million calls wait: the same number of postings."""
    rows: list[Row] = []
    results = []
    for waiting in BACKLOGS:
        place = directory / f"backlog{waiting}"
        fill(place / "data", waiting)
        os.sync()  # else the disk is still busy with the filling, and the more so the more was filled
        with SandboxProcess(place / "erp", "unlimited") as erp:
            begun = time.perf_counter()
            with (
                DaemonProcess(place / "data", _settings(erp.url)) as daemon,
                Client(daemon.url, place / "data" / "operator.token") as client,
            ):
                ready = time.perf_counter() - begun
                first, since, cpu = _done(client), time.perf_counter(), cpu_seconds(daemon.pid)
                while (done := _done(client) - first) < POSTINGS and time.perf_counter() - since < DRAIN_SECONDS:
                    time.sleep(0.25)
                rate = done / (time.perf_counter() - since)
                cpu_us = (cpu_seconds(daemon.pid) - cpu) / max(done, 1) * 1e6
                memory = rss_mb(daemon.pid)
        results.append((rate, memory, cpu_us))
        rows.append((f"{waiting:,} waiting", f"{rate:,.0f}", f"{cpu_us:,.0f}", f"{memory:.0f}", f"{ready:.1f}"))
    (small, small_mb, small_us), (large, large_mb, large_us) = results
    rows.append(
        ("ratio, difference", f"{large / small:.2f}", f"{large_us / small_us:.2f}", f"{large_mb - small_mb:+.0f}", "")
    )
    columns = ["backlog", "postings/s", "CPU per posting, µs", "RSS MB", "ready after s"]
    return show(f"A million waiting calls: the first {POSTINGS:,} postings", columns, rows)


def fill(directory: Path, count: int) -> None:
    """A store with so many waiting calls, each of an account of its own."""
    asyncio.run(_fill(directory, count))


async def _fill(directory: Path, count: int) -> None:
    async with Store(directory) as store:
        writing = asyncio.ensure_future(store.writer.run())
        for start in range(0, count, 2_000):
            numbers = range(start, min(start + 2_000, count))
            await store.commit(Unit(at=1_700_000_000_000_000, calls=[_call(number) for number in numbers]))
        writing.cancel()
        await asyncio.wait({writing})


def _call(number: int) -> CallRow:
    body = AdjustmentRequest(
        intent_id=f"CR-{number:020d}",
        account_id=f"acc-{number}",
        amount=Money(1250, "EUR"),
        reason_code="service_credit",
        source_document=f"case-{number}",
        kind="credit",
    )
    return CallRow(
        intent_id=body.intent_id,
        fingerprint=f"{number:032x}",
        system="erp",
        operation="adjustment.create",
        tenant="default",
        lane="standard",
        key=body.source_document,
        order_ref=f"erp|default|standard|{body.account_id}",
        message_id=f"m{number}",
        correlation_id=f"m{number}",
        minor=1250,
        currency="EUR",
        body=encode(body),
        requested_at=1_700_000_000_000_000,
    )
