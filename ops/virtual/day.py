"""`tidegate surge --virtual`: a day from a seed, with the same files at the end as a surge at a running daemon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from ops.packs import generate
from ops.packs.day import DAY_HOURS
from ops.packs.message import BASE
from ops.sandbox import journal as erp_journal
from ops.sandbox.journal import Journal
from ops.sandbox.limits import load_profile, profile_words
from ops.virtual.erp import Mood
from ops.virtual.questions import Question, ask
from ops.virtual.watch import Watch
from ops.virtual.world import FOREVER_NS, Fate, World
from policies.limit_words import parse_limits

QUESTIONS_A_DAY = 96
WORTH_ASKING = 50
"""Calls waiting from which on a forecast is asked for."""
_HOUR_NS = 3_600 * 1_000_000_000


class Plan(msgspec.Struct, frozen=True):
    """What to simulate: a pack, and an ERP with a limits profile (and more limits in words) and a mood."""

    pack: str = "all"
    cases: int = 20_000
    seed: int = 7
    hours: float = DAY_HOURS
    profile: str = "business-central"
    limits: tuple[str, ...] = ()
    mood: Mood = Mood()


class Files(msgspec.Struct, frozen=True):
    """What a day leaves behind."""

    erp_log: Path
    accepted: Path


def run_day(plan: Plan, out: Path) -> tuple[World, Files, list[Question]]:
    """Simulate until nothing is left, and write the ERP's log and the accepted list into `out`, anew.

    Now and then, when there is a backlog, it is asked when that will be gone.

    Raises UnknownPack, LimitError or ValueError for a plan that makes no sense, OSError from the files.
    """
    profile = load_profile(plan.profile, plan.limits)
    limits = parse_limits(words_of(plan))
    messages = generate(plan.pack, plan.cases, plan.seed, plan.hours)
    (out / "erp").mkdir(parents=True, exist_ok=True)
    for old in (out / "erp").glob(f"{Path(erp_journal.FILE_NAME).stem}*"):
        old.unlink()
    files = Files(out / "erp" / erp_journal.FILE_NAME, out / "accepted.jsonl")
    journal = Journal(files.erp_log)
    try:
        journal.header(profile, 0, BASE)
        watch = Watch()
        world = World(messages, limits, profile, plan.mood, plan.seed, journal, watch)
        questions = list(_questions(world, watch, round(plan.hours * _HOUR_NS / QUESTIONS_A_DAY)))
    finally:
        journal.close()
    files.accepted.write_bytes(b"".join(msgspec.json.encode(_row(fate)) + b"\n" for fate in world.fates))
    return world, files, questions


def _questions(world: World, watch: Watch, every_ns: int) -> Iterator[Question]:
    moment_ns = 0
    while not world.over and moment_ns < FOREVER_NS:
        moment_ns += every_ns
        world.run(moment_ns)
        if len(watch.waiting) >= WORTH_ASKING:
            yield ask(watch, world.gate.budget, moment_ns)


def words_of(plan: Plan) -> list[str]:
    """The limits in the words that profile and gate share."""
    return [*profile_words(plan.profile), *plan.limits]


def _row(fate: Fate) -> dict[str, Any]:
    message = fate.message
    row = {
        "id": message.event["id"],
        "key": message.key,
        "account": message.account,
        "tenant": message.tenant,
        "workload": message.workload,
        "lane": message.lane,
        "sequence": message.sequence,
        "accepted_at": (BASE + timedelta(microseconds=fate.accepted_ns // 1_000)).isoformat(),
        "accepted_ns": fate.accepted_ns,
        "outcome": fate.outcome,
        "expected": message.expected,
    }
    more = {"reason": fate.reason, "reference": fate.reference, "amount": fate.amount, "currency": fate.currency}
    return {**row, **{name: value for name, value in more.items() if value is not None}}
