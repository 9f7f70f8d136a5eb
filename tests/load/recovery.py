"""Killed with a million open items: how long until it is ready again, and until what the killed one left is settled.

Four fifths of the items are calls that wait (10,000 tenants), the rest in equal parts messages that nobody has handled
and timers far away. The ERP takes 300 ms to answer, so there are always calls in flight to be killed with.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from broker.accept import Acceptor
from broker.embedded import EmbeddedBroker
from broker.store.rows import CallRow
from broker.store.store import FILE, Store
from broker.topology import build
from contracts.catalogue import REGISTRY
from contracts.codec import encode
from contracts.envelope import decode_envelope
from contracts.messages import AdjustmentRequest
from contracts.money import Money
from ops.client import Client
from ops.process import DaemonProcess
from ops.sandbox.process import SandboxProcess
from policies.lanes import LANES
from tests.load.events import case
from tests.load.run import Row, rss_mb, show

ITEMS = (10_000, 1_000_000)
TENANTS = 10_000
PARTITIONS = 4
BEFORE_SECONDS = 4.0
PATIENCE_SECONDS = 120.0
AT = 1_700_000_000_000_000
FAR = 4_000_000_000_000_000
_SETTINGS = {
    "TIDEGATE_ERP__LIMITS": "100/1s,64 concurrent",
    "TIDEGATE_ERP__TIMEOUT_SECONDS": "5",
    "TIDEGATE_ERP__LOST_SECONDS": "5",
    "TIDEGATE_BROKER__PARTITIONS": str(PARTITIONS),
    "TIDEGATE_DAEMON__LOG_LEVEL": "ERROR",
}


def run(directory: Path) -> str:
    """The table as Markdown."""
    rows = [_killed(directory / f"items{count}", count) for count in ITEMS]
    columns = ["open items", "store MB", "first start, s", "unsettled at the kill", "ready again, s"]
    columns += ["first posting after, s", "left settled after, s", "RSS when ready MB", "peak MB"]
    title = "Killed (SIGKILL) and started again; seconds since the new process was started; targets 30 and 10"
    return show(title, columns, rows)


def _killed(place: Path, count: int) -> Row:
    asyncio.run(fill(place / "data", count))
    os.sync()
    size_mb = (place / "data" / FILE).stat().st_size / 1e6
    with SandboxProcess(place / "erp", "unlimited", latency_ms="300") as erp:
        daemon = DaemonProcess(place / "data", {**_SETTINGS, "TIDEGATE_ERP__URL": erp.url})
        first = _start(daemon)
        time.sleep(BEFORE_SECONDS)
        daemon.kill()
        left = _unsettled(place / "data")
        begun = time.perf_counter()
        try:
            ready = _start(daemon)
            resident = rss_mb(daemon.pid)
            posted, settled = _resumed(daemon, left, begun)
            peak = _peak_mb(daemon.pid)
        finally:
            daemon.stop()
    seconds = (f"{first:.1f}", str(len(left)), f"{ready:.1f}", f"{posted:.1f}", f"{settled:.1f}")
    return f"{count:,}", f"{size_mb:,.0f}", *seconds, f"{resident:.0f}", f"{peak:.0f}"


def _start(daemon: DaemonProcess) -> float:
    """Seconds until it says that it is ready, to whoever asks."""
    begun = time.perf_counter()
    daemon.start(PATIENCE_SECONDS)
    with Client(daemon.url) as client:
        while not client.is_ready():
            time.sleep(0.02)
    return time.perf_counter() - begun


def _unsettled(data: Path) -> set[str]:
    with sqlite3.connect(f"file:{data / FILE}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT intent_id FROM call WHERE status IN ('in_flight', 'unknown')")
        found = {intent for (intent,) in rows}
    connection.close()
    if not found:
        raise RuntimeError("it was killed with nothing in flight; that shows nothing")
    return found


def _resumed(daemon: DaemonProcess, left: set[str], begun: float) -> tuple[float, float]:
    """When the first call is done that was not begun before, and when all that was left is settled."""
    connection = sqlite3.connect(f"file:{daemon.data / FILE}?mode=ro", uri=True)
    known = json.dumps(sorted(left))
    open_left = "SELECT count(*) FROM call WHERE open = 1 AND intent_id IN (SELECT value FROM json_each(?))"
    last = "SELECT coalesce(max(changed_at), 0) FROM call WHERE status = 'done' AND seq IN "
    last += "(SELECT call.seq FROM spend JOIN call USING (intent_id) WHERE spend.kind = 'post' AND spend.seq > ?)"
    (from_,) = connection.execute(
        "SELECT max(seq) FROM spend WHERE intent_id IN (SELECT value FROM json_each(?))", [known]
    ).fetchone()
    posted = settled = 0.0
    while not (posted and settled):
        seconds = time.perf_counter() - begun
        if seconds > PATIENCE_SECONDS:
            raise RuntimeError(f"after {seconds:.0f} s: posted again {bool(posted)}, all settled {bool(settled)}")
        if not posted and connection.execute(last, [from_]).fetchone()[0]:
            posted = seconds
        if not settled and not connection.execute(open_left, [known]).fetchone()[0]:
            settled = seconds
        time.sleep(0.05)
    connection.close()
    return posted, settled


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


# the store ---------------------------------------------------------------------------------------------------


async def fill(directory: Path, count: int) -> None:
    """A store with so many open items, written as quickly as SQLite takes them."""
    async with Store(directory) as store:
        broker = EmbeddedBroker(store)
        await broker.declare(build(["credit-policy", "erp-requests"], PARTITIONS))
        acceptor = Acceptor(broker, REGISTRY, {"support.case.opened": "credit-policy"}, PARTITIONS)
    calls, messages = count * 8 // 10, count // 10
    connection = sqlite3.connect(directory / FILE, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    names = [*CallRow.__struct_fields__, "seq", "status", "open", "ready", "attempts", "sent", "changed_at"]
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO call ({', '.join(names)}) VALUES ({marks})", _calls(calls))
    for number, (row, item) in enumerate(_messages(acceptor, messages), 1):
        connection.execute(f"INSERT INTO message VALUES ({', '.join('?' * 17)})", (number, *row, None, None))
        connection.execute("INSERT INTO queue_item VALUES (?, ?, ?, ?, ?, ?, NULL)", (number, *item))
    timers = (
        (f"timer-{n}", FAR + n, "tidegate.workflow.standard.0", b"x" * 600) for n in range(count - calls - messages)
    )
    connection.executemany("INSERT INTO timer VALUES (?, ?, ?, ?)", timers)
    connection.execute("COMMIT")
    connection.close()


def _calls(count: int) -> Iterator[tuple[object, ...]]:
    for number in range(count):
        tenant = f"t{number % TENANTS}"
        lane = LANES[number % TENANTS % 3]
        body = AdjustmentRequest(
            intent_id=f"CR-{number:020d}",
            account_id=f"acc-{number}",
            amount=Money(1250, "EUR"),
            reason_code="service_credit",
            source_document=f"case-{number}",
            kind="credit",
        )
        row = CallRow(
            intent_id=body.intent_id,
            fingerprint=f"{number:032x}",
            system="erp",
            operation="adjustment.create",
            tenant=tenant,
            lane=lane,
            key=body.source_document,
            order_ref=f"erp|{tenant}|{lane}|{body.account_id}",
            message_id=f"m{number}",
            correlation_id=f"m{number}",
            minor=1250,
            currency="EUR",
            body=encode(body),
            requested_at=AT,
            workload="incident",
            partition=number % TENANTS % PARTITIONS,
        )
        yield (*msgspec.structs.astuple(row), number + 1, "waiting", 1, 1, 0, 0, AT)


def _messages(acceptor: Acceptor, count: int) -> Iterator[tuple[tuple[object, ...], tuple[object, ...]]]:
    for number in range(count):
        event = json.dumps(case("open", number)).encode()
        accept = acceptor.prepare(acceptor.read(decode_envelope(event)), AT)
        yield msgspec.structs.astuple(accept.row), msgspec.structs.astuple(accept.items[0])
