"""Operator verbs from the command line: to the daemon when one runs, else into the store."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.client import Client, DaemonAway
from ops.offline import operate

DRAIN_SECONDS_MAX = 3_600.0


def run_verb(
    client: Client,
    directory: Path,
    verb: str,
    target: str,
    reason: str,
    until: datetime | None,
    who: str,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Give or end the order and print its effect; `drain` also waits until nothing is left, showing an estimate."""
    with client:
        try:
            moment = until.isoformat() if until else None
            effect = client.operate(verb, target=target, reason=reason, until=moment, who=who, dry_run=dry_run)
        except DaemonAway:
            if dry_run or not (directory / "tidegate.db").exists():
                raise
            effect = operate(directory, verb, target, who, reason, until)
        if verb == "drain" and not dry_run and "in_flight_calls" in effect:
            effect.update(_wait_until_empty(client, as_json))
    sys.stdout.write((json.dumps(effect) if as_json else _sentence(effect)) + "\n")
    return 0 if effect["done"] or dry_run else 1


def _sentence(effect: dict[str, Any]) -> str:
    lines = [f"{effect['verb']} {effect['target']}: {effect['note']}"]
    if "waiting_calls" in effect:
        lines.append(
            f"{effect['queued_messages']} messages queued, {effect['waiting_calls']} calls waiting, "
            f"{effect['in_flight_calls']} calls in flight (they go on to their end)"
        )
    if "left" in effect:
        lines.append(f"left: {effect['left']}" if effect["left"] else "drained: nothing is left")
    return "\n".join(lines)


def _wait_until_empty(client: Client, as_json: bool) -> dict[str, Any]:
    """Until no work is left, nothing has moved for a minute, or an hour is over: a drain always ends."""
    begun = moved = time.monotonic()
    least: int | None = None
    while True:
        overview = client.overview()
        left = _left(overview)
        total = sum(left.values())
        now = time.monotonic()
        if least is None or total < least:
            least, moved = total, now
        if not total or now - moved > 60 or now - begun > DRAIN_SECONDS_MAX:
            return {"left": {name: count for name, count in left.items() if count}, "seconds": round(now - begun, 1)}
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\rdraining: {total} left ")
        time.sleep(0.5)


def _left(overview: dict[str, Any]) -> dict[str, int]:
    calls = overview["calls"]
    return {
        "messages queued": sum(queue["ready"] + queue["unsettled"] for queue in overview["queues"]),
        "calls waiting": sum(row["waiting"] for row in calls),
        "calls in flight": sum(row["in_flight"] for row in calls),
        "calls of unknown outcome": sum(row["unknown"] for row in calls),
    }
