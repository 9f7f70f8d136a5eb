"""The remedies against money faults, each with the fault that shows its absence and the invariant that then breaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops import process
from tests.support import money_faults as erp
from tests.support import money_operators as people
from tests.support.checkers import Finding

_PLANTED = Path(__file__).resolve().parent / "planted"


@dataclass(frozen=True)
class Remedy:
    """`name` is that of a bug in `money_bugs.py`."""

    name: str
    invariant: str
    fault: Callable[[Path], list[Finding]]


REMEDIES = (
    Remedy("look up before sending again", "I2", erp.late_and_waited_for),
    Remedy("wait out late execution", "I2", erp.late_and_waited_for),
    Remedy("places kept until a lost call is surely over", "I3", erp.never_answered),
    Remedy("freeze after a 429", "I3", erp.throttled),
    Remedy("answers of bounded size", "I9", erp.nonsense),
    Remedy("only the system's own no", "-", erp.wrong_address),
    Remedy("a final no is final", "I2", erp.final_no),
    Remedy("the token is read again when it is replaced", "I8", erp.token_rotated),
    Remedy("canary before a mass retry", "I3", people.retried_while_the_cause_remains),
)


@contextmanager
def left_out(remedy: Remedy) -> Iterator[None]:
    """Every daemon started within the block lacks the remedy."""
    before = process.ROOT
    process.ROOT = _PLANTED
    os.environ["TIDEGATE_PLANTED"] = remedy.name
    try:
        yield
    finally:
        process.ROOT = before
        del os.environ["TIDEGATE_PLANTED"]
