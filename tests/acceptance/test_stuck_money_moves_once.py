"""What is cancelled is taken back; what is with a person is sent again once, whoever does it and in whichever way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ops.client import Client, Refused
from ops.process import DaemonProcess
from ops.systems import Systems
from tests.acceptance.test_processes import TENANT, Land
from tests.support.daemon import case, event, until

WHY = {"reason": "the period is open again", "who": "dana"}


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
def _open(land: Land) -> Iterator[None]:
    yield
    for system in land.systems.all.values():
        system.set_faults()


def closed(land: Land, name: str) -> None:
    """The ERP's period is closed for an account."""
    land.systems.erp.set_faults({"kind": "closed_period", "account": f"ACC-{name}"})


def request(name: str, by: str, **data: Any) -> dict[str, Any]:
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


def approved(land: Land, name: str, **data: Any) -> None:
    """Asked for by sam, approved by anna."""
    land.ask("sam", request(name, "sam", **data))
    land.reaches(name, "approval")
    land.vote("anna", name, "approve", digest=land.client.approval(name)["digest"])


def stuck(land: Land, name: str, **data: Any) -> None:
    """Credited in billing, and not posted since the ERP's period is closed."""
    closed(land, name)
    approved(land, name, **data)
    land.reaches(name, "stuck")
    land.systems.erp.set_faults()


def call(land: Land, name: str) -> dict[str, Any]:
    """The first call to the ERP; nothing if there is none yet."""
    found = [one for one in land.client.look("search", key=name)["calls"] if one["operation"] == "adjustment.create"]
    return dict(found[0]) if found else {}


def troubles(land: Land, name: str) -> list[str]:
    """What of it is with people."""
    return [one["failure"] for one in land.client.exceptions(200) if one["key"] == name]


def operate(land: Land, who: str, verb: str, **command: Any) -> dict[str, Any]:
    """In the name of somebody's token: what people asked for is not for whoever holds the shared one."""
    why = {} if verb == "commit" else {"reason": "the period is open again"}
    with land.person(who) as client:
        return client.operate(verb, **command, **why, who=who)


def replay(land: Land, who: str, name: str) -> dict[str, Any]:
    digest = land.client.approval(name)["digest"]
    with land.person(who) as client:
        return client.vote(name, "replay", digest=digest, reason="the period is open again")


def test_a_cancelled_call_turns_its_process_back_and_everybody_is_told(land: Land) -> None:
    land.client.operate("hold", target="erp", **WHY)
    try:
        land.client.send([{**case("dropped"), **TENANT}])
        until(lambda: call(land, "CASE-dropped").get("status") == "waiting", "billing has done it, and the ERP waits")
        assert land.client.operate("cancel", keys=["CASE-dropped"], **WHY)["done"]
        land.reaches("CASE-dropped", "compensated")
    finally:
        land.client.operate("release", target="erp", **WHY)
    books = land.books("CASE-dropped")
    assert [one.status for one in books["billing"]] == ["credit.create", "credit.void"]
    assert books["erp"] == []
    assert [land.told(name, "CASE-dropped") for name in ("support", "crm", "revenue")] == [["compensated"]] * 3


def test_what_was_retried_is_not_replayed_as_well(land: Land) -> None:
    stuck(land, "retried")
    assert sorted(troubles(land, "retried")) == ["closed_period", "process_stuck"]
    land.client.operate("hold", target="erp", **WHY)
    try:
        assert operate(land, "dirk", "retry", keys=["retried"])["done"]
        assert call(land, "retried")["status"] == "waiting"
        with pytest.raises(Refused, match=r"replay\.under_way"):
            replay(land, "dora", "retried")
        assert troubles(land, "retried") == [], "it is nobody's work any more"
    finally:
        land.client.operate("release", target="erp", **WHY)
    land.reaches("retried", "posted")
    assert len(land.books("retried")["erp"]) == 1


def test_what_is_retried_too_early_is_with_people_again_and_once(land: Land) -> None:
    stuck(land, "early")
    closed(land, "early")
    before = {one["seq"] for one in land.client.exceptions(200) if one["key"] == "early"}
    assert operate(land, "dirk", "retry", keys=["early"])["done"]

    def anew() -> list[str]:
        return sorted(
            one["failure"] for one in land.client.exceptions(200) if one["key"] == "early" and one["seq"] not in before
        )

    until(lambda: anew() == ["closed_period", "process_stuck"], "both are there anew")
    assert sorted(troubles(land, "early")) == ["closed_period", "process_stuck"]
    land.systems.erp.set_faults()
    assert operate(land, "dirk", "retry", keys=["early"])["done"]
    land.reaches("early", "posted")
    assert len(land.books("early")["erp"]) == 1


def test_what_was_replayed_is_not_retried_or_settled_as_well(land: Land) -> None:
    stuck(land, "replayed")
    first = call(land, "replayed")["intent_id"]
    land.client.operate("hold", target="erp", **WHY)
    try:
        assert replay(land, "dora", "replayed")["done"]
        assert land.client.look("search", key=first)["calls"][0]["status"] == "refused"
        for verb, more in (("retry", {"keys": ["replayed"]}), ("settle", {"key": first, "document": "ADJ-1"})):
            with pytest.raises(Refused, match=r"operation\.nothing"):
                operate(land, "dirk", verb, **more)
    finally:
        land.client.operate("release", target="erp", **WHY)
    land.reaches("replayed", "posted")
    assert len(land.books("replayed")["erp"]) == 1


def test_many_that_are_retried_leave_out_the_one_that_was_replayed_meanwhile(land: Land) -> None:
    names = ["many-1", "many-2", "many-3"]
    for name in names:
        stuck(land, name)
    assert all(sorted(troubles(land, name)) == ["closed_period", "process_stuck"] for name in names)
    shown = operate(land, "dirk", "retry", scope="failure:closed_period", dry_run=True)
    assert shown["waiting_calls"] == 3
    land.client.operate("hold", target="erp", **WHY)
    try:
        operate(land, "dirk", "commit", token=shown["token"])
        last = next(name for name in reversed(names) if call(land, name)["status"] == "exception")
        assert replay(land, "dora", last)["done"]
    finally:
        land.client.operate("release", target="erp", **WHY)
    for name in names:
        land.reaches(name, "posted")
    assert [len(land.books(name)["erp"]) for name in names] == [1, 1, 1]


def test_a_replayed_correction_does_not_wait_behind_its_former_self(land: Land) -> None:
    stuck(land, "bent", kind="correction", reason_code="correction")
    assert replay(land, "dora", "bent")["done"]
    land.reaches("bent", "posted")
    approved(land, "next", kind="correction", reason_code="correction", account_id="ACC-bent")
    land.reaches("next", "posted")
    assert [len(land.books(name)["erp"]) for name in ("bent", "next")] == [1, 1]


def test_who_carries_out_what_another_has_shown_does_it_in_their_own_name(land: Land) -> None:
    stuck(land, "shown")
    intent = call(land, "shown")["intent_id"]
    shown = operate(land, "dora", "settle", key=intent, document="ADJ-OLD", dry_run=True)
    for who, code in (("sam", r"approval\.own"), ("anna", r"approval\.replayer")):
        with pytest.raises(Refused, match=code):
            operate(land, who, "commit", token=shown["token"])
    assert operate(land, "clara", "commit", token=shown["token"])["done"]
    land.reaches("shown", "posted")
    assert troubles(land, "shown") == []
    done = [one for one in land.client.look("audit", subject=intent)["items"] if one["verb"] == "call.done"]
    assert [one["actor"] for one in done] == ["clara"]
    assert "clara has looked" in call(land, "shown")["reason"]
