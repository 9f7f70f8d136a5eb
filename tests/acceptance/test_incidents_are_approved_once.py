"""An outage with many credits: looked at, approved once up to a cap, let through, stopped, resumed, reconciled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ops.client import Client, Refused
from ops.process import DaemonProcess
from ops.systems import Systems
from tests.acceptance.test_processes import Land
from tests.support.daemon import case, until

FEE = {"tier": "premium", "outage_minutes": 240, "outage_class": "full"}
ROOMY = {"TIDEGATE_FLOW__WORKLOADS": json.dumps({"incident-wave": {"weight": 2}})}


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    out = tmp_path_factory.mktemp("land")
    with (
        Systems(out, "unlimited", ("500/1s", "20 concurrent"), "0", 1, 0.5) as systems,
        DaemonProcess(out / "data", systems.settings(**ROOMY)) as daemon,
        Client(daemon.url, out / "data" / "operator.token") as client,
    ):
        yield Land(systems, daemon, client)


def outage(land: Land, incident: str, count: int, first: int = 0, fee: str = "900.00", **more: Any) -> list[str]:
    """Cases that each earn more than a policy grants by itself, of an account each; waits until all wait."""
    names = [f"{incident}-{number}" for number in range(first, first + count)]
    facts = {**FEE, "monthly_fee": {"amount": fee, "currency": "EUR"}, "incident_id": incident, **more}
    events = [{**case(name, **{"account_id": f"ACC-{name}", **facts}), "tenant": "acme"} for name in names]
    land.client.send(events)
    keys = {f"CASE-{name}" for name in names}
    until(lambda: keys <= _known(land, incident), f"all of {incident} are there")
    return sorted(keys)


def _known(land: Land, incident: str) -> set[str]:
    return {item["key"] for item in land.client.approvals(200) if item.get("incident") == incident}


def preview(land: Land, incident: str, **command: Any) -> dict[str, Any]:
    return land.client.on_incident(incident, "preview", **command)


def approve(land: Land, who: str, incident: str, **command: Any) -> dict[str, Any]:
    with land.person(who) as client:
        return client.on_incident(incident, "approve", **{"reason": "the outage is confirmed", **command})


def capped(seen: dict[str, Any]) -> dict[str, Any]:
    cap = seen["preview"]
    return {"cap": cap["money"], **{name: cap[name] for name in ("cases", "per_account", "digest")}}


def phase(land: Land, incident: str) -> str:
    return str(land.client.incident(incident)["phase"])


def steer(land: Land, who: str, incident: str, verb: str, **command: Any) -> dict[str, Any]:
    with land.person(who) as client:
        return client.on_incident(incident, verb, **{"reason": "a test", **command})


def over(land: Land, incident: str, ended: int) -> None:
    def count() -> int:
        return sum(part["cases"] for part in land.client.incident(incident)["ended"].values())

    until(lambda: count() == ended, f"{ended} credits of {incident} have ended", 60.0)


def test_an_incident_is_looked_at_approved_once_and_reconciled(land: Land) -> None:
    keys = outage(land, "INC-1", 12)
    seen = preview(land, "INC-1")
    assert (seen["waiting"]["cases"], seen["lets_through"]["cases"]) == (12, 12)
    assert seen["tiers"] == {"premium": seen["waiting"]}
    assert sum(seen["needs"].values()) == 12
    assert seen["cost"]["erp_calls"] == 12
    assert seen["preview"]["money"] == seen["waiting"]["money"]
    assert seen["preview"]["people"] == 2, "so much money needs two"
    with pytest.raises(Refused, match=r"operation\.look_first"):
        approve(land, "anna", "INC-1", cap={"EUR": "1.00"}, cases=1)
    with pytest.raises(Refused, match=r"approval\.changed"):
        approve(land, "anna", "INC-1", **{**capped(seen), "cases": 13})
    with pytest.raises(Refused, match=r"approval\.person"):
        land.client.on_incident("INC-1", "approve", reason="the shared token is nobody's", **capped(seen))
    with pytest.raises(Refused, match=r"approval\.role"):
        approve(land, "sam", "INC-1", **capped(seen))
    assert "1 more needed" in approve(land, "anna", "INC-1", **capped(seen))["note"]
    with pytest.raises(Refused, match=r"approval\.twice"):
        approve(land, "anna", "INC-1", **capped(seen))
    assert all(land.state(key) == "approval" for key in keys), "one of two is not enough"
    joined = land.shell("incidents", "approve", "INC-1", "--reason", "I agree", "--yes", who="tom")
    assert joined.returncode == 0, joined.stderr
    with pytest.raises(Refused, match=r"approval\.closed"):
        approve(land, "dora", "INC-1", **capped(seen))
    over(land, "INC-1", 12)
    for key in keys:
        assert len(land.books(key)["erp"]) == len(land.books(key)["billing"]) == 1
        assert [land.told(name, key) for name in ("support", "crm", "revenue")] == [["posted"]] * 3
    facts = next(row for row in land.client.process(keys[0])["milestones"] if row["name"] == "approval.given")["facts"]
    assert (facts["who"], facts["approval"]) == ("anna and tom", seen["preview"]["digest"])
    report = json.loads(land.shell("--json", "incidents", "reconcile", "INC-1").stdout)
    assert report["agrees"], report
    undone = ("turned back", "voided in billing")
    assert {line["count"] for line in report["lines"] if line["what"] not in undone} == {12}
    entries = [(row["actor"], row["verb"]) for row in land.client.look("audit", subject="INC-1")["items"]]
    approvals = [actor for actor, verb in entries if verb == "operation.incident.approve"]
    assert sorted(approvals) == ["anna", "tom"]
    assert ("wave-runner", "incident.released") in entries


def test_what_comes_later_flows_under_the_cap_and_what_would_exceed_it_waits(land: Land) -> None:
    (first,) = outage(land, "INC-2", 1)
    amount = land.client.approval(first)["amount"].split()[0]
    twice = f"{2 * float(amount):.2f}"
    seen = preview(land, "INC-2", cap={"EUR": twice}, cases=5)
    for who in ("anna", "tom")[: seen["preview"]["people"]]:
        approve(land, who, "INC-2", **capped(seen))
    over(land, "INC-2", 1)
    facts = {**FEE, "monthly_fee": {"amount": "900.00", "currency": "EUR"}, "incident_id": "INC-2"}
    land.client.send(
        [{**case(f"INC-2-{n}", **{"account_id": f"ACC-INC-2-{n}", **facts}), "tenant": "acme"} for n in (7, 8)]
    )
    over(land, "INC-2", 2)
    until(
        lambda: [c["verdict"] for c in land.client.incident("INC-2", "cases")["items"]].count("waits") == 1, "one waits"
    )
    (left,) = [c for c in land.client.incident("INC-2", "cases")["items"] if c["verdict"] == "waits"]
    assert "exceed the cap" in left["why"]
    assert land.state(left["key"]) == "approval"
    digest = land.client.approval(left["key"])["digest"]
    land.vote("dora", left["key"], digest=digest)
    over(land, "INC-2", 3)
    assert land.client.incident("INC-2")["left"] == {"EUR": "0.00"}


def test_a_stop_is_an_exception_and_goes_on_only_by_who_may_approve(land: Land) -> None:
    outage(land, "INC-3", 4)
    seen = preview(land, "INC-3", cases=50, cap={"EUR": "50000.00"})
    for who in ("dora", "dirk"):
        approve(land, who, "INC-3", **capped(seen))
    over(land, "INC-3", 4)
    facts = {**FEE, "monthly_fee": {"amount": "900.00", "currency": "EUR"}, "incident_id": "INC-3"}
    again = {**facts, "monthly_fee": {"amount": "2400.00", "currency": "EUR"}, "account_id": "ACC-INC-3-0"}
    land.client.send([{**case("INC-3-again", **again), "tenant": "acme"}])
    until(lambda: phase(land, "INC-3") == "held", "an account that asks twice stops it")
    view = land.client.incident("INC-3")
    assert (view["hold"]["rule"], view["hold"].get("owner", "finance")) == ("account", "finance")
    (told,) = [one for one in land.client.exceptions(200) if one["key"] == "INC-3"]
    assert (told["failure"], told["owner"]) == ("wave_stopped", "finance")
    small = {**facts, "monthly_fee": {"amount": "20.00", "currency": "EUR"}, "account_id": "ACC-INC-3-small"}
    land.client.send([{**case("INC-3-small", **small), "tenant": "acme"}])
    until(lambda: land.state("CASE-INC-3-small") == "wave_held", "no policy credits by itself while it is held")
    told = land.client.process("CASE-INC-3-small")["explanation"]
    assert "incident INC-3 (approved by dora and dirk) was stopped by itself (account ACC-INC-3-0" in told["sentence"]
    assert told["owner"] == "finance"
    assert land.state("CASE-INC-3-again") == "approval", "the case that stopped it waits for an approval of its own"
    with pytest.raises(Refused, match=r"approval\.role"):
        steer(land, "sam", "INC-3", "resume")
    shown = steer(land, "dora", "INC-3", "resume", dry_run=True)
    assert (shown["done"], phase(land, "INC-3")) == (False, "held")
    with land.person("dora") as client:
        client.on_incident("INC-3", "resume", token=shown["token"])
    until(lambda: land.state("CASE-INC-3-small") == "posted", "it goes on")
    assert land.state("CASE-INC-3-again") == "approval", "the case that stopped it is left to a person"
    assert not [one for one in land.client.exceptions(200) if one["key"] == "INC-3"]
    names = [(row["actor"], row["verb"]) for row in land.client.look("audit", subject="INC-3")["items"]]
    assert {("wave-runner", "incident.stopped"), ("dora", "operation.incident.resume")} <= set(names)


def test_a_wave_is_held_by_a_person_over_a_kill_and_resumed(land: Land) -> None:
    outage(land, "INC-4", 3)
    held = land.shell("incidents", "hold", "INC-4", "--reason", "billing looks wrong", who="sam")
    assert held.returncode == 0, held.stderr
    with pytest.raises(Refused, match=r"incident\.held"):
        approve(land, "dora", "INC-4", **capped(preview(land, "INC-4")))
    land.daemon.kill()
    land.daemon.start()
    assert phase(land, "INC-4") == "held"
    assert steer(land, "dora", "INC-4", "resume")["after"] == "open"
    listed = {row["incident"]: row["phase"] for row in land.client.incidents(50)}
    assert (listed["INC-1"], listed["INC-4"]) == ("running", "open")
    shown = land.shell("incidents", "show", "INC-4")
    assert "waits for people  3 cases" in shown.stdout


def test_a_case_that_is_taken_back_sent_again_and_posted_is_reconciled_as_it_is_now(land: Land) -> None:
    land.systems.erp.set_faults({"kind": "refuse", "account": "ACC-INC-6-0"})
    first, *_ = outage(land, "INC-6", 3)
    seen = preview(land, "INC-6")
    for who in ("anna", "tom")[: seen["preview"]["people"]]:
        approve(land, who, "INC-6", **capped(seen))
    over(land, "INC-6", 3)
    assert land.state(first) == "compensated"
    taken_back = land.client.incident("INC-6", "reconcile")
    assert taken_back["agrees"], taken_back
    land.systems.erp.set_faults()
    sent = land.shell("approvals", "replay", first, "--reason", "it is mended", "--yes", who="dora")
    assert sent.returncode == 0, sent.stderr
    until(lambda: land.state(first) == "approval", "it is asked about anew")
    assert not land.client.incident("INC-6", "reconcile")["over"]
    shown = land.client.approval(first)
    for who in ("anna", "tom")[: shown["people"]]:
        land.vote(who, first, digest=shown["digest"])
    over(land, "INC-6", 3)
    assert [one.status for one in land.books(first)["billing"]] == ["credit.create", "credit.void", "credit.create"]
    report = json.loads(land.shell("--json", "incidents", "reconcile", "INC-6").stdout)
    assert report["agrees"], report
    counts = {line["what"]: line["count"] for line in report["lines"]}
    assert (counts["credited in billing"], counts["voided in billing"], counts["posted in the ERP"]) == (4, 1, 3)


def test_the_openapi_document_tells_of_incidents_and_answers_fit_it(land: Land) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    document = httpx.get(f"{land.daemon.url}/openapi.json").json()
    validator.validate(document)
    verbs = {path.rpartition("/")[2] for path in document["paths"] if path.startswith("/v1/incidents/{incident}/")}
    assert verbs == {"cases", "reconcile", "preview", "approve", "hold", "resume"}
    outage(land, "INC-5", 1)
    view = preview(land, "INC-5")
    assert set(document["components"]["schemas"]["WaveView"]["required"]) <= view.keys()
    with pytest.raises(Refused, match=r"incident\.not_found"):
        land.client.incident("INC-nothing")
