"""Mutants of the real poster, gate and store: the bugs of `test_planted_bugs`, judged by the certificate alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from ops.certificate import Certificate, Terms, certify
from tests.fault.mutants.judge import Verdict, verdict_of
from tests.fault.mutants.world import FILE_NAME
from tests.fault.test_planted_bugs import BUGS, Planted
from tests.unit.caller.caller_house import caller_house

FINDINGS = {
    "accepts before the commit": "unknown",
    "posts before the intent is durable": "duplicate-source",
    "look-ups are not counted": "rate/1s",
    "the budget is forgotten at a restart": "rate/5s",
    "a place is free at the time-out": "concurrent",
    "sent again with a new key": "duplicate-source",
    "unknown is taken for failed": "duplicate-source",
    "the lane is ignored": "urgency",
    "the order of an account is ignored": "order",
}
"""By which finding each is to be caught. What an audit says is not in an ERP's log."""

TERMS = Terms(floors_percent={"standard": 10, "bulk": 5}, ready_seconds=0.1, transit_calls=5)
PLANTED = [bug for bug in BUGS if bug.name in FINDINGS]


def judged(bug: Planted, place: Path, planted: bool) -> Verdict:
    """Run its schedule under the virtual clock, with the bug or without it, and ask the certificate."""
    place.mkdir(parents=True, exist_ok=True)
    return verdict_of(asyncio.run(_run(bug, place, planted)), place)


async def _run(bug: Planted, place: Path, planted: bool) -> Certificate:
    async with caller_house(place, bug.limits, bug.parts if planted else bug.sound, **bug.erp()) as house:
        house.keeps_order = bug.keeps_order or not planted
        await bug.schedule(house)
        await house.ask_outcomes()
        log = house.erp.write_log(place / FILE_NAME)
        accepted = place / "accepted.jsonl"
        accepted.write_text("".join(json.dumps(_row(told)) + "\n" for told in house.told))
        return certify(log, accepted, terms=TERMS)


def _row(told: dict[str, Any]) -> dict[str, Any]:
    """As its client knows it: whatever is not over is pending."""
    outcome = told["outcome"] if told["outcome"] in ("posted", "refused") else "pending"
    return {**told, "outcome": outcome}
