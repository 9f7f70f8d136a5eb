"""`make bench`: every benchmark in one run. `python -m tests.load.bench gate --write` picks one and keeps its table."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.load import (
    accept,
    adaptive,
    audit,
    budgets,
    daemon_gate,
    fullway,
    ledger_verify,
    rabbitmq,
    recovery,
    refunds,
)
from tests.load.run import ROOT, machine

BENCHES: dict[str, Callable[[Path], str]] = {
    "accept": accept.run,
    "fullway": fullway.run,
    "refunds": refunds.run,
    "recovery": recovery.run,
    "gate": budgets.run,
    "adaptive": adaptive.run,
    "daemon-gate": daemon_gate.run,
    "audit": audit.run,
    "ledger": ledger_verify.run,
}
MORE: dict[str, Callable[[Path], str]] = {"rabbitmq": rabbitmq.run}
"""Measured when named: they need a broker and the peers' environment."""
PAGES = ROOT / "ops" / "docs"
_HEAD = "Written by `make bench ARGS=--write`. Absolute rates are one machine's; ratios travel."


def main(arguments: list[str]) -> int:
    """Run the named benchmarks (all when none is named); with --write, keep each table in a page of the documents."""
    write = "--write" in arguments
    names = [name for name in arguments if not name.startswith("--")] or list(BENCHES)
    known = {**BENCHES, **MORE}
    if unknown := [name for name in names if name not in known]:
        sys.stderr.write(f"no benchmark {unknown[0]!r}; there are {', '.join(known)}\n")
        return 2
    parts = []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as scratch:
        for name in names:
            sys.stdout.write(f"{name}: running ...\n")
            sys.stdout.flush()
            (Path(scratch) / name).mkdir()
            parts.append(known[name](Path(scratch) / name))
    if write:
        for name, part in zip(names, parts, strict=True):
            page = PAGES / f"benchmarks-{name}.md"
            page.write_text(f"# Benchmark: {name}\n\n{_HEAD}\n\nMeasured on {machine()}.\n\n{part}")
            sys.stdout.write(f"written to {page.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
