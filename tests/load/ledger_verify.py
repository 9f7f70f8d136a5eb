"""`tidegate ledger verify` over a small and a large ledger: intents a second, calls, and how much memory grew.

The daemon, the sandbox ERP and the command are real processes; the two ledgers are filled directly. The reference, in
the same run, is the way without pages: both sides read whole into two dictionaries and compared there.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.store.migrate import migrate
from contracts.codec import encode
from contracts.messages import AdjustmentRequest
from contracts.money import Money
from ops.process import DaemonProcess
from ops.sandbox.ledger import FILE_NAME
from ops.sandbox.process import SandboxProcess
from tests.load.run import ROOT, Row, rss_mb, show

SIZES = (100_000, 1_000_000)
SECONDS_MAX = 1_800.0
_INTENT = "INT-{:09d}"

NAIVE = """
import resource, sqlite3, sys, time
begun = time.monotonic()
ask = ["SELECT intent_id, status, minor, currency, document FROM call", "SELECT reference, document_id FROM documents"]
ours, theirs = ({r[0]: r for r in sqlite3.connect(p).execute(q).fetchall()} for p, q in zip(sys.argv[1:], ask))
wrong = [key for key, row in ours.items() if key not in theirs or theirs[key][1] != row[4]]
wrong += [key for key in theirs if key not in ours]
print(len(wrong), time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def run(directory: Path) -> str:
    """Two rows a size: ours, and the reference."""
    rows = [row for size in SIZES for row in _one(directory / str(size), size)]
    columns = ["", "intents", "seconds", "intents/s", "calls to the ERP", "memory grew by MB", "differences"]
    return show("Holding the ledger against an ERP (a listing of 500 documents a call)", columns, rows)


def _one(directory: Path, size: int) -> list[Row]:
    data, erp_data = directory / "data", directory / "erp"
    data.mkdir(parents=True)
    erp_data.mkdir()
    with SandboxProcess(erp_data, "unlimited"):
        pass  # makes its ledger
    fill(data / "tidegate.db", erp_data / FILE_NAME, size)
    with SandboxProcess(erp_data, "unlimited") as erp:
        settings = {
            "TIDEGATE_ERP__URL": erp.url,
            "TIDEGATE_ERP__LIMITS": "1000/1s,20 concurrent",
            "TIDEGATE_RECONCILE__SHARE_PERCENT": "100",
            "TIDEGATE_DAEMON__LOG_LEVEL": "WARNING",
        }
        with DaemonProcess(data, settings) as daemon:
            verify(daemon, 1)  # what is loaded once counts for nobody
            with peak(daemon.pid) as grown:
                begun = time.monotonic()
                found = verify(daemon, 0)
                seconds = time.monotonic() - begun
    ours = ("tidegate ledger verify", str(size), f"{seconds:.1f}", f"{size / seconds:,.0f}", str(found["calls"]))
    reference = subprocess.run(
        [sys.executable, "-c", NAIVE, str(data / "tidegate.db"), str(erp_data / FILE_NAME)],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS_MAX,
    )
    wrong, took, mb = reference.stdout.split()
    theirs = ("two dictionaries", str(size), f"{float(took):.1f}", f"{size / float(took):,.0f}", "0 (reads the file)")
    return [(*ours, f"{grown[0]:.1f}", str(found["differences"])), (*theirs, f"{float(mb):.1f}", wrong)]


def verify(daemon: DaemonProcess, stop_after: int) -> dict[str, int]:
    """The command, to its end; with `stop_after`, a run that is stopped after so many seconds, to warm up."""
    command = [sys.executable, str(ROOT / "run.py"), "--json", "--data", str(daemon.data), "ledger", "verify"]
    environ = {**os.environ, "TIDEGATE_URL": daemon.url}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    if stop_after:
        time.sleep(stop_after)
        subprocess.run([*command[:-1], "stop"], env=environ, check=False, capture_output=True)
    out, _ = process.communicate(timeout=SECONDS_MAX)
    found: dict[str, int] = json.loads(out) if out else {}
    return found


@contextmanager
def peak(pid: int) -> Iterator[list[float]]:
    """By how many MB a process grows at most while the block runs; in the list when it is over."""
    before, grown, end = rss_mb(pid), [0.0], threading.Event()

    def watch() -> None:
        while not end.wait(0.05):
            grown[0] = max(grown[0], rss_mb(pid) - before)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield grown
    finally:
        end.set()
        watching.join()


def fill(store: Path, ledger: Path, size: int) -> None:
    """So many done calls in the store, and their documents at the ERP."""
    migrate(store)
    amount = Money(1250, "EUR")
    with sqlite3.connect(store) as ours, sqlite3.connect(ledger) as theirs:
        names = next(_calls(1, amount))
        marks = ", ".join(f":{name}" for name in names)
        quoted = ", ".join(f'"{name}"' for name in names)
        ours.executemany(f"INSERT INTO call ({quoted}) VALUES ({marks})", _calls(size, amount))
        document = "(NULL, printf('ADJ-%08d', ?1), ?2, NULL, 'f', ?2, 'ACC-1', '12.50', 'EUR', ?2, 'posted', ?3, 'r')"
        moment = "2026-01-05T09:00:00.000000Z"
        rows = ((n, _INTENT.format(n), moment) for n in range(1, size + 1))
        theirs.executemany(f"INSERT INTO documents VALUES {document}", rows)


def _calls(size: int, amount: Money) -> Iterator[dict[str, object]]:
    for number in range(1, size + 1):
        intent = _INTENT.format(number)
        body = AdjustmentRequest(
            intent_id=intent,
            account_id="ACC-1",
            amount=amount,
            reason_code="service_credit",
            source_document=intent,
            kind="credit",
        )
        yield {
            "seq": number,
            "intent_id": intent,
            "fingerprint": "f",
            "system": "erp",
            "operation": "adjustment.create",
            "tenant": "t",
            "lane": "standard",
            "key": intent,
            "order_ref": "erp|t|standard|ACC-1",
            "message_id": intent,
            "correlation_id": "c",
            "minor": amount.minor,
            "currency": amount.currency,
            "body": encode(body),
            "status": "done",
            "open": 0,
            "ready": 0,
            "attempts": 1,
            "sent": 1,
            "not_before": 0,
            "requested_at": 1,
            "changed_at": 1,
            "document": f"ADJ-{number:08d}",
            "reason": None,
            "workload": "",
            "deadline": 2**62,
            "partition": 0,
        }


def main() -> None:
    """By itself, for a look: `python -m tests.load.ledger_verify 20000`."""
    import tempfile

    global SIZES
    SIZES = tuple(int(size) for size in sys.argv[1:]) or SIZES
    with tempfile.TemporaryDirectory() as scratch:
        sys.stdout.write(run(Path(scratch)))


if __name__ == "__main__":
    main()
