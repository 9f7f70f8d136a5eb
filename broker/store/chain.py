"""The audit's hash chain: each entry's hash covers the entry and the hash before it.

hash(n) = sha256(hash(n-1) + "\\n" + the six fields joined by U+001F), in hexadecimal; the first entry follows
`GENESIS`. A separate program can recompute it from the table alone.
"""

from __future__ import annotations

import hashlib

GENESIS = "0" * 64


def canonical(seq: int, at: int, actor: str, verb: str, subject: str, facts: str) -> bytes:
    """The bytes that an entry stands for. `facts` is JSON text already, kept to the letter."""
    return "\x1f".join((str(seq), str(at), actor, verb, subject, facts)).encode()


def link(previous: str, seq: int, at: int, actor: str, verb: str, subject: str, facts: str) -> str:
    """The hash of an entry that follows `previous` (hexadecimal)."""
    return hashlib.sha256(previous.encode() + b"\n" + canonical(seq, at, actor, verb, subject, facts)).hexdigest()
