"""CloudEvents in all three modes, gzip, and receipts that a sender can act on."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.daemon import BATCH, Site, adjustment, case, site, until


def binary(body: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """An event in binary mode: data, and headers."""
    headers = {f"ce-{name}": str(value) for name, value in body.items() if name != "data"}
    return json.dumps(body["data"]).encode(), headers


def queued(site: Site, message_id: str) -> dict[str, Any]:
    """The stored event, read from the daemon's own file while its domain is paused."""
    import sqlite3

    database = sqlite3.connect(f"{(site.daemon.data / 'tidegate.db').as_uri()}?mode=ro", uri=True)
    try:
        bodies = [json.loads(row[0]) for row in database.execute("SELECT body FROM queue_item")]
    finally:
        database.close()
    (found,) = [body for body in bodies if body["id"] == message_id]
    return dict(found)


def test_one_event_in_structured_mode_gets_a_receipt(shared_site: Site) -> None:
    for media in ("application/cloudevents+json", "application/json", "Application/CloudEvents+JSON; charset=UTF-8"):
        answer = shared_site.post(case(f"one-{len(media)}"), media)
        assert answer.status_code == 202
        receipt = answer.json()
        assert receipt["id"] == receipt["correlation_id"] == f"case-one-{len(media)}"
        assert receipt["lane"] == "standard"
        assert receipt["place"] >= 0
        eta = datetime.fromisoformat(receipt["eta"])
        assert abs(eta - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_lane_and_a_correlation_of_the_senders_choice_are_kept(shared_site: Site) -> None:
    body = {**case("chosen"), "lane": "bulk", "correlationid": "order-7"}
    receipt = shared_site.post(body).json()
    assert (receipt["lane"], receipt["correlation_id"]) == ("bulk", "order-7")
    assert shared_site.post(case("escalated", escalated=True)).json()["lane"] == "urgent"


def test_a_duplicate_is_told_and_keeps_its_identity(shared_site: Site) -> None:
    first, again = shared_site.post(case("dup")).json(), shared_site.post(case("dup")).json()
    assert again.pop("duplicate") is True
    assert {"id": first["id"], "lane": first["lane"]} == {"id": again["id"], "lane": again["lane"]}


def test_one_event_in_binary_mode_is_the_same_as_in_structured_mode(shared_site: Site) -> None:
    data, headers = binary({**case("binary"), "subject": "Größe 100%25".replace("ö", "%C3%B6").replace("ß", "%C3%9F")})
    with shared_site.http() as http:
        answer = http.post("/v1/messages", content=data, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == 202
    assert answer.json()["id"] == "case-binary"
    assert shared_site.post(case("binary")).json()["duplicate"] is True


def test_a_batch_gets_one_receipt_an_event_in_order(shared_site: Site) -> None:
    answer = shared_site.post([case(f"batch-{n}") for n in range(1000)], BATCH)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1000
    assert [receipt["id"] for receipt in answer.json()["receipts"]] == [f"case-batch-{n}" for n in range(1000)]


def test_an_event_twice_in_a_batch_is_taken_once(shared_site: Site) -> None:
    receipts = shared_site.post([case("twin"), case("twin")], BATCH).json()["receipts"]
    assert [receipt.get("duplicate", False) for receipt in receipts] == [False, True]


def test_gzip_is_unpacked(shared_site: Site) -> None:
    body = gzip.compress(json.dumps([case(f"gz-{n}") for n in range(300)]).encode())
    assert shared_site.post(body, BATCH, Content_Encoding="gzip").json()["accepted"] == 300


def test_a_body_in_chunks_is_put_together(shared_site: Site) -> None:
    body = json.dumps(case("chunks")).encode()
    with shared_site.http() as http:
        answer = http.post(
            "/v1/messages",
            content=(body[start : start + 7] for start in range(0, len(body), 7)),
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == 202


def test_what_became_of_a_message_can_be_asked_by_its_id_and_its_key(shared_site: Site) -> None:
    shared_site.post({**adjustment("asked", "asked"), "lane": "urgent"})
    until(lambda: shared_site.documents("DOC-asked"), "it is posted")
    done = until(lambda: _done(shared_site.get("/v1/processes/DOC-asked").json()), "the daemon knows that it is posted")
    document = shared_site.documents("DOC-asked")[0].document_id
    assert document in done["explanation"]["sentence"]
    for key in ("INT-asked", document):
        (call,) = shared_site.get(f"/v1/processes/{key}").json()["calls"]
        assert (call["intent_id"], call["document"], call["amount"]) == ("INT-asked", document, "12.50 EUR")
    message = shared_site.get("/v1/messages/cmd-asked").json()
    assert (message["type"], message["key"], message["state"]) == ("erp.adjustment.request", "DOC-asked", "done")


def _done(story: dict[str, Any]) -> dict[str, Any] | None:
    calls = story.get("calls", [])
    return story if calls and all(call["status"] == "done" for call in calls) else None


def test_unknown_attributes_and_fields_are_stored_as_they_came(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        assert own.operate("pause", {"target": "credit-policy", "reason": "look", "who": "test"}).status_code == 200
        sent = {
            **case("ext", surprise={"new": [1, 2]}),
            "myext": "a=b",
            "flag": True,
            "count": 7,
            "traceparent": "00-a",
        }
        assert own.post(sent).status_code == 202
        stored = queued(own, "case-ext")
        assert stored["data"] == sent["data"]
        assert {name: stored[name] for name in ("myext", "flag", "count", "traceparent")} == {
            "myext": "a=b",
            "flag": True,
            "count": 7,
            "traceparent": "00-a",
        }
        data, headers = binary({**case("ext-b"), "myext": "caf%C3%A9"})
        with own.http() as http:
            http.post("/v1/messages", content=data, headers={"Content-Type": "application/json", **headers})
        assert queued(own, "case-ext-b")["myext"] == "café"


def test_what_was_accepted_is_there_after_kill_9(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        assert own.operate("pause", {"target": "all", "reason": "look", "who": "test"}).status_code == 200
        accepted = own.post([case(f"kept-{n}") for n in range(500)], BATCH).json()["receipts"]
        own.daemon.kill()
        own.daemon.start()
        items, _ = own.client().outcomes(0)
        assert [item["id"] for item in items] == [receipt["id"] for receipt in accepted]
