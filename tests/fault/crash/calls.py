"""What the systems' own logs say of the calls they experienced: each was written down before, and none was blind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.systems import Systems
from tests.fault.crash.reading import Finding, ask

EXECUTED = ("created", "replayed")
EARLIER = "an earlier boot"
"""Whose calls the systems of a case have not experienced."""


def marks(systems: Systems) -> dict[str, int]:
    """Where the log of each system ends now, in bytes."""
    return {name: system.log_path.stat().st_size for name, system in systems.all.items()}


def _since(path: Path, mark: int) -> list[dict[str, Any]]:
    """The calls that ended after the mark, in the order of their arrival."""
    with open(path, "rb") as log:
        log.seek(mark)
        lines = [json.loads(line) for line in log.read().rpartition(b"\n")[0].splitlines()]
    return sorted((line for line in lines if "ended_ns" in line), key=lambda line: int(line["seq"]))


def call_findings(systems: Systems, store: Path, since: Mapping[str, int]) -> Iterator[Finding]:
    """Posts without an intent, posts after an execution that nobody had asked about, calls that were not counted."""
    sent = {intent: count for intent, count in ask(store, "SELECT intent_id, sent FROM call")}
    for name, system in systems.all.items():
        calls = _since(system.log_path, since[name])
        posts = Counter(call["reference"] for call in calls if call["op"] == "post")
        for reference, count in posts.items():
            if count > sent.get(reference, 0):
                yield Finding(
                    "unrecorded", f"{name} got {count} posts of {reference}; {sent.get(reference, 0)} intents"
                )
        yield from _blind(name, calls)
        yield from _uncounted(name, len(calls), store)


def _blind(name: str, calls: list[dict[str, Any]]) -> Iterator[Finding]:
    executed: set[str] = set()
    for call in calls:
        reference = call["reference"]
        if call["op"] == "find":
            executed.discard(reference)
        elif call["op"] == "post" and reference in executed:
            yield Finding("blind", f"{name} was sent {reference} again, which it had done, and nobody had asked")
        elif call["op"] == "post" and call["verdict"] in EXECUTED:
            executed.add(reference)


def _uncounted(name: str, calls: int, store: Path) -> Iterator[Finding]:
    ((counted,),) = ask(
        store,
        f"SELECT (SELECT count(*) FROM spend WHERE system = '{name}')"
        f" + (SELECT coalesce(sum(calls), 0) FROM spend_sum WHERE system = '{name}' AND boot <> '{EARLIER}')",
    ) or [(0,)]
    if calls > counted:
        yield Finding("uncounted", f"{name} experienced {calls} calls; the budget knows of {counted}")
