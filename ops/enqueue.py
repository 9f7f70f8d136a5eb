"""`tidegate enqueue`: events from files to the daemon, in batches, with a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from ops.client import Client

BATCH = 100


class Unreadable(Exception):
    """A file is not JSON or JSON Lines; the text names file and line."""


def run_enqueue(client: Client, files: Sequence[str], as_json: bool) -> int:
    """Read everything first, then send: a file with a mistake sends nothing. The exit code."""
    try:
        events = [event for name in files for event in _read(name)]
    except Unreadable as problem:
        sys.stderr.write(f"tidegate: {problem}\n")
        return 1
    duplicates = conflicts = 0
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        bar = progress.add_task("enqueue", total=len(events))
        for start in range(0, len(events), BATCH):
            for receipt in client.send(events[start : start + BATCH]):
                duplicates += bool(receipt.get("duplicate")) and not receipt.get("code")
                if receipt.get("code"):
                    conflicts += 1
                    sys.stderr.write(f"tidegate: {receipt['id']}: {receipt['detail']} ({receipt['code']})\n")
                if as_json:
                    sys.stdout.write(json.dumps(receipt) + "\n")
            progress.update(bar, completed=min(start + BATCH, len(events)))
    if not as_json:
        fresh = len(events) - duplicates - conflicts
        sys.stdout.write(f"{fresh} accepted, {duplicates} known already, {conflicts} in conflict\n")
    return 1 if conflicts else 0


def _read(name: str) -> Iterator[dict[str, Any]]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{name}: cannot be read: {error}") from None
    try:
        whole = json.loads(text)
    except ValueError:
        yield from _lines(name, text)
        return
    for event in whole if isinstance(whole, list) else [whole]:
        yield _event(name, 1, event)


def _lines(name: str, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield _event(name, number, json.loads(line))
            except ValueError as error:
                raise Unreadable(f"{name}:{number}: not JSON ({error}); nothing was sent") from None


def _event(name: str, number: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(
            f"{name}:{number}: expected a CloudEvents object, not {type(value).__name__}; nothing was sent"
        )
    return value
