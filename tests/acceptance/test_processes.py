"""A credit from the case to the books of five systems: once, approved by the right people, or taken back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from ops.client import Client, Refused
from ops.process import ROOT, DaemonProcess
from ops.sandbox.documents import Document
from ops.systems import Systems
from tests.support.daemon import case, check_problem, event, until

LARGE = {"monthly_fee": {"amount": "25000.00", "currency": "EUR"}, "tier": "premium", "outage_minutes": 240}
TENANT = {"tenant": "acme"}


@dataclass
class Land:
    """Five systems and a daemon between them."""

    systems: Systems
    daemon: DaemonProcess
    client: Client

    def books(self, key: str) -> dict[str, list[Document]]:
        """What each system has for a case."""
        all_ = {name: system.documents() for name, system in self.systems.all.items()}
        return {name: [one for one in made if one.source_document == key] for name, made in all_.items()}

    def told(self, system: str, key: str) -> list[str]:
        """The outcomes that a system was told for a case."""
        made = self.books(key)[system]
        about = self.systems.all[system].reason_codes()
        return [about[one.reference] for one in made if one.status == "status.report"]

    def state(self, key: str) -> str:
        """What `explain` says, for scripts."""
        try:
            return str(self.client.process(key)["explanation"]["state"])
        except Refused:
            return "not there yet"

    def reaches(self, key: str, state: str) -> dict[str, Any]:
        """Wait for it."""
        until(lambda: self.state(key) == state, f"{key} is {state}, not {self.client.process(key)['explanation']}")
        return self.client.process(key)

    def person(self, name: str) -> Client:
        """Somebody at the daemon, with their own token."""
        return self.systems.person(self.daemon.url, name)

    def vote(self, voter: str, key: str, verdict: str = "approve", **ballot: Any) -> dict[str, Any]:
        """What somebody says to a thing, with their own token."""
        with self.person(voter) as client:
            return client.vote(key, verdict, **{"reason": "checked", **ballot})

    def ask(self, who: str, *events: dict[str, Any]) -> None:
        """What somebody asks for, in their own name."""
        with self.person(who) as client:
            client.send(events, signed=True)

    def shell(self, *arguments: str, who: str | None = None) -> subprocess.CompletedProcess[str]:
        """The command line against this daemon, with somebody's own token or the one of the data directory."""
        token = ("--token-file", str(self.systems.token(who))) if who else ()
        command = [sys.executable, str(ROOT / "run.py"), *token, "--data", str(self.daemon.data), *arguments]
        environ = {"TIDEGATE_URL": self.daemon.url, "PATH": "/usr/bin:/bin", "HOME": str(self.daemon.data)}
        return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Land]:
    out = tmp_path_factory.mktemp("land")
    with (
        Systems(out, "unlimited", ("200/1s", "20 concurrent"), "0", 1, 0.5) as systems,
        DaemonProcess(out / "data", systems.settings()) as daemon,
        Client(daemon.url, out / "data" / "operator.token") as client,
    ):
        yield Land(systems, daemon, client)


@pytest.fixture(autouse=True)
def _well(land: Land) -> Iterator[None]:
    yield
    for system in land.systems.all.values():
        system.set_faults()


def test_a_small_credit_is_in_every_system_once_and_each_is_told(land: Land) -> None:
    land.client.send([{**case("small"), **TENANT}, {**case("small"), **TENANT}])
    story = land.reaches("CASE-small", "posted")
    books = land.books("CASE-small")
    assert {name: [one.status for one in made] for name, made in books.items()} == {
        "erp": ["posted"],
        "billing": ["credit.create"],
        "support": ["case.update", "status.report"],
        "crm": ["status.report"],
        "revenue": ["status.report"],
    }
    assert {one.amount for one in (*books["erp"], *books["billing"])} == {books["erp"][0].amount}
    assert [land.told(name, "CASE-small") for name in ("support", "crm", "revenue")] == [["posted"]] * 3
    names = [row["name"] for row in story["milestones"]]
    assert names.index("compensation.planned") < names.index("billing.done") < names.index("erp.posted")


def test_a_large_credit_waits_for_two_people_and_says_for_whom(land: Land) -> None:
    land.client.send([{**case("large", **LARGE), **TENANT}])
    sentence = land.reaches("CASE-large", "approval")["explanation"]["sentence"]
    assert "2 people of role finance-manager" in sentence
    assert "given up at" in sentence
    listed = json.loads(land.shell("--json", "approvals", "list").stdout)["items"]
    assert "CASE-large" in {item["key"] for item in listed}
    assert land.books("CASE-large")["billing"] == [], "nothing is done before it is approved"

    def vote(who: str, *more: str, verdict: str = "approve") -> subprocess.CompletedProcess[str]:
        return land.shell("approvals", verdict, "CASE-large", "--reason", "confirmed", "--yes", *more, who=who)

    assert "approval.role" in vote("sam").stderr, "support approves nothing"
    assert "auth.invalid" in vote("mallory").stderr, "a token that nobody was given"
    assert "approval.changed" in vote("anna", "--digest", "of something else").stderr
    assert "dry run" in vote("anna", "--dry-run").stdout
    assert "1 more needed" in vote("anna").stdout
    assert "approval.twice" in vote("anna").stderr
    assert "anna approved so far" in land.client.process("CASE-large")["explanation"]["sentence"]
    assert "approved" in vote("tom").stdout
    land.reaches("CASE-large", "posted")
    late = vote("dora")
    assert late.returncode == 1
    assert "approval.closed" in late.stderr
    assert len(land.books("CASE-large")["erp"]) == 1


def test_what_is_rejected_touches_no_money_and_support_is_told(land: Land) -> None:
    land.client.send([{**case("no", **LARGE), **TENANT}])
    land.reaches("CASE-no", "approval")
    digest = land.client.approval("CASE-no")["digest"]
    land.vote("anna", "CASE-no", "reject", digest=digest, reason="not our outage")
    story = land.reaches("CASE-no", "rejected")
    assert "anna (not our outage)" in story["explanation"]["sentence"]
    books = land.books("CASE-no")
    assert (books["erp"], books["billing"]) == ([], [])
    assert land.told("support", "CASE-no") == ["rejected"]


def test_a_credit_that_the_erp_refuses_is_voided_once_and_support_is_told(land: Land) -> None:
    land.systems.erp.set_faults({"kind": "refuse", "account": "ACC-blocked"})
    land.systems.beside["billing"].set_faults({"kind": "lost_answer", "count": 2, "skip": 1})
    land.client.send([{**case("blocked", account_id="ACC-blocked"), **TENANT}])
    land.reaches("CASE-blocked", "compensated")
    books = land.books("CASE-blocked")
    made, void = books["billing"]
    assert (made.status, void.status, void.amount) == ("credit.create", "credit.void", made.amount)
    assert land.systems.beside["billing"].reason_codes()[void.reference] == made.document_id
    assert books["erp"] == []
    assert land.told("support", "CASE-blocked") == ["compensated"]


def test_when_taking_back_is_refused_a_person_gets_the_state_of_each_system(land: Land) -> None:
    land.systems.erp.set_faults({"kind": "refuse", "account": "ACC-stuck"})
    land.systems.beside["billing"].set_faults({"kind": "refuse", "account": "ACC-stuck", "skip": 1, "code": "spent"})
    land.client.send([{**case("stuck", account_id="ACC-stuck"), **TENANT}])
    sentence = land.reaches("CASE-stuck", "stuck")["explanation"]["sentence"]
    note = land.books("CASE-stuck")["billing"][0].document_id
    assert f"billing at billing: done as {note}" in sentence
    assert "undo billing at billing: refused (spent" in sentence
    assert "erp at erp: refused" in sentence
    mine = [one for one in land.client.exceptions(200) if one["key"] == "CASE-stuck"]
    assert [(one["failure"], one["owner"]) for one in mine] == [("process_stuck", "revenue")]


def test_a_target_that_is_away_holds_up_no_other(land: Land) -> None:
    land.systems.beside["crm"].set_faults({"kind": "unavailable_503", "ops": ["post"]})
    land.client.send([{**case("away"), **TENANT}])
    until(lambda: land.told("support", "CASE-away") == ["posted"], "support is told")
    until(lambda: land.told("revenue", "CASE-away") == ["posted"], "revenue reporting is told")
    assert land.told("crm", "CASE-away") == []
    until(lambda: "crm" in land.client.process("CASE-away")["explanation"]["sentence"].lower(), "explain names it")
    land.systems.beside["crm"].set_faults()
    land.reaches("CASE-away", "posted")
    assert land.told("crm", "CASE-away") == ["posted"]


def test_an_account_whose_contract_has_ended_gets_nothing_and_support_is_told(land: Land) -> None:
    accounts = land.systems.beside["crm"].data / "accounts.json"
    accounts.write_text(json.dumps({"ACC-gone": {"status": "cancelled", "contract": "CT-9"}}))
    land.client.send([{**case("gone", account_id="ACC-gone"), **TENANT}])
    sentence = land.reaches("CASE-gone", "refused")["explanation"]["sentence"]
    assert "contract CT-9 is cancelled" in sentence
    assert (land.books("CASE-gone")["billing"], land.books("CASE-gone")["erp"]) == ([], [])
    assert land.told("support", "CASE-gone") == ["refused"]


def test_the_openapi_document_tells_of_approvals_and_answers_fit_it(land: Land) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    document = httpx.get(f"{land.daemon.url}/openapi.json").json()
    validator.validate(document)
    described = {path for path in document["paths"] if path.startswith("/v1/approvals")}
    assert described == {"/v1/approvals", "/v1/approvals/{key}", "/v1/approvals/{key}/{verdict}"}
    required = document["components"]["schemas"]["ApprovalView"]["required"]
    land.client.send([{**case("view", **LARGE), **TENANT}])
    land.reaches("CASE-view", "approval")
    assert set(required) <= land.client.approval("CASE-view").keys()


def test_a_refund_that_somebody_asks_for_always_needs_a_person_who_is_not_that_one(land: Land) -> None:
    land.ask("anna", _request("refund-1", "anna"))
    land.reaches("refund-1", "approval")
    digest = land.client.approval("refund-1")["digest"]
    with pytest.raises(Refused, match=r"approval\.own"):
        land.vote("anna", "refund-1", "approve", digest=digest)
    land.vote("clara", "refund-1", "approve", digest=digest)
    land.reaches("refund-1", "posted")
    books = land.books("refund-1")
    assert [one.status for one in books["billing"]] == ["refund.create"]
    assert [one.amount for one in books["erp"]] == ["12.50"]


@pytest.mark.parametrize(("kind", "billing", "crm"), [
    ("correction", "invoice.correct", ["status.report"]),
    ("amendment", "subscription.amend", ["contract.amend"]),
])  # fmt: skip
def test_corrections_and_amendments_go_the_same_way(land: Land, kind: str, billing: str, crm: list[str]) -> None:
    land.ask("sam", _request(f"{kind}-1", "sam", kind=kind, reason_code="correction"))
    land.reaches(f"{kind}-1", "approval")
    digest = land.client.approval(f"{kind}-1")["digest"]
    land.vote("anna", f"{kind}-1", "approve", digest=digest)
    land.reaches(f"{kind}-1", "posted")
    books = land.books(f"{kind}-1")
    assert [one.status for one in books["billing"]] == [billing]
    assert [one.status for one in books["crm"]] == crm
    assert len(books["erp"]) == 1


def test_the_same_refund_with_another_amount_is_refused_and_the_first_one_stands(land: Land) -> None:
    land.ask("sam", _request("refund-2", "sam"))
    land.reaches("refund-2", "approval")
    before = land.client.approval("refund-2")["digest"]
    other = _request("refund-2", "sam", amount={"amount": "99.00", "currency": "EUR"})
    land.ask("sam", {**other, "id": "another", "idempotencykey": "another"})
    until(lambda: [one for one in land.client.exceptions(200) if one["key"] == "refund-2"], "it is an exception")
    assert land.client.approval("refund-2")["digest"] == before
    assert land.client.approval("refund-2")["amount"] == "12.50 EUR"


@pytest.mark.parametrize("type_", ["process.start", "process.judged", "process.vote", "process.call.ended"])
def test_nobody_can_send_what_only_tidegate_sends(land: Land, type_: str) -> None:
    body = event(type_, f"forged-{type_}", {}, idempotencykey="forged")
    media = {"Content-Type": "application/cloudevents+json"}
    answer = httpx.post(f"{land.daemon.url}/v1/messages", content=json.dumps(body), headers=media)
    check_problem(answer.json(), 422)
    assert answer.json()["code"] in ("contract.not_accepted", "field.missing")
    assert type_ not in json.dumps(httpx.get(f"{land.daemon.url}/openapi.json").json())


def test_a_key_of_two_tenants_is_voted_on_by_tenant(land: Land) -> None:
    land.ask("sam", _request("both", "sam"), {**_request("both", "sam"), "id": "other", "tenant": "beta"})
    until(lambda: sum(item["key"] == "both" for item in land.client.approvals(200)) == 2, "both wait")
    with pytest.raises(Refused, match="Name the tenant"):
        land.client.approval("both")
    digest = land.client.approval("both", "beta")["digest"]
    effect = land.vote("anna", "both", "reject", digest=digest, tenant="beta")
    assert effect["result"] == "rejected"
    assert [item["tenant"] for item in land.client.approvals(200) if item["key"] == "both"] == ["acme"]


def test_votes_need_the_operator_token(land: Land) -> None:
    answer = httpx.post(f"{land.daemon.url}/v1/approvals/CASE-large/approve", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.missing")


def test_who_asks_and_who_votes_is_whose_token_it_is_whatever_the_request_says(land: Land) -> None:
    with pytest.raises(Refused, match=r"auth\.missing"):
        land.client.send([_request("named", "sam")])
    with pytest.raises(Refused, match=r"approval\.requester"):
        land.ask("anna", _request("named", "sam"))
    land.ask("anna", _request("named", "anna"))
    land.reaches("named", "approval")
    digest = land.client.approval("named")["digest"]
    with pytest.raises(Refused, match=r"approval\.own"):
        land.vote("anna", "named", digest=digest)
    with pytest.raises(Refused, match=r"anna's.*approval\.person"):
        land.vote("anna", "named", digest=digest, who="clara")
    with pytest.raises(Refused, match=r"approval\.person"):
        land.client.vote("named", "approve", digest=digest, reason="the token of the data directory is nobody's")
    assert land.vote("clara", "named", digest=digest, who="clara")["result"] == "approved"
    done = json.loads(
        land.shell("--json", "pause", "tenant:nobody", "--who", "tom", "--reason", "x", who="dora").stdout
    )
    assert done["done"]
    entries = land.client.look("audit", subject="tenant:nobody")["items"]
    assert {entry["actor"] for entry in entries} == {"dora"}
    votes = land.client.look("audit", subject="named")["items"]
    approvals = {(entry["actor"], entry["verb"]) for entry in votes if entry["verb"].startswith("approval.")}
    assert approvals == {("workflow", "approval.asked"), ("clara", "approval.approve"), ("clara", "approval.given")}


def test_calls_to_billing_are_held_and_released_without_touching_the_erp(land: Land) -> None:
    given = land.shell("--json", "hold", "billing", "--reason", "they migrate", who="dora")
    assert json.loads(given.stdout)["done"], given.stderr
    land.client.send([{**case("held"), **TENANT}])
    release = {"target": "billing", "reason": "they are done", "who": "x"}
    until(
        lambda: land.client.operate("release", **release, dry_run=True)["waiting_calls"], "its call waits for billing"
    )
    assert land.books("CASE-held")["billing"] == []
    with pytest.raises(Refused, match=r"operation\.target"):
        land.client.operate("cancel", scope="billing", reason="not this way", who="x", dry_run=True)
    with pytest.raises(Refused, match=r'Did you mean "billing".*operation\.target'):
        land.client.operate("hold", target="biling", reason="a slip", who="x")
    land.client.operate("release", **release)
    land.reaches("CASE-held", "posted")


def test_a_void_that_billing_refused_is_somebodys_work_and_is_sent_again_by_a_third_person(land: Land) -> None:
    land.systems.erp.set_faults({"kind": "refuse", "account": "ACC-locked"})
    land.systems.beside["billing"].set_faults({"kind": "refuse", "account": "ACC-locked", "skip": 1})
    land.client.send([{**case("locked", account_id="ACC-locked"), **TENANT}])
    land.reaches("CASE-locked", "stuck")
    (told,) = [
        one for one in land.client.exceptions(200) if one["key"] == "CASE-locked" and "process" in one["failure"]
    ]
    assert "billing: done as" in told["cause"], "the exact state of each system"
    assert "erp: refused" in told["cause"]
    for system in land.systems.all.values():
        system.set_faults()
    assert "approval.role" in land.shell(*REPLAY, "CASE-locked", who="sam").stderr
    assert "dry run" in land.shell(*REPLAY, "CASE-locked", "--dry-run", who="dora").stdout
    assert "replayed" in land.shell(*REPLAY, "CASE-locked", who="dora").stdout
    land.reaches("CASE-locked", "compensated")
    assert [one.status for one in land.books("CASE-locked")["billing"]] == ["credit.create", "credit.void"]
    assert not [one for one in land.client.exceptions(200) if one["key"] == "CASE-locked" and "stuck" in one["failure"]]
    entries = land.client.look("audit", subject="CASE-locked")["items"]
    assert ("dora", "process.replay") in {(row["actor"], row["verb"]) for row in entries}
    assert "replay.nothing" not in land.shell(*REPLAY, "CASE-locked", "--dry-run", who="dora").stderr


def test_what_one_tenant_sends_again_leaves_the_other_tenants_exception_of_the_same_key_open(land: Land) -> None:
    def stuck() -> list[str]:
        found = [one for one in land.client.exceptions(200) if one["key"] == "CASE-twin"]
        return sorted(one["message"]["tenant"] for one in found if one["failure"] == "process_stuck")

    land.systems.erp.set_faults({"kind": "refuse", "account": "ACC-twin"})
    for tenants in (["acme"], ["acme", "beta"]):
        land.systems.beside["billing"].set_faults({"kind": "refuse", "account": "ACC-twin", "skip": 1})
        land.client.send([{**case("twin"), "tenant": tenants[-1]}])
        until(lambda wanted=tenants: stuck() == wanted, f"{tenants} are stuck")
    for system in land.systems.all.values():
        system.set_faults()
    assert "replayed" in land.shell(*REPLAY, "CASE-twin", "--tenant", "acme", who="dora").stdout
    until(lambda: land.client.approval("CASE-twin", "acme")["outcome"] == "compensated", "acme's is taken back")
    assert stuck() == ["beta"]
    assert land.client.approval("CASE-twin", "beta")["phase"] == "stuck"


REPLAY = ("approvals", "replay", "--reason", "it is mended", "--yes")


def _request(name: str, by: str, **data: Any) -> dict[str, Any]:
    facts = {
        "process_id": name,
        "kind": "refund",
        "account_id": f"ACC-{name}",
        "amount": {"amount": "12.50", "currency": "EUR"},
        "reason_code": "refund",
        "requested_by": by,
        **data,
    }
    return event("process.request", f"req-{name}", facts, idempotencykey=f"req-{name}", **TENANT)
