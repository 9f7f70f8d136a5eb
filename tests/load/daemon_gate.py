"""How much of what the ERP allows is used under backlog, and whether any window is over: read from the ERP's log."""

from __future__ import annotations

import time
from pathlib import Path

from ops.certificate import certify, parse_limit, read_log
from ops.process import DaemonProcess
from ops.sandbox.process import SandboxProcess
from tests.load.fullway import fill
from tests.load.run import Row, show

CASES = (
    ("10/1s, 5 concurrent", ("10/1s", "5 concurrent"), 20.0),
    ("20/1s, 5 concurrent", ("20/1s", "5 concurrent"), 20.0),
    ("100/1s, 20 concurrent", ("100/1s", "20 concurrent"), 15.0),
    ("600/30s, 10 concurrent", ("600/30s", "10 concurrent"), 65.0),
)
LATENCY = "40..60"


def run(directory: Path) -> str:
    """One row a budget: use of the allowed calls, windows over."""
    rows = [_one(directory / str(number), *case) for number, case in enumerate(CASES)]
    columns = ["budget", "calls", "allowed", "used %", "worst window", "windows over", "refused"]
    return show(f"Use of the budget under backlog (ERP latency {LATENCY} ms)", columns, rows)


def _one(directory: Path, name: str, limits: tuple[str, ...], seconds: float) -> Row:
    fill(directory / "data", 3_000)
    rate = parse_limit(limits[0])
    with SandboxProcess(directory / "erp", "custom", limits=limits, latency_ms=LATENCY) as erp:
        settings = {
            "TIDEGATE_ERP__URL": erp.url,
            "TIDEGATE_ERP__LIMITS": ",".join(limits),
            "TIDEGATE_DAEMON__LOG_LEVEL": "ERROR",
        }
        with DaemonProcess(directory / "data", settings):
            time.sleep(seconds)
        log = read_log(erp.log_path)
        certificate = certify(erp.log_path, limits=[parse_limit(text) for text in limits])
    arrivals = sorted(log.arrived_ns)
    window_ns = int((rate.seconds or 1) * 1e9)
    whole = int((arrivals[-1] - arrivals[0]) // window_ns)
    used = sum(at < arrivals[0] + whole * window_ns for at in arrivals)
    allowed = whole * int(rate.limit)
    over = sum(finding.violations for finding in certificate.limits)
    worst = next(f.worst for f in certificate.limits if f.name.startswith(str(int(rate.limit))))
    return (
        name,
        str(used),
        str(allowed),
        f"{100 * used / allowed:.1f}",
        f"{worst:g}",
        str(over),
        str(certificate.calls.refused_429),
    )
