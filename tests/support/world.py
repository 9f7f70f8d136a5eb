"""A daemon process before a sandbox ERP, under load: started, killed, stopped and watched by fault tests.

What clients were told is kept from the HTTP answers that they got; what happened is read from the ERP.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ops.client import Client, DaemonAway, Refused
from ops.process import DaemonProcess
from ops.sandbox.process import SandboxProcess
from ops.surge import Progress, Surge

T = TypeVar("T")
LIMITS = ("20/1s", "5 concurrent")
LOST_SECONDS = 0.5
_LOOK_SECONDS = 0.02


def until(look: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """The first true thing that `look` sees; looks often, and gives up loudly."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not (seen := look()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        pause.wait(_LOOK_SECONDS)
    return seen


def adjustment(id: str, account: str = "acc-1", amount: str = "12.50", **extensions: Any) -> dict[str, Any]:
    """A command that leads to exactly one call: the shortest way to the ERP. Its business key is its id."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": "urn:test",
        "type": "erp.adjustment.request",
        "tenant": "northwind",
        "idempotencykey": id,
        "datacontenttype": "application/json",
        **extensions,
        "data": {
            "intent_id": f"intent-{id}",
            "account_id": account,
            "amount": {"amount": amount, "currency": "EUR"},
            "reason_code": "service_credit",
            "source_document": id,
            "kind": "credit",
        },
    }


@dataclass
class Sampler:
    """Memory and descriptors of a process, each half second, for as long as it lives."""

    pid: int
    rss_bytes: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Sampler:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while True:
            try:
                pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
                count = len(os.listdir(f"/proc/{self.pid}/fd"))
            except OSError:
                return
            self.rss_bytes.append(pages * page)
            self.descriptors.append(count)
            if self._end.wait(0.5):
                return


class World:
    """One ERP, one daemon, and what clients were told."""

    def __init__(
        self,
        place: Path,
        limits: Sequence[str],
        latency_ms: str,
        settings: Mapping[str, str],
        erp_options: Sequence[str] = (),
    ) -> None:
        self.place = place
        self.erp = SandboxProcess(place / "erp", "custom", limits=limits, latency_ms=latency_ms, options=erp_options)
        self.told: list[dict[str, Any]] = []
        self._settings = dict(settings)
        self._limits = limits
        self.daemon: DaemonProcess

    def new_daemon(self, data: Path, **settings: str) -> DaemonProcess:
        """A daemon on a directory, not started, that knows the ERP and its limits."""
        known = {
            "TIDEGATE_ERP__URL": self.erp.url,
            "TIDEGATE_ERP__LIMITS": ",".join(self._limits),
            "TIDEGATE_ERP__TIMEOUT_SECONDS": "2",
            "TIDEGATE_ERP__LOST_SECONDS": str(LOST_SECONDS),
            "TIDEGATE_DAEMON__LOG_LEVEL": "DEBUG",
        }
        return DaemonProcess(data, {**known, **self._settings, **settings})

    @property
    def store_path(self) -> Path:
        """The daemon's database."""
        return self.daemon.data / "tidegate.db"

    @property
    def accepted_path(self) -> Path:
        """What clients were told, as the certificate reads it."""
        return self.place / "accepted.jsonl"

    def client(self) -> Client:
        """A client of one's own; one thread each."""
        return Client(self.daemon.url, self.daemon.data / "operator.token", timeout_seconds=10.0)

    def log(self) -> str:
        """What the daemon has logged."""
        return self.daemon.log_path.read_text(errors="replace")

    # load ----------------------------------------------------------------------------------------------------

    def surge(self, cases: int, seed: int, patience: float = 60.0) -> Progress:
        """Send an incident and wait for its end, however often the daemon goes away meanwhile."""
        with self.client() as client:
            surge = Surge(client, "incident", cases, seed, lambda progress: None, patience)
            try:
                return surge.run(self.accepted_path)
            finally:
                surge.write(self.accepted_path)
                lines = [json.loads(line) for line in self.accepted_path.read_text().splitlines()]
                self.told = [line for line in lines if "event" not in line]  # the others were seen, not told

    @contextmanager
    def surging(self, cases: int, seed: int, patience: float = 60.0) -> Iterator[Future[Progress]]:
        """The same beside the block; it is waited for at the end of the block."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(self.surge, cases, seed, patience)
            yield future
            future.result()

    def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send adjustments as one batch, and keep what was answered."""
        with self.client() as client:
            receipts = client.send(list(events))
        now_ns = time.monotonic_ns()
        self.told += [
            _row(event, receipt, now_ns, len(self.told) + n) for n, (event, receipt) in _pairs(events, receipts)
        ]
        return receipts

    def ask_outcomes(self) -> None:
        """Ask for the outcome of everything that was accepted, and write the accepted list."""
        rows = {row["id"]: row for row in self.told}
        after, following = -1, 0
        with self.client() as client:
            while after != following:
                after = following
                items, following = client.outcomes(after)
                for item in items:
                    if (row := rows.get(item["id"])) is not None:
                        row["outcome"] = "refused" if item["outcome"] == "exception" else item["outcome"]
                        row.update({n: item[n] for n in ("reason", "reference", "amount", "currency") if n in item})
        self.accepted_path.write_text("".join(json.dumps(row) + "\n" for row in self.told))

    def settled(self) -> bool:
        """Nothing that was accepted is pending; False as well while the daemon is away."""
        try:
            self.ask_outcomes()
        except (DaemonAway, Refused):
            return False
        return all(row["outcome"] != "pending" for row in self.told)

    # looking -------------------------------------------------------------------------------------------------

    def overview(self) -> dict[str, Any]:
        """The whole house; empty while the daemon is away."""
        try:
            with self.client() as client:
                return client.overview()
        except (DaemonAway, Refused):
            return {}

    def calls(self, op: str = "post") -> list[dict[str, Any]]:
        """Calls that the ERP experienced, at their arrival."""
        return [line for line in self.erp.log_lines() if line.get("event") == "arrived" and line["op"] == op]

    def ended(self) -> list[dict[str, Any]]:
        """Calls that ended at the ERP."""
        return [line for line in self.erp.log_lines() if line.get("ended_ns")]

    def actor(self, name: str) -> dict[str, Any]:
        """An actor's place in the census."""
        return next((row for row in self.overview().get("actors", []) if row["path"].endswith(f"/{name}")), {})


def _pairs(events: Sequence[Any], receipts: Sequence[Any]) -> Iterator[tuple[int, tuple[Any, Any]]]:
    return enumerate(zip(events, receipts, strict=True), 1)


def _row(event: dict[str, Any], receipt: dict[str, Any], now_ns: int, sequence: int) -> dict[str, Any]:
    data = event["data"]
    return {
        "id": receipt["id"],
        "key": data["source_document"],
        "account": data["account_id"],
        "tenant": event["tenant"],
        "lane": receipt["lane"],
        "sequence": sequence,
        "accepted_ns": now_ns,
        "outcome": "pending",
        **data["amount"],
    }


@contextmanager
def world(
    place: Path,
    limits: Sequence[str] = LIMITS,
    latency_ms: str = "40..60",
    erp_options: Sequence[str] = (),
    **settings: str,
) -> Iterator[World]:
    """A running ERP and a running daemon."""
    made = World(place, limits, latency_ms, settings, erp_options)
    with made.erp:
        made.daemon = made.new_daemon(place / "data")
        with made.daemon:
            yield made


@contextmanager
def quiet_world(place: Path, limits: Sequence[str] = LIMITS, **settings: str) -> Iterator[World]:
    """A running ERP and a daemon that was not started yet."""
    made = World(place, limits, "5..10", settings)
    with made.erp:
        made.daemon = made.new_daemon(place / "data")
        try:
            yield made
        finally:
            made.daemon.kill()
