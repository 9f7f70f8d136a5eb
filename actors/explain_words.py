"""What an explanation is, and the words that all of them share."""

from __future__ import annotations

import msgspec

from actors.caller.gate import Closed
from actors.runtime.clock import moment

IT = "it"
"""The role that runs Tidegate and its links."""
SOON = "in a moment; nothing holds it up"


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """`state` is for scripts, `sentence` (one) for people, `owner` can change it.

    `eta` is RFC 3339: the earliest moment at which it goes on, or is looked at again. Without one, `no_eta` says why.
    """

    key: str
    state: str
    sentence: str
    owner: str = "nobody"
    eta: str | None = None
    no_eta: str | None = None


def iso(microseconds: int) -> str:
    """A stored moment as RFC 3339 text, to the second."""
    return moment(microseconds).isoformat(timespec="seconds").replace("+00:00", "Z")


def clock_time(microseconds: int) -> str:
    """A stored moment of these days."""
    return f"{moment(microseconds):%H:%M:%S} UTC"


def go_before(ahead: int) -> str:
    """How many others go first, as a clause."""
    if not ahead:
        return "no other call goes before it"
    return "at most 1 call goes before it" if ahead == 1 else f"at most {ahead} calls go before it"


def clause(text: str) -> str:
    """Words of somebody else, to stand within a sentence: one line, no full stop at the end or in the middle."""
    return " ".join(text.split()).rstrip(".!").replace(". ", "; ")


def rest_of(closed: Closed | None) -> Closed | None:
    """The gate's state, where it is a rest that the system needs or asked for."""
    return closed if closed is not None and closed.what in ("frozen", "probe", "return", "breaker") else None


def behind(first: str, inner: Explanation) -> str:
    """What holds the first of a key back, as part of a sentence about those that follow."""
    said = clause(inner.sentence)
    for mine, its in (("It ", f"{first} "), ("Its ", f"the {first} ")):
        if said.startswith(mine):
            return its + said.removeprefix(mine)
    return said[:1].lower() + said[1:] if said.startswith("The ") else said


def said_of(system: str, told: Explanation) -> Explanation:
    """The sentences speak of the ERP; said of the system that it is about."""
    if system == "erp":
        return told
    sentence = told.sentence.replace("The ERP", system.capitalize()).replace("the ERP", system)
    no_eta = told.no_eta and told.no_eta.replace("the ERP", system)
    return msgspec.structs.replace(told, sentence=sentence, no_eta=no_eta)
