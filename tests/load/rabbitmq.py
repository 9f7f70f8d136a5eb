"""The RabbitMQ engine beside its rivals: one node, 1 KB persistent messages, quorum queues, all in one run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ops.rabbitmq_node import RabbitNode, shared_node
from tests.load.rabbitmq_peers.run import PEERS, TITLES, WHAT, Entry, PeerFailed, measure, measure_urgent
from tests.load.run import ROOT, ROUNDS, Row, middle, show

COUNTS = {"publish": 60_000, "consume": 60_000, "store": 40_000, "both": 40_000, "urgent": 100_000}
SPREAD = (1, 64, 256)
SPREAD_COUNTS = {"publish": 60_000, "consume": 240_000}
"""Starting 256 consumers takes the broker most of a second, which is part of the time."""
WAITING = (10_000, 1_000_000)
_TIMEOUT_SECONDS = 600.0
Rates = dict[tuple[str, str], list[float]]


def ours(node: RabbitNode, what: str, count: int, queues: int = 1, vhost: str = "") -> dict[str, float]:
    """One measurement of our engine, in a virtual host of its own unless one is named.

    Raises:
        RuntimeError: it failed.
    """
    url = node.url(vhost or node.vhost())
    command = [sys.executable, "-m", "tests.load.rabbitmq_ours", what, url, str(count), str(queues)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS)
    if done.returncode:
        raise RuntimeError(f"our engine failed at {what}: {done.stderr[-1000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(directory: Path) -> str:
    """All tables as Markdown."""
    node = shared_node()
    return "\n".join((_rivals(node), _urgent(node), _size(node), _waiting(node)))


def _rivals(node: RabbitNode) -> str:
    rates: Rates = {}
    for _ in range(ROUNDS):
        for what in WHAT:
            rates.setdefault(("tidegate", what), []).append(ours(node, what, COUNTS[what])["rate"])
            for peer in PEERS:
                if WHAT.index(what) < len(peer.counts):
                    rates.setdefault((peer.title, what), []).append(_peer(node, peer.title, what))
    rows: list[Row] = []
    for name in ("tidegate", *(peer.title for peer in PEERS)):
        cells = []
        for what in WHAT:
            mine = middle(rates["tidegate", what])
            theirs = middle(rates[name, what]) if (name, what) in rates else 0.0
            cells.append(
                "" if not theirs else f"{theirs:,.0f}" + ("" if name == "tidegate" else f" ({mine / theirs:.1f}x)")
            )
        rows.append((name, *cells))
    return show(
        "Messages a second, and in brackets how many times faster we are", ["", *(TITLES[what] for what in WHAT)], rows
    )


def _peer(node: RabbitNode, title: str, what: str) -> float:
    try:
        return measure(node, next(peer for peer in PEERS if peer.title == title), what)
    except PeerFailed as failed:
        sys.stderr.write(f"{failed}\n")
        return float("nan")


def _urgent(node: RabbitNode) -> str:
    behind = COUNTS["urgent"]
    found = [ours(node, "urgent", behind) for _ in range(ROUNDS)]
    alone_ms, behind_ms = (middle([one[name] for one in found]) for name in ("alone_ms", "behind_ms"))
    rows: list[Row] = [_urgent_row("tidegate", alone_ms, behind_ms)]
    for peer in PEERS:
        try:
            rows.append(
                _urgent_row(peer.title, *(_middle_urgent(node, peer, waiting) for waiting in (0, behind))),
            )
        except PeerFailed as failed:
            sys.stderr.write(f"{failed}\n")
            rows.append((peer.title, "failed", "", ""))
    title = (
        f"An urgent message, publish to handler, p99 ms, alone and behind {behind:,} routine ones "
        "(the peers with a priority queue, each by its own option)"
    )
    return show(title, ["", "alone", "behind", "ratio"], rows)


def _middle_urgent(node: RabbitNode, peer: Entry, waiting: int) -> float:
    return middle([measure_urgent(node, peer, waiting) for _ in range(ROUNDS)])


def _urgent_row(name: str, alone_ms: float, behind_ms: float) -> Row:
    return (name, f"{alone_ms:.1f}", f"{behind_ms:.1f}", f"{behind_ms / alone_ms:.2f}")


def _waiting(node: RabbitNode) -> str:
    """Publishing to and consuming from a queue in which many messages stay waiting all the while."""
    rows: list[Row] = []
    base: dict[str, float] = {}
    for waiting in WAITING:
        vhost = node.vhost()
        ours(node, "publish", waiting, vhost=vhost)
        found = [ours(node, "beside", COUNTS["both"], vhost=vhost) for _ in range(ROUNDS)]
        rate, rss = middle([one["rate"] for one in found]), middle([one["rss_mb"] for one in found])
        base.setdefault("rate", rate)
        base.setdefault("rss", rss)
        rows.append(
            (
                f"{waiting:,} waiting",
                f"{rate:,.0f}",
                f"{rate / base['rate']:.2f}",
                f"{rss:.0f}",
                f"{rss - base['rss']:+.0f}",
            )
        )
    return show("Many messages waiting", ["", "publish + consume/s", "of few", "RSS MB", "more"], rows)


def _size(node: RabbitNode) -> str:
    """What many queues and many waiting messages cost."""
    rows: list[Row] = []
    base: dict[str, float] = {}
    for queues in SPREAD:
        cells = []
        for what in SPREAD_COUNTS:
            rate = middle([ours(node, what, SPREAD_COUNTS[what], queues)["rate"] for _ in range(ROUNDS)])
            base.setdefault(what, rate)
            cells += [f"{rate:,.0f}", f"{rate / base[what]:.2f}"]
        rows.append((f"{queues} queues", *cells))
    return show("Many queues", ["", "publish/s", "of one", "consume/s", "of one"], rows)
