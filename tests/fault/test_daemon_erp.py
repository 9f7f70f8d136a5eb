"""F47, F48, F50, F51, F53, F57: an ERP that loses answers, hangs, throttles, fails, talks nonsense or says no."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkers import Finding, audit_true, bounded, healed, money_findings, say
from tests.support.world import Sampler, World, adjustment, until, world

pytestmark = pytest.mark.slow


def backlog(house: World, count: int) -> None:
    """Adjustments of many accounts."""
    house.send([adjustment(f"case-{n}", f"acc-{n % 40}") for n in range(count)])


def judged(house: World, seconds: float = 90.0) -> list[Finding]:
    """Wait for the end of all calls, then judge everything."""
    until(house.settled, "everything is settled", seconds)
    until(lambda: not list(healed(house.overview())), "healed")
    return [
        *money_findings(house.told, house.erp.documents(), house.erp.log_path),
        *audit_true(house.store_path),
    ]


def amplification(house: World) -> float:
    """Posts for each distinct thing that was posted."""
    references = [line["reference"] for line in house.ended() if line["op"] == "post"]
    return len(references) / len(set(references))


def test_lost_answers_are_looked_up_and_nothing_is_posted_twice(tmp_path: Path) -> None:
    with world(tmp_path) as house:
        house.erp.set_faults({"kind": "lost_answer", "rate": 0.2, "seed": 5})
        backlog(house, 100)
        findings = judged(house)
        hits = house.erp.faults()[0]["hits"]
        say("F47", 5, findings, lost=hits, look_ups=len(house.calls("find")), posts=len(house.calls()))
        assert findings == []
        assert hits >= 10
        assert len(house.erp.documents()) == 100
        assert amplification(house) == 1.0, "what was committed is found, not sent again"


@pytest.mark.parametrize("commit", [True, False])
def test_calls_that_hang_become_unknown_and_their_places_are_kept_until_they_are_surely_over(
    commit: bool, tmp_path: Path
) -> None:
    settings = {"TIDEGATE_ERP__TIMEOUT_SECONDS": "1", "TIDEGATE_ERP__LOST_SECONDS": "1.5"}
    with world(tmp_path, **settings) as house:
        house.erp.set_faults(
            {"kind": "hang", "seconds": 2.3, "commit": commit, "count": 4, "skip": 10, "ops": ["post"]}
        )
        backlog(house, 60)
        findings = judged(house)
        say("F48", int(commit), findings, look_ups=len(house.calls("find")), posts=len(house.calls()))
        assert findings == []
        assert len(house.erp.documents()) == 60
        assert len(house.calls("find")) >= 4


def test_a_503_storm_is_answered_with_one_probe_at_a_time(tmp_path: Path) -> None:
    with world(tmp_path, latency_ms="100") as house:
        house.erp.set_faults({"kind": "unavailable_503"})
        backlog(house, 80)
        until(lambda: "failures in a row" in str(house.overview().get("gate")), "the breaker is open")
        opened = len(house.calls())
        house.erp.set_faults()
        findings = judged(house, 150)
        probe, following = sorted(house.ended(), key=lambda line: line["arrived_ns"])[opened : opened + 2]
        assert probe["ended_ns"] < following["arrived_ns"], "one probe goes alone"
        say("F51", 0, findings, amplification=round(amplification(house), 3), opened_after=opened)
        assert findings == []
        assert amplification(house) <= 1.1 + opened / 80


@pytest.mark.parametrize(("retry_after", "seconds"), [("2", 2.0), ("0", 0.0), ("-5", 5.0)])
def test_a_429_freezes_the_gate_for_as_long_as_it_says_or_for_a_default(
    retry_after: str | None, seconds: float, tmp_path: Path
) -> None:
    with world(tmp_path, limits=("50/1s", "2 concurrent"), latency_ms="5") as house:
        house.erp.set_faults({"kind": "throttle_429", "retry_after": retry_after, "count": 1, "skip": 5})
        backlog(house, 30)
        findings = judged(house)
        refused = next(line for line in house.ended() if line["status"] == 429)
        later = min(
            line["arrived_ns"] for line in house.ended() if line["arrived_ns"] > refused["ended_ns"] + 20_000_000
        )
        frozen = (later - refused["ended_ns"]) / 1e9
        say("F50", 0, findings, retry_after=retry_after, frozen_seconds=round(frozen, 2))
        assert findings == []
        assert frozen >= seconds
        attempts = Counter(line["reference"] for line in house.ended() if line["op"] == "post")
        assert max(attempts.values()) == 2


GARBAGE: list[dict[str, Any]] = [
    {"form": "html"},
    {"form": "empty"},
    {"form": "no_id"},
    {"form": "big", "megabytes": 300},
    {"form": "gzip", "megabytes": 300},
    {"form": "charset"},
    {"form": "error_inside"},
    {"form": "truncated"},
    {"form": "html", "status": 500},
    {"form": "html", "commit": False},
]


def test_nonsense_for_an_answer_is_unknown_and_never_believed(tmp_path: Path) -> None:
    faults = [
        {"kind": "garbage", "count": 2, "skip": 3 * place, "ops": ["post"], **form}
        for place, form in enumerate(GARBAGE)
    ]
    with world(tmp_path, latency_ms="5") as house, Sampler(house.daemon.pid) as sampler:
        house.erp.set_faults(*faults)
        backlog(house, 80)
        findings = [*judged(house, 240), *bounded(sampler.rss_bytes, sampler.descriptors)]
        hits = sum(fault["hits"] for fault in house.erp.faults())
        say("F53", 0, findings, nonsense=hits, look_ups=len(house.calls("find")))
        assert findings == []
        assert hits == 2 * len(GARBAGE)
        assert len(house.erp.documents()) == 80
        assert "<html" not in house.log()


@pytest.mark.parametrize(
    ("fault", "told", "owner"),
    [
        ({"kind": "closed_period"}, "exception", ("closed_period", "finance")),
        ({"kind": "refuse", "code": "account.blocked", "account": "acc-3"}, "refused", ("data_quality", "revenue")),
    ],
)
def test_a_final_no_is_not_repeated_and_finds_an_owner(
    fault: dict[str, Any], told: str, owner: tuple[str, str], tmp_path: Path
) -> None:
    with world(tmp_path) as house:
        house.erp.set_faults(fault)
        backlog(house, 8)
        until(house.settled, "everything is settled")
        with house.client() as client:
            story = client.process("case-3")
        open_now = {(row["failure"], row["owner"]) for row in house.overview()["exceptions"]}
        posts = [line for line in house.ended() if line["source_document"] == "case-3"]
        say("F57", 0, [], posts=len(posts), told=story["calls"][0]["status"])
        assert len(posts) == 1
        assert story["calls"][0]["status"] == told
        assert open_now == {owner}
        assert owner[1] in str(story["explanation"])
