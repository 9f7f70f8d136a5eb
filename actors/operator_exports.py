"""What is purged is written out whole first, to a file in the data directory that only its owner can read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from broker.crash_points import durable
from broker.store.rows import ExceptionRecord

FOLDER = "exports"
_encode = msgspec.json.Encoder().encode


class Export:
    """Writes JSON Lines: one set-aside message a line, its body as text or, if it is none, as base64."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER

    @durable("file", "export")
    async def write(self, records: Sequence[ExceptionRecord], name: str) -> str:
        """Write them and return when they are on the disk; the path.

        Raises:
            OSError: nothing may be purged.
        """
        return str(await asyncio.to_thread(self._write, records, name))

    def _write(self, records: Sequence[ExceptionRecord], name: str) -> Path:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{name}.jsonl"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:
            file.writelines(_encode(_row(record)) + b"\n" for record in records)
            file.flush()
            os.fsync(file.fileno())
        return path


def _row(record: ExceptionRecord) -> dict[str, Any]:
    row = msgspec.structs.asdict(record)
    try:
        row["body"] = None if record.body is None else record.body.decode()
    except UnicodeDecodeError:
        row["body_base64"] = row.pop("body")
    return row
