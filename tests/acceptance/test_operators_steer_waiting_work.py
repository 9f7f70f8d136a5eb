"""Waiting work is looked at, cancelled, moved and given back: shown first, then done as shown, and written down."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.audits import verified
from tests.support.daemon import BATCH, Site, adjustment, problem_of, site, until

WHO = {"reason": "entered twice", "who": "dana"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose ERP is on hold: everything waits, nothing was sent."""
    with site(tmp_path_factory.mktemp("work"), TIDEGATE_ERP__LIMITS="20/1s,4 concurrent") as running:
        running.operate("hold", {"target": "erp", "reason": "the test begins", "who": "test"})
        yield running


def ask(own: Site, verb: str, **command: Any) -> httpx.Response:
    return own.operate(verb, {**WHO, **command})


def done(own: Site, verb: str, **command: Any) -> dict[str, Any]:
    answer = ask(own, verb, **command)
    assert answer.status_code == 200, answer.text
    effect: dict[str, Any] = answer.json()
    return effect


def refused(own: Site, verb: str, **command: Any) -> str:
    return str(problem_of(ask(own, verb, **command))["code"])


def look(own: Site, what: str, **parameters: Any) -> dict[str, Any]:
    with own.client() as client:
        return client.look(what, **parameters)


def waits(own: Site, *names: str, tenant: str = "acme", lane: str = "bulk") -> list[str]:
    """Calls that wait; their intent ids."""
    own.post([{**adjustment(name, name), "tenant": tenant, "lane": lane} for name in names], BATCH)
    intents = [f"INT-{name}" for name in names]
    until(
        lambda: (
            {*intents} <= {c["intent_id"] for c in look(own, "calls", scope=f"tenant:{tenant}", limit=500)["items"]}
        ),
        "they wait",
    )
    return intents


def call(own: Site, intent: str) -> dict[str, Any]:
    (found,) = look(own, "search", key=intent)["calls"]
    return dict(found)


def test_a_scope_is_shown_with_its_money_and_done_exactly_as_shown(own: Site) -> None:
    waits(own, "c1", "c2", "c3", tenant="cancels")
    assert refused(own, "cancel", scope="tenant:cancels") == "operation.look_first"
    shown = done(own, "cancel", scope="tenant:cancels", dry_run=True)
    assert (shown["done"], shown["waiting_calls"], shown["money"]) == (False, 3, {"EUR": "37.50"})
    assert call(own, "INT-c1")["status"] == "waiting"
    effect = done_by_token(own, shown["token"])
    assert (effect["done"], sorted(effect["keys"])) == (True, ["INT-c1", "INT-c2", "INT-c3"])
    assert problem_of(own.operate("commit", {"token": shown["token"], "who": "dana"}))["code"] == "operation.token"
    for intent in ("INT-c1", "INT-c2", "INT-c3"):
        assert call(own, intent)["status"] == "refused"
    story = own.get("/v1/processes/DOC-c1").json()["explanation"]["sentence"]
    assert "cancelled by dana: entered twice" in story
    assert "ERP refused" not in story


def done_by_token(own: Site, token: str) -> dict[str, Any]:
    answer = own.operate("commit", {"token": token, "who": "dana"})
    assert answer.status_code == 200, answer.text
    effect: dict[str, Any] = answer.json()
    return effect


def test_a_cancelled_money_call_is_told_to_those_who_wait_for_it(own: Site) -> None:
    waits(own, "told", tenant="told")
    done(own, "cancel", keys=["DOC-told"])
    with own.client() as client:
        page, _ = client.outcomes(0)
    (outcome,) = [row for row in page if row["key"] == "DOC-told"]
    assert (outcome["outcome"], outcome["reason"]) == (
        "refused",
        "operator.cancelled: cancelled by dana: entered twice",
    )
    names = [event["name"] for event in own.get("/v1/processes/DOC-told").json()["milestones"]]
    assert names[-1] == "erp.refused"


def test_a_token_is_refused_when_the_world_has_moved(own: Site) -> None:
    waits(own, "m1", tenant="moved")
    shown = done(own, "cancel", scope="tenant:moved", dry_run=True)
    waits(own, "m2", tenant="moved")
    assert problem_of(own.operate("commit", {"token": shown["token"], "who": "dana"}))["code"] == "operation.moved"
    assert {call(own, intent)["status"] for intent in ("INT-m1", "INT-m2")} == {"waiting"}
    assert problem_of(own.operate("commit", {"token": "op-nothing", "who": "dana"}))["code"] == "operation.token"


def test_calls_change_lane_and_go_back_by_undo(own: Site) -> None:
    waits(own, "r1", "r2", tenant="lanes")
    before = call(own, "INT-r1")
    effect = done(own, "reprioritise", keys=["DOC-r1", "INT-r2"], lane="urgent")
    assert (effect["before"], effect["after"], effect["waiting_calls"]) == ("bulk", "urgent", 2)
    assert call(own, "INT-r1")["lane"] == "urgent"
    assert refused(own, "reprioritise", keys=["DOC-r1"], lane="urgent") == "operation.nothing"
    assert refused(own, "reprioritise", keys=["DOC-r1"], lane="first") == "operation.lane"
    assert done(own, "undo", operation=effect["operation"])["done"] is True
    assert call(own, "INT-r1") == before
    assert refused(own, "undo", operation=effect["operation"]) == "operation.no_undo"
    assert refused(own, "undo", operation="op-nothing") == "operation.no_undo"


def test_calls_move_to_another_time_and_go_back_by_undo(own: Site) -> None:
    waits(own, "t1", tenant="times")
    effect = done(own, "move", keys=["DOC-t1"], not_before="2040-01-01T00:00:00Z")
    assert call(own, "INT-t1")["not_before"] == "2040-01-01T00:00:00.000Z"
    assert refused(own, "move", keys=["DOC-t1"], not_before="2040-01-01T00:00:00") == "date.format"
    done(own, "undo", operation=effect["operation"])
    assert "not_before" not in call(own, "INT-t1")


def test_what_was_sent_before_is_never_cancelled(own: Site) -> None:
    intents = waits(own, "s1", tenant="sent")
    own.operate("release", {"target": "erp", "reason": "go", "who": "test"})
    until(lambda: own.documents("DOC-s1"), "it is posted", 40)
    own.operate("hold", {"target": "erp", "reason": "stop", "who": "test"})
    until(lambda: call(own, intents[0])["status"] == "done", "its outcome is stored")
    problem = problem_of(ask(own, "cancel", keys=["DOC-s1"]))
    assert problem["code"] == "operation.money"
    assert "is posted as" in problem["detail"]
    assert refused(own, "cancel", keys=["DOC-nobody"]) == "operation.nothing"


def test_purge_takes_no_money(own: Site) -> None:
    waits(own, "p1", tenant="purge")
    assert refused(own, "purge", keys=["DOC-p1"]) == "operation.look_first"
    assert refused(own, "purge", keys=["DOC-p1"], dry_run=True) == "operation.money"
    assert refused(own, "purge", scope="tenant:purge", dry_run=True) == "operation.money"
    assert call(own, "INT-p1")["status"] == "waiting"


def test_a_rate_is_set_shown_ended_and_undone(own: Site) -> None:
    def limits() -> list[str]:
        return [row["name"] for row in own.client().overview()["budget"]]

    usual = limits()
    shown = done(own, "set", name="rate", target="erp", value="5/s", dry_run=True)
    assert (shown["before"], shown["after"]) == ("20/1s,4 concurrent", "5/1s,4 concurrent")
    assert limits() == usual
    effect = done_by_token(own, shown["token"])
    assert limits() == ["5/1s", "concurrent"]
    own.daemon.kill()
    own.daemon.start()
    assert limits() == ["5/1s", "concurrent"]
    done(own, "undo", operation=effect["operation"])
    assert limits() == usual
    done(own, "set", name="rate", target="erp", value="2 concurrent")
    done(own, "unset", name="rate", target="erp")
    assert limits() == usual


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"name": "rte", "target": "erp", "value": "5/s"}, "operation.setting"),
        ({"name": "rate", "target": "crm", "value": "5/s"}, "operation.target"),
        ({"name": "rate", "target": "erp", "value": "fast"}, "operation.value"),
        ({"name": "rate", "target": "erp", "value": "0/s"}, "operation.value"),
        ({"name": "weight", "target": "tenant:acme", "value": "0"}, "operation.value"),
        ({"name": "weight", "target": "acme", "value": "3"}, "operation.target"),
        ({"name": "floor", "target": "lane:urgent", "value": "3"}, "operation.target"),
        ({"name": "floor", "target": "lane:bulk", "value": "99"}, "operation.value"),
        ({"name": "rate", "target": "erp", "value": "5/s", "until": "2020-01-01T00:00:00Z"}, "operation.until"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(own: Site, command: dict[str, str], code: str) -> None:
    assert refused(own, "set", **command) == code


def test_weights_and_floors_survive_and_are_shown(own: Site) -> None:
    done(own, "set", name="weight", target="tenant:acme", value="3")
    done(own, "set", name="floor", target="lane:bulk", value="10%")
    orders = {(o["verb"], o["target"]): o["value"] for o in own.client().overview()["orders"]}
    assert orders["weight", "tenant:acme"] == "3"
    assert orders["floor", "lane:bulk"] == "10"
    assert done(own, "unset", name="weight", target="tenant:acme")["before"] == "3"
    assert done(own, "unset", name="floor", target="lane:bulk")["before"] == "10 %"


def test_an_order_is_undone_and_the_one_before_is_back(own: Site) -> None:
    done(own, "pause", target="tenant:u,lane:bulk")
    second = done(own, "pause", target="lane:bulk,tenant:u", until="2040-01-01T00:00:00Z")
    assert second["target"] == "tenant:u,lane:bulk"
    done(own, "undo", operation=second["operation"])
    (order,) = [o for o in own.client().overview()["orders"] if o["target"] == "tenant:u,lane:bulk"]
    assert order["until"] is None
    ended = done(own, "resume", target="tenant:u,lane:bulk")
    done(own, "undo", operation=ended["operation"])
    assert [o["until"] for o in own.client().overview()["orders"] if o["target"] == "tenant:u,lane:bulk"] == [None]
    done(own, "resume", target="tenant:u,lane:bulk")


def test_everything_is_in_the_audit_with_before_and_after(own: Site) -> None:
    waits(own, "a1", tenant="audit")
    done(own, "reprioritise", keys=["DOC-a1"], lane="standard")
    entries = look(own, "audit", subject="INT-a1")["items"]
    moved = next(entry for entry in entries if entry["verb"] == "call.moved")
    assert (moved["actor"], moved["facts"]["before"]["lane"], moved["facts"]["after"]["lane"]) == (
        "dana",
        "bulk",
        "standard",
    )
    operations = [
        entry for entry in look(own, "audit", who="dana", limit=500)["items"] if "operation." in entry["verb"]
    ]
    assert all(entry["facts"]["reason"] == WHO["reason"] for entry in operations)
    assert ("call.moved", "INT-a1") in verified(own.daemon.data / "tidegate.db")
    assert look(own, "operations")["items"][0]["verb"] == "reprioritise"


def test_what_is_left_is_named_by_id(own: Site) -> None:
    intents = waits(own, "l1", "l2", tenant="left")
    left = look(own, "left")
    assert left["counts"]["calls waiting"] >= 2
    assert {*intents} <= {*left["ids"]["calls waiting"]}
    assert json.dumps(look(own, "top"))


def test_looks_fit_what_is_described(own: Site) -> None:
    described = own.get("/openapi.json").json()
    for schema, value in (
        ("Top", look(own, "top")),
        ("CallPage", look(own, "calls", scope="lane:bulk,partition:1")),
        ("Found", look(own, "search", key="DOC-c1")),
        ("Left", look(own, "left")),
        ("AuditPage", look(own, "audit")),
    ):
        assert {*described["components"]["schemas"][schema]["required"]} <= value.keys()
