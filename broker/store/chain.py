"""The audit's hash chain: each entry's hash covers the entry and the hash before it.

hash(n) = sha256(hash(n-1) + "\\n" + the fields joined by U+001F), in hexadecimal; the first entry follows `GENESIS`.
The fields are number, moment, actor, verb, subject and facts, and then, where any of the three is not empty, cause,
policy and inputs. No field holds U+001F (`plain`), so no two entries have the same bytes. A separate program can
recompute it from the table alone.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

GENESIS = "0" * 64
SEPARATOR = "\x1f"


class Entry(NamedTuple):
    """What is chained, besides its number. `at` in microseconds since the epoch; `facts` is JSON text.

    `cause`: who in the world outside led to it, and why; `policy`: the version of the rules it was decided by;
    `inputs`: what it was decided from, by reference (the id and the fingerprint of a message, a body, an operation).
    """

    at: int
    actor: str
    verb: str
    subject: str
    facts: str
    cause: str = ""
    policy: str = ""
    inputs: str = ""


def plain(entry: Entry) -> Entry:
    """The entry without the characters that would let two entries have the same bytes."""
    texts = entry[1:]
    if not any(SEPARATOR in text or "\0" in text for text in texts):
        return entry
    return Entry(entry.at, *(text.replace(SEPARATOR, " ").replace("\0", " ") for text in texts))


def canonical(seq: int, entry: Entry) -> str:
    """The text that an entry stands for. `facts` is JSON text already, kept to the letter."""
    at, actor, verb, subject, facts, cause, policy, inputs = entry
    first = f"{seq}\x1f{at}\x1f{actor}\x1f{verb}\x1f{subject}\x1f{facts}"
    return f"{first}\x1f{cause}\x1f{policy}\x1f{inputs}" if cause or policy or inputs else first


def link(previous: str, seq: int, entry: Entry) -> str:
    """The hash of an entry that follows `previous` (hexadecimal)."""
    return hashlib.sha256(f"{previous}\n{canonical(seq, entry)}".encode()).hexdigest()
