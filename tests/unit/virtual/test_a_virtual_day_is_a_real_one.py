"""A simulated day: one seed, one outcome; the ERP holds its own limits; what is ours runs as in the daemon."""

from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from ops.certificate import certify, parse_limit
from ops.packs import generate
from ops.packs.message import BASE
from ops.sandbox.journal import Journal
from ops.sandbox.limits import load_profile
from ops.virtual.command import simulate
from ops.virtual.day import Plan, run_day
from ops.virtual.erp import Mood
from ops.virtual.world import World
from policies.limit_words import parse_limits

BUSY = Plan(cases=400, seed=3, hours=0.05, profile="demo", mood=Mood(latency_ms=60, failures=0.02, lost=0.02))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_in_every_file(tmp_path: Path) -> None:
    for place in "ab":
        simulate(BUSY, tmp_path / place)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {"accepted.jsonl", "certificate.json", "report.html", "summary.json", "erp/erp-log.jsonl"} <= set(first)
    assert first == second


def test_a_run_over_an_older_one_leaves_nothing_of_it(tmp_path: Path) -> None:
    simulate(msgspec.structs.replace(BUSY, seed=4), tmp_path / "a")
    simulate(BUSY, tmp_path / "a")
    simulate(BUSY, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_is_another_day(tmp_path: Path) -> None:
    one, other = (run_day(plan, tmp_path / str(plan.seed))[1] for plan in (BUSY, msgspec.structs.replace(BUSY, seed=4)))
    assert one.erp_log.read_bytes() != other.erp_log.read_bytes()


@pytest.mark.parametrize("profile", ["demo", "business-central", "netsuite", "xero"])
def test_the_certificate_of_a_busy_day_holds(profile: str, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(BUSY, profile=profile)
    world, files, _ = run_day(plan, tmp_path)
    certificate = certify(files.erp_log, files.accepted)
    assert certificate.reasons == []
    assert world.erp.refused == 0
    assert {fate.outcome for fate in world.fates} <= {"posted", "refused", "approval"}


def test_an_erp_that_allows_less_than_the_gate_thinks_says_so_itself(tmp_path: Path) -> None:
    profile = load_profile("custom", ["10/1s"])
    journal = Journal(tmp_path / "erp-log.jsonl")
    journal.header(profile, 0, BASE)
    messages = generate("billing-cycle", 200, 3, hours=0.01)
    world = World(messages, parse_limits(["30/1s"]), profile, Mood(latency_ms=20), 1, journal)
    world.run(60 * 10**9)
    journal.close()
    assert world.erp.refused > 0
    found = certify(tmp_path / "erp-log.jsonl", limits=[parse_limit("10/1s")])
    assert found.limits[0].over


def test_answers_that_are_lost_are_looked_up_and_nothing_is_posted_twice(tmp_path: Path) -> None:
    plan = msgspec.structs.replace(BUSY, mood=Mood(latency_ms=60, lost=0.2))
    _, files, _ = run_day(plan, tmp_path)
    certificate = certify(files.erp_log, files.accepted)
    assert certificate.reasons == []
    assert certificate.calls.lookups >= certificate.calls.unanswered > 20


def test_calls_of_an_account_end_in_the_order_in_which_they_came() -> None:
    world = world_of(BUSY)
    ends = defaultdict(list)
    for fate in world.fates:
        if fate.ended_ns is not None:
            ends[fate.message.account, fate.message.lane].append(fate.ended_ns)
    assert any(len(one) > 3 for one in ends.values())
    assert all(one == sorted(one) for one in ends.values())


def test_urgent_work_does_not_wait_for_the_backlog() -> None:
    waits = defaultdict(list)
    for fate in world_of(msgspec.structs.replace(BUSY, cases=1_500)).fates:
        if fate.ended_ns is not None:
            waits[fate.message.lane].append(fate.ended_ns - fate.accepted_ns)
    assert max(waits["bulk"]) > 10 * 10**9
    assert sorted(waits["urgent"])[len(waits["urgent"]) // 2] < 10**9


def world_of(plan: Plan) -> World:
    messages = generate(plan.pack, plan.cases, plan.seed, plan.hours)
    profile = load_profile(plan.profile)
    world = World(messages, parse_limits(["20/1s", "5 concurrent"]), profile, plan.mood, plan.seed)
    assert world.run() is False
    return world
