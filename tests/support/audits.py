"""The audit, recomputed from the table by nothing but hashlib and sqlite3."""

import hashlib
import sqlite3
from pathlib import Path


def verified(file: Path) -> list[tuple[str, str]]:
    """(verb, subject) of every entry, oldest first, after checking the numbers and each hash from the genesis on."""
    connection = sqlite3.connect(file)
    rows = connection.execute(
        "SELECT seq, at, actor, verb, subject, facts, cause, policy, inputs, hash FROM audit ORDER BY seq"
    ).fetchall()
    connection.close()
    before = "0" * 64
    for place, (*fields, given) in enumerate(rows, start=1):
        assert fields[0] == place, f"entry {place} has the number {fields[0]}"
        text = "\x1f".join(str(value) for value in (fields if any(fields[6:]) else fields[:6]))
        before = hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
        assert given == before, f"entry {place} does not follow from the one before it"
    return [(row[3], row[4]) for row in rows]
