"""`tidegate enqueue`: events from files to the daemon, in batches, with a progress bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress

from contracts.caps import Caps
from contracts.catalogue import REGISTRY
from contracts.envelope import decode_envelope
from contracts.errors import ContractError
from contracts.scan import split_batch
from ops.client import Client

BATCH = 100
_BATCH_BYTES_MAX = 2 * 1024 * 1024
_NO_LIMIT = 2**40


class Unreadable(Exception):
    """A file holds something that is no event; the text names file and line."""


class Event(msgspec.Struct, frozen=True):
    """An event as it stands in its file, and where."""

    place: str
    raw: bytes


def run_enqueue(client: Client, files: Sequence[str], as_json: bool, signed: bool = False) -> int:
    """Read and check everything first, then send: a file with a mistake sends nothing. The exit code.

    `signed`: in the name of our token.

    Raises:
        DaemonAway, Refused: not everything was sent; what comes when it is run again is recognised.
    """
    try:
        events = [event for name in files for event in read_events(name)]
    except Unreadable as problem:
        sys.stderr.write(f"tidegate: {problem}; nothing was sent\n")
        return 1
    duplicates = conflicts = 0
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        bar = progress.add_task("enqueue", total=len(events))
        for batch in _batches(events):
            receipts = client.send_raw([event.raw for event in batch], signed)
            for event, receipt in zip(batch, receipts, strict=True):
                duplicates += bool(receipt.get("duplicate")) and not receipt.get("code")
                if receipt.get("code"):
                    conflicts += 1
                    sys.stderr.write(f"tidegate: {event.place}: {receipt['detail']} ({receipt['code']})\n")
                if as_json:
                    sys.stdout.write(json.dumps(receipt) + "\n")
            progress.advance(bar, len(batch))
    if not as_json:
        fresh = len(events) - duplicates - conflicts
        sys.stdout.write(f"{fresh} accepted, {duplicates} known already, {conflicts} in conflict\n")
    return 1 if conflicts else 0


def read_events(name: str) -> Iterator[Event]:
    """The events of a file (`-`: standard input): one, a JSON array, or JSON Lines; each checked by its contract.

    Raises:
        Unreadable: naming file and line.
    """
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Unreadable(f"{name}: cannot be read: {error.strerror}") from None
    text = text.removeprefix(b"\xef\xbb\xbf")
    found = 0
    for line, raw in _split(name, text):
        found += 1
        place = f"{name}:{line}"
        try:
            _check(raw)
        except ContractError as error:
            raise Unreadable(f"{place}: {error.title}: {error.detail} ({error.code} at {error.path or '/'})") from None
        yield Event(place, raw)
    if not found:
        raise Unreadable(f"{name}: holds no event")


def _split(name: str, text: bytes) -> Iterator[tuple[int, bytes]]:
    """Events with the numbers of the lines they begin on."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if text.lstrip()[:1] == b"[":
        yield from _elements(name, text)
    elif len(lines) > 1 and not _is_json(lines[0][1]):
        yield lines[0][0], text  # one event, written over several lines
    else:
        yield from lines


def _elements(name: str, text: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        parts = split_batch(text, Caps(batch_bytes_max=_NO_LIMIT, batch_events_max=_NO_LIMIT))
    except ContractError as error:
        raise Unreadable(f"{name}:{_faulty_line(text)}: {error.title}: {error.detail} ({error.code})") from None
    at, line = 0, 1
    for part in parts:
        begin = text.index(part, at)
        line += text.count(b"\n", at, begin)
        yield line, part
        at, line = begin + len(part), line + part.count(b"\n")


def _faulty_line(text: bytes) -> int:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno
    except ValueError:  # not UTF-8
        pass
    return 1


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _check(raw: bytes) -> None:
    envelope = decode_envelope(raw)
    REGISTRY.decode_data(envelope)
    if REGISTRY.newest(envelope.type).kind == "command" and envelope.idempotencykey is None:
        raise ContractError("idempotency.missing", "A command needs the attribute idempotencykey.", "/idempotencykey")


def _batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """In order, bounded in number and in bytes."""
    batch: list[Event] = []
    size = 0
    for event in events:
        if batch and (len(batch) == BATCH or size + len(event.raw) > _BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event.raw)
    if batch:
        yield batch
