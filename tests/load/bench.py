"""`make bench`: every benchmark in one run. `python -m tests.load.bench gate --write` picks one and keeps its table."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.load import accept, fullway, gate
from tests.load.run import ROOT, machine

BENCHES: dict[str, Callable[[Path], str]] = {"accept": accept.run, "fullway": fullway.run, "gate": gate.run}
PAGE = ROOT / "ops" / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> int:
    """Run the named benchmarks (all when none is named); with --write, keep the tables in the benchmark page."""
    write = "--write" in arguments
    names = [name for name in arguments if not name.startswith("--")] or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        sys.stderr.write(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHES)}\n")
        return 2
    parts = []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as scratch:
        for name in names:
            sys.stdout.write(f"{name}: running ...\n")
            sys.stdout.flush()
            (Path(scratch) / name).mkdir()
            parts.append(BENCHES[name](Path(scratch) / name))
    if write:
        head = (
            "# Benchmarks\n\nWritten by `make bench ARGS=--write`. Absolute rates are one machine's; ratios travel.\n\n"
        )
        PAGE.write_text(head + f"Measured on {machine()}.\n\n" + "\n".join(parts))
        sys.stdout.write(f"written to {PAGE.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
