"""Verifying the audit: entries a second with one process and with two, beside what nobody can be quicker than.

The chain is made by the store itself, from calls as the ERP's caller has them: requested, in flight, done. The
references of the same run, on the same rows: only reading them from SQLite, and a bare SHA-256 of each row's bytes in
memory (no chain, no database), both in one process.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from broker.store.anchoring import Anchoring
from broker.store.anchors import AnchorFile
from broker.store.audit_verify import verify
from broker.store.rows import AuditRow
from broker.store.store import FILE
from broker.store.unit import Unit
from tests.load.run import ROUNDS, Row, middle, show
from tests.support.stores import running_store

ENTRIES = 600_000
TARGET_PER_SECOND = 500_000
_AT_ONCE = 3_000
_STEPS = ("call.requested", "call.in_flight", "call.done")
_READ = "SELECT seq, at, actor, verb, subject, facts, cause, policy, inputs, hash FROM audit ORDER BY seq"


def _entry(number: int) -> AuditRow:
    """As the fold writes it for a call of the incident pack."""
    call, verb = number // 3, _STEPS[number % 3]
    facts = {"was": "in_flight", "attempts": 1, "document": f"CR-2026-{call:08d}"} if verb == "call.done" else {}
    if verb == "call.requested":
        facts = {"key": f"CASE-{call:08d}", "minor": 12_500, "currency": "EUR", "fingerprint": f"{call:032x}"}
    return AuditRow(
        *(1_770_000_000_000_000 + number * 137, "erp-poster", verb, f"CR-{call:026X}", facts or {"was": "waiting"}),
        cause=f"support.case.opened evt-{call:08d} from urn:support",
        policy="credit-2026-03",
        inputs=f"message {call:032x}-3 body {call:032x}",
    )


async def _make(directory: Path, entries: int) -> None:
    async with running_store(directory) as store:
        anchoring = Anchoring(store, AnchorFile(directory / "anchors.jsonl"))
        await anchoring.mark("start", 1)
        for first in range(0, entries, _AT_ONCE):
            rows = [_entry(number) for number in range(first, min(first + _AT_ONCE, entries))]
            await store.commit(Unit(1, audits=rows))
            if first % (50 * _AT_ONCE) == 0:
                await anchoring.mark("regular", 1)
        await anchoring.mark("stop", 1)


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    """By the wall and by the processors, children included."""
    before = os.times()
    begun = time.perf_counter()
    work()
    wall, after = time.perf_counter() - begun, os.times()
    return wall, sum(after[:4]) - sum(before[:4])


def _verified(directory: Path, processes: int, entries: int) -> None:
    verdict = verify(directory / FILE, directory / "anchors.jsonl", processes=processes)
    if not verdict.clean or verdict.entries < entries:
        raise RuntimeError(f"not clean: {verdict.findings[:1]}, {verdict.entries} entries")


def _read(directory: Path) -> None:
    with sqlite3.connect(directory / FILE) as connection:
        for _ in connection.execute(_READ):
            pass


def _hashed(rows: list[bytes]) -> None:
    for row in rows:
        hashlib.sha256(row).hexdigest()


def run(scratch: Path, entries: int = ENTRIES) -> str:
    """Make the chain, verify it in turns with the references, print the table."""
    asyncio.run(_make(scratch, entries))
    with sqlite3.connect(scratch / FILE) as connection:
        query = _READ.replace("ORDER BY seq", "WHERE seq <= 100000")
        sample = ["\x1f".join(map(str, row)).encode() for row in connection.execute(query)]
    rows = sample * (entries // len(sample))
    kinds: dict[str, Callable[[], None]] = {
        "`audit verify`, one process": lambda: _verified(scratch, 1, entries),
        "`audit verify`, two processes": lambda: _verified(scratch, 2, entries),
        "reference: reading the rows from SQLite": lambda: _read(scratch),
        "reference: SHA-256 of each row, in memory": lambda: _hashed(rows),
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, work in kinds.items():
            measured[name].append(_seconds(work))
    table: list[Row] = []
    for name, rounds in measured.items():
        wall = middle([entries / wall for wall, _ in rounds])
        cpu = middle([processor / entries * 1e6 for _, processor in rounds])
        ours = f"{wall / TARGET_PER_SECOND:.2f}" if name.startswith("`") else ""
        table.append((name, f"{wall:,.0f}", f"{cpu:.2f}", ours))
    size = sum(map(len, sample)) / len(sample)
    title = f"Verifying an audit of {entries:,} entries ({size:.0f} bytes each), median of {ROUNDS}"
    return show(title, ["what", "entries/s", "CPU µs/entry", f"x {TARGET_PER_SECOND:,}"], table)
