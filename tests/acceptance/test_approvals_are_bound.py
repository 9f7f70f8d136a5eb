"""F86: nobody approves their own, no vote counts twice, and what was approved is what is done, to the cent."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.client import Client, Refused
from ops.process import DaemonProcess
from ops.systems import Systems
from tests.support.daemon import event, until

AMOUNT = {"amount": "12.50", "currency": "EUR"}


class House:
    """Five systems and a daemon that may be killed and started again."""

    def __init__(self, place: Path, systems: Systems) -> None:
        self.systems = systems
        self.daemon = DaemonProcess(place / "data", systems.settings())

    def client(self) -> Client:
        """A client of one's own."""
        return Client(self.daemon.url, self.daemon.data / "operator.token")

    def ask(self, name: str, by: str = "sam", **more: Any) -> str:
        """Somebody asks for a refund; the digest of what waits for approval."""
        facts = {"process_id": name, "kind": "refund", "account_id": f"ACC-{name}", "amount": AMOUNT}
        facts |= {"reason_code": "refund", "requested_by": by, **more}
        request = event("process.request", f"req-{name}", facts, idempotencykey=f"req-{name}", tenant="acme")
        with self.systems.person(self.daemon.url, by) as asker:
            asker.send([request], signed=True)
        with self.client() as client:
            until(lambda: name in {item["key"] for item in client.approvals(200)}, f"{name} waits for approval")
            return str(client.approval(name)["digest"])

    def vote(self, name: str, who: str, digest: str) -> dict[str, Any]:
        """An approval."""
        with self.systems.person(self.daemon.url, who) as voter:
            return voter.vote(name, "approve", digest=digest, reason="checked")

    def operate(self, verb: str, **command: Any) -> None:
        """An order."""
        with self.client() as client:
            client.operate(verb, reason="a test", who="kim", **command)

    def edit(self, statement: str, *values: Any) -> int:
        """Change the database behind the daemon's back, while it is down."""
        connection = sqlite3.connect(self.daemon.data / "tidegate.db")
        try:
            with connection:
                return connection.execute(statement, values).rowcount
        finally:
            connection.close()

    def amounts(self, system: str, key: str) -> list[str]:
        """What a system has in its books for a key."""
        return [one.amount for one in self.systems.all[system].documents() if one.source_document == key]

    def with_a_person(self, key: str) -> list[str]:
        """Causes of open exceptions."""
        with self.client() as client:
            return [one["cause"] for one in client.exceptions(200) if one["key"] == key]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("bound")
    with Systems(place, "unlimited", ("200/1s", "20 concurrent"), "0", 1, 0.5) as systems:
        made = House(place, systems)
        with made.daemon:
            yield made


def test_who_asked_does_not_approve_and_a_vote_sent_again_does_not_count_again(house: House) -> None:
    digest = house.ask("own", by="anna")
    with pytest.raises(Refused, match=r"approval\.own"):
        house.vote("own", "anna", digest)
    other = house.ask("other", by="sam")
    with pytest.raises(Refused, match=r"approval\.changed"):
        house.vote("own", "clara", other)  # an approval of something else, played back
    house.vote("own", "clara", digest)
    until(lambda: house.amounts("erp", "own") == ["12.50"], "it is posted")
    with pytest.raises(Refused, match=r"approval\.closed"):
        house.vote("own", "clara", digest)
    assert house.amounts("billing", "own") == ["12.50"]


def test_what_the_incident_has_come_to_meanwhile_is_shown_and_counts(house: House) -> None:
    digest = house.ask("early", incident_id="INC-big")
    with house.client() as client:
        before = client.approval("early")
        house.ask("late", incident_id="INC-big", amount={"amount": "2000000.00", "currency": "EUR"})
        after = client.approval("early")
        listed = next(item for item in client.approvals(200) if item["key"] == "early")
        sentence = client.process("early")["explanation"]["sentence"]
    assert (before["exposure"], before["people"], before["role"]) == ("12.50 EUR", 1, "finance-clerk")
    assert (after["exposure"], after["people"], after["role"]) == ("2000012.50 EUR", 2, "finance-director")
    assert listed == after
    assert "2 people of role finance-director" in sentence
    assert after["digest"] == digest, "who has voted has voted for the same thing"
    with pytest.raises(Refused, match=r"approval\.role"):
        house.vote("early", "clara", digest)
    assert (house.vote("early", "dora", digest)["result"], house.amounts("billing", "early")) == ("counted", [])
    assert house.vote("early", "dirk", digest)["result"] == "approved"
    until(lambda: house.amounts("erp", "early") == ["12.50"], "it is posted")


def test_a_process_whose_amount_was_changed_after_its_approval_asks_for_nothing_more(house: House) -> None:
    digest = house.ask("changed")
    house.systems.all["billing"].stop()
    house.vote("changed", "clara", digest)
    house.daemon.kill()
    find = "SELECT key, body FROM state WHERE domain = 'workflow' AND key LIKE '%changed'"
    connection = sqlite3.connect(house.daemon.data / "tidegate.db")
    ((key, body),) = connection.execute(find).fetchall()
    connection.close()
    record = json.loads(body)
    record["request"]["amount"]["amount"] = "99.50"
    changed = json.dumps(record).encode()
    assert house.edit("UPDATE state SET body = ? WHERE domain = 'workflow' AND key = ?", changed, key) == 1
    house.daemon.start()
    house.systems.all["billing"].start()
    until(
        lambda: any("changed since it was approved" in cause for cause in house.with_a_person("changed")),
        "noticed",
        seconds=90,
    )
    assert house.amounts("erp", "changed") == []
    assert "99.50" not in house.amounts("billing", "changed")


def test_a_call_whose_amount_was_changed_while_it_waited_is_not_made(house: House) -> None:
    house.operate("hold", target="erp")
    digest = house.ask("raised")
    house.vote("raised", "clara", digest)
    until(lambda: house.amounts("billing", "raised") == ["12.50"], "billing has it")
    with house.client() as client:
        until(lambda: any(c["system"] == "erp" for c in client.process("raised")["calls"]), "the ERP's call waits")
    house.daemon.kill()
    raised = "UPDATE call SET minor = 9950, body = CAST(replace(CAST(body AS TEXT), '12.50', '99.50') AS BLOB) "
    assert house.edit(raised + "WHERE system = 'erp' AND key = 'raised'") == 1
    house.daemon.start()
    house.operate("release", target="erp")
    until(lambda: any("not what was requested" in cause for cause in house.with_a_person("raised")), "noticed")
    assert house.amounts("erp", "raised") == []
