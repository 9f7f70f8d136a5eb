"""Operator verbs over HTTP: behind the token, in force when answered, durable, explained, and ended in time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.daemon import BATCH, CANARY, Site, adjustment, problem_of, site, until

WHO = {"reason": "closing of the month", "who": "dana"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that these tests pause and kill; the ERP is slow enough to be stopped in mid-work."""
    with site(tmp_path_factory.mktemp("operators"), TIDEGATE_ERP__LIMITS="40/1s,4 concurrent") as running:
        yield running


def given(own: Site, verb: str, target: str, **more: Any) -> dict[str, Any]:
    answer = own.operate(verb, {"target": target, **WHO, **more})
    assert answer.status_code == 200, answer.text
    effect: dict[str, Any] = answer.json()
    return effect


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "auth.missing"),
        ([("Authorization", "")], "auth.invalid"),
        ([("Authorization", "Bearer")], "auth.invalid"),
        ([("Authorization", f"Bearer {CANARY}")], "auth.invalid"),
        ([("Authorization", f"Basic {CANARY}")], "auth.invalid"),
        ([("Authorization", "TOKEN")], "auth.invalid"),
        ([("Authorization", "Bearer TOKEN"), ("Authorization", "Bearer TOKEN")], "auth.invalid"),
        ([("Authorization", "Bearer TOKEN, Bearer TOKEN")], "auth.invalid"),
        ([("Authorization", "Bearer TOKENx")], "auth.invalid"),
        ([("X-Api-Key", "TOKEN")], "auth.missing"),
    ],
)
def test_without_the_token_nothing_is_told_and_nothing_done(
    shared_site: Site, headers: list[tuple[str, str]], code: str
) -> None:
    named = [(name, value.replace("TOKEN", shared_site.token)) for name, value in headers]
    with shared_site.http() as http:
        answers = [
            http.get("/v1/ops/status", headers=named),
            http.post("/v1/ops/pause", headers=named, json={"target": "all", **WHO}),
            http.post("/v1/ops/nonsense", headers=named, content=b"{"),
        ]
    for answer in answers:
        assert (answer.status_code, problem_of(answer)["code"]) == (401, code)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert CANARY not in answer.text
    assert shared_site.client().overview()["orders"] == []
    assert CANARY not in shared_site.log()
    assert shared_site.token not in shared_site.log()


WRONG = [
    ("pause", {"target": "all", "who": "dana"}, "field.missing", "/reason"),
    ("pause", {"target": "all", "reason": "r"}, "field.missing", "/who"),
    ("pause", {"target": "all", **WHO, "reson": "r"}, "field.unknown", "/reson"),
    ("pause", {"target": 7, **WHO}, "field.type", "/target"),
    ("pause", {"target": "all", "reason": "  ", "who": "dana"}, "operation.reason", "/reason"),
    ("pause", {"target": "all", "reason": "x" * 501, "who": "dana"}, "operation.reason", "/reason"),
    ("pause", {"target": "all", "reason": "a\nb", "who": "dana"}, "operation.reason", "/reason"),
    ("pause", {"target": "all", "reason": "r", "who": ""}, "operation.who", "/who"),
    ("pause", {"target": "lane:bulkk", **WHO}, "operation.target", "/target"),
    ("pause", {"target": "queue:tidegate.nowhere", **WHO}, "operation.target", "/target"),
    ("hold", {"target": "credit-policy", **WHO}, "operation.target", "/target"),
    ("drain", {"target": "erp-poster", **WHO}, "operation.target", "/target"),
    ("pause", {"target": "all", **WHO, "until": "2020-01-01T00:00:00Z"}, "operation.until", "/until"),
    ("pause", {"target": "all", **WHO, "until": "2040-01-01T00:00:00"}, "date.format", "/until"),
    ("pause", {"target": "all", **WHO, "until": "tomorrow"}, "date.format", "/until"),
    ("resume", {"target": "all", **WHO, "until": "2040-01-01T00:00:00Z"}, "operation.until", "/until"),
    ("resume", {"target": "erp", **WHO}, "operation.nothing", "/target"),
    ("pause", [], "field.type", ""),
    ("pause", b"", "body.empty", ""),
    ("pause", b"{", "json.syntax", ""),
    ("pause", b"x" * 300_000, "body.too_large", ""),
    ("explode", {"target": "all", **WHO}, "path.not_found", ""),
]


@pytest.mark.parametrize(("verb", "body", "code", "path"), WRONG)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(
    shared_site: Site, verb: str, body: Any, code: str, path: str
) -> None:
    problem = problem_of(shared_site.operate(verb, body))
    assert (problem["code"], problem["path"]) == (code, path)
    assert shared_site.client().overview()["orders"] == []


def test_an_unknown_target_is_answered_with_the_nearest_and_the_known(shared_site: Site) -> None:
    problem = problem_of(shared_site.operate("pause", {"target": "erp-postr", **WHO}))
    assert problem["nearest"] == "erp-poster"
    assert {"all", "erp", "erp-poster", "credit-policy", "lane:bulk"} <= set(problem["known"])


def test_a_dry_run_says_what_would_stand_still_and_changes_nothing(shared_site: Site) -> None:
    answer = shared_site.operate("pause", {"target": "all", **WHO, "dry_run": True}).json()
    assert (answer["done"], answer["note"]) == (False, "nothing was changed (dry run)")
    assert shared_site.client().overview()["orders"] == []


def test_after_a_pause_is_answered_no_call_starts_also_not_after_kill_9(own: Site) -> None:
    own.post([adjustment(f"p-{n}", f"p-{n}") for n in range(300)], BATCH)
    until(lambda: len(own.calls()) > 10, "calls are under way")
    effect = given(own, "pause", "erp-poster")
    answered_ns = time.monotonic_ns()
    assert (effect["done"], effect["note"]) == (True, "in force; it survives a restart")
    until(lambda: own.client().overview()["gate"]["in_flight"] == 0, "what was in flight has ended")
    late = [call for call in own.calls() if call["arrived_ns"] > answered_ns]
    assert len(late) <= effect["in_flight_calls"]
    own.daemon.kill()
    own.daemon.start()
    before = len([call for call in own.calls() if call["op"] == "post"])
    (order,) = own.client().overview()["orders"]
    assert (order["verb"], order["target"], order["who"], order["reason"]) == ("pause", "erp-poster", *_by())
    waiting = until(lambda: _waiting_story(own, [f"DOC-p-{n}" for n in range(300)]), "something waits")
    assert waiting["explanation"]["state"] == "paused"
    assert waiting["explanation"]["owner"] == "dana"
    assert "erp-poster was paused by dana (closing of the month)" in waiting["explanation"]["sentence"]
    assert len([call for call in own.calls() if call["op"] == "post"]) == before
    assert given(own, "resume", "erp-poster")["note"] == "ended"
    until(lambda: len(own.erp.documents()) >= 300, "all are posted after the resume", 40)
    assert len({document.source_document for document in own.erp.documents()}) == len(own.erp.documents())


def _by() -> tuple[str, str]:
    return WHO["who"], WHO["reason"]


def _waiting_story(own: Site, keys: list[str]) -> dict[str, Any] | None:
    with own.http() as http:
        for key in reversed(keys):
            story: dict[str, Any] = http.get(f"/v1/processes/{key}").json()
            if story.get("explanation", {}).get("state") in ("paused", "held"):
                return story
    return None


def test_a_hold_of_a_lane_leaves_the_others_alone(own: Site) -> None:
    given(own, "hold", "lane:bulk")
    own.post([{**adjustment("slow", "slow"), "lane": "bulk"}, {**adjustment("fast", "fast"), "lane": "urgent"}], BATCH)
    until(lambda: own.documents("DOC-fast"), "the urgent one is posted")
    story = until(lambda: _waiting_story(own, ["DOC-slow"]), "the bulk one waits")
    assert "lane:bulk was put on hold by dana" in story["explanation"]["sentence"]
    assert not own.documents("DOC-slow")
    given(own, "release", "lane:bulk")
    until(lambda: own.documents("DOC-slow"), "the bulk one is posted after the release")


def _logged(own: Site, source_document: str) -> list[dict[str, Any]]:
    """Its calls that have ended at the ERP; a document is there before its call has ended."""
    return [line for line in own.erp.log_lines() if line.get("source_document") == source_document]


def test_an_order_with_an_end_ends_by_itself(own: Site) -> None:
    end = datetime.now(UTC) + timedelta(seconds=2)
    given(own, "hold", "erp", until=end.isoformat())
    own.post(adjustment("until", "until"))
    story = until(lambda: _waiting_story(own, ["DOC-until"]), "it waits")
    assert f"until {end:%Y-%m-%d %H:%M} UTC" in story["explanation"]["sentence"]
    until(lambda: own.documents("DOC-until"), "it is posted when the hold is over")
    (call,) = until(lambda: _logged(own, "DOC-until"), "its call has ended")
    assert call["verdict"] == "created"
    assert datetime.now(UTC) >= end
    assert own.client().overview()["orders"] == []


def test_a_drained_door_takes_nothing_and_says_when_to_come_back(own: Site) -> None:
    given(own, "drain", "all")
    answer = own.post(adjustment("drain", "drain"))
    assert (answer.status_code, problem_of(answer)["code"]) == (503, "door.draining")
    assert int(answer.headers["retry-after"]) > 0
    assert "dana" in answer.json()["detail"]
    assert own.get("/v1/processes/DOC-fast").status_code == 200
    given(own, "undrain", "all")
    assert own.post(adjustment("drain", "drain")).status_code == 202
