"""The two demos, small: what a stranger runs first must pass."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("crash", [False, True], ids=["quiet", "crash"])
def test_the_demo_ends_with_a_certificate_that_passes(tmp_path: Path, crash: bool) -> None:
    command = [
        sys.executable,
        str(ROOT / "run.py"),
        "--json",
        "demo",
        "--cases",
        "150",
        "--out",
        str(tmp_path / "demo"),
    ]
    done = subprocess.run(
        [*command, *(["--crash"] if crash else [])], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr[-2000:]
    certificate = json.loads(done.stdout)["certificate"]
    assert certificate["verdict"] == "PASS"
    assert certificate["documents"] > 50
    assert certificate["calls"]["refused_429"] == 0
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
