"""The long fault run against RabbitMQ: `python -m tests.fault.rabbitmq_campaign [WORD ...]`.

One line of JSON for each fault of the catalogue (those whose title has one of the words, when words are given), then
200 random cuts. The exit code is the number of lines whose verdict is not "holds".
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ops.rabbitmq_node import RabbitNode, shared_node
from tests.support.rabbitmq_faults import FAULTS, Fault, under

_CHECKED = ["I1 nothing lost", "I2 handled once", "I4 order per account", "I8 healed, consumers back, nothing stuck"]
_CUTS = ["-m", "pytest", "-q", "tests/fault/test_rabbitmq_cuts.py"]


def main(words: list[str]) -> int:
    """Run and print; the number of faults under which something did not hold."""
    node = shared_node()
    chosen = [fault for fault in FAULTS if not words or any(word in fault.title for word in words)]
    bad = sum(_line(fault, node) for fault in chosen)
    if not words or "cuts" in words:
        started = time.monotonic()
        environ = {**os.environ, "TIDEGATE_FAULT_ROUNDS": os.environ.get("TIDEGATE_FAULT_ROUNDS", "200")}
        code = subprocess.run([sys.executable, *_CUTS], env=environ, stdout=subprocess.DEVNULL).returncode
        _say("F34 F35 F39 F41 F44", "cuts through a proxy", [] if code == 0 else ["see pytest"], started)
        bad += code != 0
    return bad


def _line(fault: Fault, node: RabbitNode) -> bool:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tidegate-campaign-") as place:
        findings = asyncio.run(under(fault, Path(place), node))
    _say(fault.number, fault.title, [f"{f.invariant}: {f.detail}" for f in findings], started)
    return bool(findings)


def _say(number: str, title: str, findings: list[str], started: float) -> None:
    line = {"fault": number, "title": title, "verdict": findings or "holds", "checked": _CHECKED}
    print(json.dumps({**line, "seconds": round(time.monotonic() - started, 1)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 100))
