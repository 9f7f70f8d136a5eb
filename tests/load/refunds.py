"""Credits through all steps: from the case to five systems that answer at once, limits lifted, on both engines.

Beside it, in the same run, the calls of one such run made by a script with the same clients: the same steps for as many
cases at once, and a commit of its own before and after each call, as whoever writes it first would keep books.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiosqlite
import msgspec

from actors.adapters.port import Posted
from actors.adapters.rest import RestAdapter
from actors.adapters.saas import SaasAdapter
from actors.runtime.clock import SystemClock
from broker.store.row_readers import read_call
from broker.store.rows import Call
from ops.client import Client
from ops.process import DaemonProcess
from ops.rabbitmq_node import RabbitNode
from ops.systems import BESIDE, Systems
from tests.load.events import case
from tests.load.run import Row, cpu_seconds, middle, show

CASES = 2_000
BATCH = 100
AT_ONCE = 64
LIFTED = "1000000/1s,64 concurrent"
PATIENCE_SECONDS = 300.0


def run(directory: Path) -> str:
    """The tables as Markdown."""
    node = RabbitNode() if shutil.which("rabbitmq-server") else None
    columns: dict[str, dict[str, str]] = {}
    try:
        columns["embedded"] = _through_daemon(directory / "embedded", {})
        if node is not None:
            broker = {"TIDEGATE_BROKER__URL": node.start().url()}
            columns["RabbitMQ"] = _through_daemon(directory / "rabbitmq", broker)
    finally:
        if node is not None:
            node.close()
    columns["script, commit each step"] = _by_script(directory / "script", directory / "embedded" / "data")
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows: list[Row] = [(name, *(column.get(name, "") for column in columns.values())) for name in names]
    title = f"Credits through all steps: {CASES:,} cases, five systems that answer at once, limits lifted"
    return show(title, ["what", *columns], rows)


def _systems(directory: Path) -> Systems:
    return Systems(directory, "unlimited", LIFTED.split(","), "0", seed=1, lost_seconds=5.0)


def events() -> list[dict[str, Any]]:
    """One case of its own account and incident each: nothing waits for a person, or for the one before it."""
    found = [case("credit", number) for number in range(CASES)]
    for event in found:
        event["data"]["incident_id"] = f"inc-{event['data']['case_id']}"
    return found


def _through_daemon(directory: Path, more: dict[str, str]) -> dict[str, str]:
    with ExitStack() as stack:
        systems = stack.enter_context(_systems(directory))
        settings = {"TIDEGATE_ERP__LIMITS": LIFTED, "TIDEGATE_DAEMON__LOG_LEVEL": "ERROR", **more}
        daemon = _Sampled(directory / "data", systems.settings(**settings))
        stack.enter_context(daemon)
        client = stack.enter_context(Client(daemon.url, daemon.data / "operator.token"))
        theirs = [process.pid for process in systems.all.values()]
        before, cpu = sum(map(cpu_seconds, theirs)), cpu_seconds(daemon.pid)
        begun, wanted = time.perf_counter(), events()
        for start in range(0, CASES, BATCH):
            client.send(wanted[start : start + BATCH])
        accepted = time.perf_counter() - begun
        while (ended := _ended(client)) < CASES:
            if time.perf_counter() - begun > PATIENCE_SECONDS:
                raise RuntimeError(f"{ended} of {CASES} processes ended within {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.2)
        seconds = time.perf_counter() - begun
        used, their = cpu_seconds(daemon.pid) - cpu, sum(map(cpu_seconds, theirs)) - before
    found = {
        "processes/s": f"{CASES / seconds:,.0f}",
        "all accepted after, s": f"{accepted:.1f}",
        "CPU of the daemon or script per process, ms": f"{used / CASES * 1e3:.2f}",
        "CPU of the five systems per process, ms": f"{their / CASES * 1e3:.2f}",
    }
    stages = json.loads(daemon.samples.read_text())
    for stage, spent in sorted(stages.items(), key=lambda pair: -pair[1]):
        found[f"CPU: {stage}, ms per process"] = f"{spent / CASES * 1e3:.2f}"
    return found | dict(_times(directory / "data" / "tidegate.db"))


class _Sampled(DaemonProcess):
    """A daemon whose CPU time is told by stage."""

    @property
    def samples(self) -> Path:
        """Where its samples are, once it has ended."""
        return self.data / "stages.json"

    def command(self) -> list[str]:
        """The same, sampled."""
        python, program, *arguments = super().command()
        return [python, "-m", "tests.load.stages", str(self.samples.absolute()), program, *arguments]


def _ended(client: Client) -> int:
    rows = client.overview()["processes"]
    if wrong := [row for row in rows if row["phase"] == "ended" and row["outcome"] != "posted"]:
        raise RuntimeError(f"processes ended otherwise than posted: {wrong}")
    return sum(row["count"] for row in rows if row["phase"] == "ended")


def _times(path: Path) -> Iterator[tuple[str, str]]:
    """Medians of how long each stage of a process took."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    whole = [row[0] for row in connection.execute("SELECT changed_at - opened_at FROM process")]
    yield "time: begun -> ended everywhere, median ms", f"{middle(whole) / 1e3:,.0f}"
    handled: dict[str, list[int]] = defaultdict(list)
    for kind, waited in connection.execute("SELECT type, handled_at - accepted_at FROM message"):
        handled[kind].append(waited)
    for kind, waits in handled.items():
        yield f"time: {kind}, accepted -> handled, median ms", f"{middle(waits) / 1e3:,.1f}"
    calls = "SELECT c.system, s.started_at - c.requested_at, c.changed_at - s.started_at FROM call c JOIN spend s "
    stages: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for system, waited, took in connection.execute(calls + "ON s.intent_id = c.intent_id"):
        stages[system][0].append(waited)
        stages[system][1].append(took)
    for system, (waited, took) in stages.items():
        yield f"time: {system} call, requested -> started, median ms", f"{middle(waited) / 1e3:,.1f}"
        yield f"time: {system} call, started -> recorded, median ms", f"{middle(took) / 1e3:,.1f}"


# the script --------------------------------------------------------------------------------------------------


def _by_script(directory: Path, store: Path) -> dict[str, str]:
    connection = sqlite3.connect(f"file:{store / 'tidegate.db'}?mode=ro", uri=True)
    cases: dict[str, list[Call]] = defaultdict(list)
    for row in connection.execute("SELECT * FROM call ORDER BY seq"):
        call = read_call(row)
        cases[call.key].append(call)
    with _systems(directory) as systems:
        cpu, begun = time.process_time(), time.perf_counter()
        asyncio.run(_carry(systems, list(cases.values()), directory / "books.db"))
        seconds = time.perf_counter() - begun
        cpu = time.process_time() - cpu
    return {
        "processes/s": f"{len(cases) / seconds:,.0f}",
        "CPU of the daemon or script per process, ms": f"{cpu / len(cases) * 1e3:.2f}",
    }


async def _carry(systems: Systems, cases: list[list[Call]], path: Path) -> None:
    clock = SystemClock()
    adapters: dict[str, RestAdapter] = {"erp": RestAdapter(systems.erp.url, clock, 5.0, 5.0)}
    adapters |= {name: SaasAdapter(name, systems.beside[name].url, clock, 5.0, 5.0) for name in BESIDE}
    for adapter in adapters.values():
        await adapter.open()
    async with aiosqlite.connect(path) as books:
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            await books.execute(f"PRAGMA {pragma}")
        await books.execute("CREATE TABLE call (intent_id TEXT PRIMARY KEY, body BLOB, document TEXT)")
        lock, left = asyncio.Lock(), iter(cases)

        async def work() -> None:
            for calls in left:
                for call in calls:
                    await _step(books, lock, adapters[call.system], call)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    for adapter in adapters.values():
        await adapter.close()


async def _step(books: aiosqlite.Connection, lock: asyncio.Lock, adapter: RestAdapter, call: Call) -> None:
    async with lock:
        await books.execute("INSERT INTO call VALUES (?, ?, NULL)", (call.intent_id, call.body))
        await books.commit()
    answer = await adapter.post(call)
    if not isinstance(answer.outcome, Posted):
        raise RuntimeError(f"{call.system}: {msgspec.json.encode(answer.outcome).decode()}")
    async with lock:
        await books.execute(
            "UPDATE call SET document = ? WHERE intent_id = ?", (answer.outcome.document, call.intent_id)
        )
        await books.commit()
