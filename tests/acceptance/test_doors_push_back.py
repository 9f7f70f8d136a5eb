"""Past the watermarks the doors refuse, bulk first and urgent last, with a time to come back that is worth coming."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.daemon import BATCH, Site, adjustment, problem_of, site, until

RATE = 10
AT_ONCE = 6
"""Enough to be quicker than the ERP on a slow machine."""


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    marks = {"TIDEGATE_FLOW__WAITING_HIGH": "100", "TIDEGATE_FLOW__WAITING_LOW": "60"}
    with site(tmp_path_factory.mktemp("doors"), TIDEGATE_ERP__LIMITS=f"{RATE}/1s,4 concurrent", **marks) as running:
        yield running


def send(own: Site, lane: str, name: str, count: int = 1, tenant: str = "acme") -> httpx.Response:
    events = [{**adjustment(f"{name}-{n}", f"{name}-{n}"), "lane": lane, "tenant": tenant} for n in range(count)]
    return own.post(events, BATCH)


def fill(own: Site, lane: str) -> httpx.Response:
    """Send until the door refuses; the refusal."""
    for number in range(200):
        answer = send(own, lane, f"{lane}-{number}", AT_ONCE)
        if answer.status_code != 202:
            return answer
    raise AssertionError(f"{lane} was never refused")


def waiting(own: Site) -> int:
    overview = own.client().overview()
    calls = sum(row["waiting"] for row in overview["calls"])
    return int(calls + overview["messages"]["accepted"] - overview["messages"]["handled"])


def test_bulk_is_refused_first_urgent_last_and_each_comes_back_in_the_time_that_was_told(own: Site) -> None:
    refusal = fill(own, "bulk")
    problem = problem_of(refusal)
    assert (refusal.status_code, problem["code"]) == (429, "door.lane_busy")
    assert "still taken: urgent, standard" in problem["detail"]
    seconds = int(refusal.headers["retry-after"])
    told = time.monotonic()
    expected = (80 - 48) / RATE
    assert expected * 0.8 <= seconds <= expected * 1.5 + 2
    assert send(own, "urgent", "first").status_code == 202
    assert send(own, "standard", "first").status_code == 202
    assert problem_of(fill(own, "standard"))["code"] == "door.lane_busy"
    assert send(own, "urgent", "second").status_code == 202
    full = fill(own, "urgent")
    assert (full.status_code, problem_of(full)["code"]) == (503, "door.busy")
    assert waiting(own) <= 100 + AT_ONCE
    assert int(full.headers["retry-after"]) >= 1
    until(lambda: send(own, "urgent", f"again-{time.monotonic_ns()}").status_code == 202, "urgent comes in again")
    until(lambda: send(own, "bulk", f"again-{time.monotonic_ns()}").status_code == 202, "bulk comes in again", 30)
    assert time.monotonic() - told >= seconds * 0.5, "the door stays closed until its low mark"


def test_a_held_system_without_an_end_says_so_by_the_longest_time(own: Site) -> None:
    own.operate("hold", {"target": "erp", "reason": "upgrade", "who": "dana"})
    assert int(fill(own, "bulk").headers["retry-after"]) == 3600


def test_a_tenant_is_drained_alone(own: Site) -> None:
    given = own.operate("drain", {"target": "tenant:acme,lane:bulk", "reason": "they move away", "who": "dana"})
    assert given.status_code == 200, given.text
    refusal = send(own, "bulk", "gone")
    assert (refusal.status_code, problem_of(refusal)["code"]) == (503, "door.draining")
    assert "tenant:acme,lane:bulk is drained for dana" in refusal.json()["detail"]
    assert send(own, "urgent", "gone").status_code == 202
    assert send(own, "bulk", "gone", tenant="other").status_code == 202


def events(prefix: str, count: int) -> list[dict[str, Any]]:
    return [adjustment(f"{prefix}-{n}", f"{prefix}-{n}") for n in range(count)]


def test_what_was_accepted_counts_after_a_kill_as_well(own: Site) -> None:
    own.operate("hold", {"target": "erp", "reason": "upgrade", "who": "dana"})
    assert fill(own, "bulk").status_code == 429
    own.daemon.kill()
    own.daemon.start()
    assert send(own, "bulk", "after").status_code == 429
    assert own.post(events("standard", 1), BATCH).status_code == 202
