"""The daemon under test: the real one, with small numbers where a real one would wait for minutes, and maybe a bug.

Started as `python -m tests.fault.crash.daemon` instead of `run.py`. `TIDEGATE_TEST_PLANTED` names a bug of `bugs.py`.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from actors import erp_requests, onlooker
from actors.caller import spends
from broker.effects import Done, Milestone, Outcome
from contracts.envelope import Envelope
from tests.fault.crash.bugs import PLANTED, SWITCH

CLUMSY = "poison"
"""What ends so is carried into a transaction that no database takes."""


def hurry() -> None:
    """Spends are added up after 50 ms and one call instead of 15 minutes and a thousand."""
    spends.ROWS_NS = 50_000_000
    spends.DAY_NS = 300_000_000
    spends.COARSE_NS = 3_600_000_000_000
    spends.EVERY = 1
    onlooker.KEEP_SECONDS = 0.3


def trip() -> None:
    """Let one decider ask for something impossible, as a bug of ours would."""
    sound = erp_requests.ErpRequestDecider.decide

    def decide(self: Any, envelope: Envelope, data: Any, state: Any, at: datetime) -> Outcome:
        if envelope.id.endswith(CLUMSY):
            return Done((Milestone("adjustment", "seen", {"half": "\ud800"}),))
        return sound(self, envelope, data, state, at)

    erp_requests.ErpRequestDecider.decide = decide  # type: ignore[method-assign]


def main() -> None:
    """Change what is to be changed, then be the command line."""
    hurry()
    trip()
    if planted := os.environ.get(SWITCH):
        PLANTED[planted].plant()
    from ops.cli import cli  # after the changes: what it imports binds names

    cli()


if __name__ == "__main__":
    main()
