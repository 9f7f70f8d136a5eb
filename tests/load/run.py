"""What the benchmarks share: processes, numbers of a process, tables."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("TIDEGATE_BENCH_ROUNDS", "3"))

Row = tuple[str, ...]


def load(url: str, run: str, count: int, batch: int, connections: int) -> dict[str, float]:
    """Drive a server with the load client in a process of its own."""
    command = [sys.executable, "-m", "tests.load.client", url, "/v1/messages", run]
    numbers = [str(count), str(batch), str(connections)]
    done = subprocess.run([*command, *numbers], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"the load client failed: {done.stderr[-500:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


@contextmanager
def reference(kind: str, directory: Path) -> Iterator[str]:
    """A reference server; its URL."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.load.references", kind, str(directory)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def rss_mb(pid: int) -> float:
    """Resident memory of a process in megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)


def show(title: str, columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Print a table and give it as Markdown."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    lines = [f"### {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def machine() -> str:
    """What the numbers were measured on."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "?"
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpus = sum(line.startswith("processor") for line in lines)
    return f"{cpus} CPUs, Linux {platform.release()}, Python {platform.python_version()}, commit {commit}"
