"""`python -m tests.load.rabbitmq_peers.run`: every peer on one private node, one after another; a table.

Each measurement is a process of its own, with a virtual host of its own and a time bound.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ops.rabbitmq_node import RabbitNode, shared_node

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-bench" / "bin" / "python"
WHAT = ("publish", "consume", "store", "both")
TITLES = {
    "publish": "publish, confirmed",
    "consume": "consume + ack",
    "store": "consume + commit + ack",
    "both": "publish + consume",
}
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer, and how many messages take it two to four seconds on two cores, for each of `WHAT` that it can do."""

    module: str
    title: str
    counts: tuple[int, ...]


PEERS = (
    Entry("raw_aio_pika", "aio-pika", (30_000, 30_000, 9_000, 20_000)),
    Entry("faststream_rabbit", "FastStream", (20_000, 20_000, 9_000, 14_000)),
    Entry("taskiq_rabbit", "taskiq", (20_000, 14_000, 9_000)),
    Entry("dramatiq_rabbit", "Dramatiq", (14_000, 20_000, 12_000)),
    Entry("celery_rabbit", "Celery", (5_000, 14_000, 9_000)),
)


class PeerFailed(Exception):
    """A peer ended without a rate; the text has the end of what it said."""


def measure(node: RabbitNode, peer: Entry, what: str, share: float = 1.0) -> float:
    """Messages a second of one peer doing one thing; `share` shortens the run.

    Raises:
        PeerFailed: it failed, or took longer than `TIMEOUT_SECONDS`.
    """
    return _run(node, peer, what, max(int(peer.counts[WHAT.index(what)] * share), 300))


def measure_urgent(node: RabbitNode, peer: Entry, behind: int) -> float:
    """p99 in milliseconds, publish to handler, of an urgent message behind so many routine ones.

    Raises:
        PeerFailed: it failed, or took longer than `TIMEOUT_SECONDS`.
    """
    return _run(node, peer, "urgent", behind)


def _run(node: RabbitNode, peer: Entry, what: str, count: int) -> float:
    url = node.url(node.vhost())
    command = [str(PYTHON), "-m", f"tests.load.rabbitmq_peers.{peer.module}", what, url, str(count)]
    try:
        with tempfile.TemporaryDirectory(prefix="tidegate-peer-") as scratch:  # a peer ends without tidying up
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "TMPDIR": scratch},
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_SECONDS,
            )
    except subprocess.TimeoutExpired as slow:
        raise PeerFailed(f"{peer.title}, {what}: no result within {TIMEOUT_SECONDS:.0f} s: {slow.stderr!r}") from None
    if done.returncode:
        raise PeerFailed(f"{peer.title}, {what}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["rate"])


def main() -> int:
    """Print the table; 1 when a peer failed."""
    options = argparse.ArgumentParser(prog="python -m tests.load.rabbitmq_peers.run")
    options.add_argument("--share", type=float, default=1.0, help="part of the messages, for a short look")
    options.add_argument("--peer", action="append", help="only this one; repeatable")
    given = options.parse_args()
    node = shared_node()
    sys.stdout.write(f"{'messages/s':<12}" + "".join(f"{TITLES[what]:>26}" for what in WHAT) + "\n")
    failed: list[str] = []
    for peer in PEERS:
        if given.peer and peer.title not in given.peer:
            continue
        sys.stdout.write(f"{peer.title:<12}")
        for what in WHAT[: len(peer.counts)]:
            try:
                cell = f"{measure(node, peer, what, given.share):,.0f}"
            except PeerFailed as problem:
                failed.append(str(problem))
                cell = "failed"
            sys.stdout.write(f"{cell:>26}")
            sys.stdout.flush()
        sys.stdout.write("\n")
    sys.stdout.write("".join(f"{problem}\n" for problem in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
