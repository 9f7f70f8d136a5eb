"""Command line of the sandbox ERP: `python -m ops.sandbox --data DIR [--profile NAME] ...`."""

import argparse
import sqlite3
import sys
import tomllib
from pathlib import Path

import msgspec

from ops.sandbox.erp import Settings
from ops.sandbox.faults import FaultSet, load_faults
from ops.sandbox.journal import JournalError
from ops.sandbox.limits import LimitError, load_profile
from ops.sandbox.server import run
from ops.sandbox.systems import SYSTEMS


def parser() -> argparse.ArgumentParser:
    """The options, with their units and defaults."""
    options = argparse.ArgumentParser(
        prog="python -m ops.sandbox",
        description="A sandbox ERP with its own ledger, limits, faults and log.",
    )
    add = options.add_argument
    add("--system", choices=list(SYSTEMS), default="erp", help="which system it is (default: erp)")
    add("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one (default)")
    add("--data", type=Path, required=True, help="directory of the ledger and the log; created when missing")
    add("--profile", default="demo", help="limits profile of profiles.toml, or 'custom' (default: demo)")
    add(
        "--limit",
        action="append",
        default=[],
        help="one more limit: 10/1s, 60/min, '5 concurrent'; repeatable",
    )
    add(
        "--latency-ms",
        type=_range,
        default=(0.0, 0.0),
        help="execution time of a call: 50 or 40..60 (default 0)",
    )
    add("--seed", type=int, default=0, help="seed of the latencies (faults have seeds of their own)")
    add("--faults", type=Path, help="file with the body of PUT /sandbox/faults, as .json or .toml")
    add("--token-file", type=Path, help="file with the bearer token of calls; it may change while running")
    add("--idempotency-seconds", type=float, help="how long a key is remembered (default: for ever)")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM; 0 after a clean end, 1 when it could not start, 2 for wrong use."""
    options = parser().parse_args(arguments)
    try:
        profile = load_profile(options.profile, options.limit)
        faults = load_faults(options.faults) if options.faults else FaultSet()
    except (LimitError, OSError, msgspec.DecodeError, tomllib.TOMLDecodeError, ValueError) as error:
        parser().error(str(error))
    settings = Settings(
        latency_ms=options.latency_ms,
        seed=options.seed,
        idempotency_seconds=options.idempotency_seconds,
        token_path=options.token_file,
    )
    try:
        run(options.port, options.data, profile, settings, faults, SYSTEMS[options.system])
    except (OSError, sqlite3.Error, JournalError) as error:
        sys.stderr.write(f"the sandbox ERP cannot start: {error}\n")
        return 1
    return 0


def _range(text: str) -> tuple[float, float]:
    low, _, high = text.partition("..")
    bounds = float(low), float(high or low)
    if not 0 <= bounds[0] <= bounds[1]:
        raise ValueError(text)
    return bounds


if __name__ == "__main__":
    sys.exit(main())
