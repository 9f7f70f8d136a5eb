"""A message sent twice is done once, and its sender hears the same; also after kill -9, and with another key."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.daemon import BATCH, CANARY, STRUCTURED, Site, adjustment, case, problem_of, site, until


def posted(site: Site, name: str) -> list[Any]:
    """The documents of DOC-name, once there is one."""
    return until(lambda: site.documents(f"DOC-{name}"), f"DOC-{name} is posted")


def settled(site: Site, name: str) -> list[Any]:
    """The documents of DOC-name after everything sent before was handled: a fence behind it has been posted."""
    fence = adjustment(f"{name}-fence", f"{name}-fence", account_id=f"ACC-{name}")
    assert site.post(fence).status_code == 202
    posted(site, f"{name}-fence")
    return site.documents(f"DOC-{name}")


def test_a_command_without_a_key_is_refused(shared_site: Site) -> None:
    problem = problem_of(shared_site.post(adjustment("nokey")))
    assert (problem["status"], problem["code"], problem["path"]) == (400, "idempotency.missing", "/idempotencykey")


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "a b", "caf\xe9", "\x7f"])
def test_a_key_that_no_system_could_keep_is_refused(shared_site: Site, key: str) -> None:
    for answer in (
        shared_site.post(adjustment("badkey", key)),
        shared_site.post(adjustment("badkey"), Idempotency_Key=key.encode("latin-1")),  # type: ignore[arg-type]
    ):
        problem = problem_of(answer)
        # DEL is no part of a header at all, so there the whole request is refused
        assert problem["code"] in ("idempotency.format", "text.control_character", "request.malformed")
        assert problem["path"] in ("/idempotencykey", "")


def test_a_key_may_stand_in_the_header(shared_site: Site) -> None:
    first = shared_site.post(adjustment("header"), Idempotency_Key="header-1")
    again = shared_site.post(adjustment("header"), Idempotency_Key="header-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert ("duplicate" in first.json(), again.json()["duplicate"]) == (False, True)
    assert len(settled(shared_site, "header")) == 1


def test_two_different_keys_for_one_command_are_refused(shared_site: Site) -> None:
    problem = problem_of(shared_site.post(adjustment("both", "one"), Idempotency_Key="two"))
    assert problem["code"] == "idempotency.format"


def test_the_same_key_for_another_body_is_refused_and_the_first_stands(shared_site: Site) -> None:
    assert shared_site.post(adjustment("mis", "mis")).status_code == 202
    other = {**adjustment("mis", "mis", amount={"amount": "99.00", "currency": "EUR"}), "id": "cmd-mis-2"}
    problem = problem_of(shared_site.post(other))
    assert (problem["status"], problem["code"], problem["path"]) == (422, "idempotency.mismatch", "/idempotencykey")
    (document,) = settled(shared_site, "mis")
    assert document.amount == "12.50"


def test_the_same_id_for_another_content_is_refused_at_the_id(shared_site: Site) -> None:
    assert shared_site.post(case("sameid")).status_code == 202
    problem = problem_of(shared_site.post(case("sameid", outage_minutes=1)))
    assert (problem["code"], problem["path"]) == ("idempotency.mismatch", "/id")


def test_in_a_batch_a_conflict_is_told_at_its_event_and_the_others_are_taken(shared_site: Site) -> None:
    assert shared_site.post(case("conflict")).status_code == 202
    answer = shared_site.post([case("before"), case("conflict", outage_minutes=1), case("after")], BATCH)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    codes = [(receipt.get("code"), receipt.get("path")) for receipt in answer.json()["receipts"]]
    assert codes == [(None, None), ("idempotency.mismatch", "/1/id"), (None, None)]


def test_a_hundred_at_once_have_one_effect_and_one_answer(shared_site: Site) -> None:
    together = threading.Barrier(50)

    def send(number: int) -> httpx.Response:
        together.wait()
        return shared_site.post({**adjustment("hundred", "hundred"), "id": f"cmd-hundred-{number}"})

    with ThreadPoolExecutor(50) as senders:
        answers = list(senders.map(send, range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(not answer.json().get("duplicate") for answer in answers) == 1
    assert len(settled(shared_site, "hundred")) == 1


def test_the_same_key_of_another_tenant_is_another_key(shared_site: Site) -> None:
    for tenant in ("north", "south"):
        body = {**adjustment(f"of-{tenant}", "tenants"), "tenant": tenant}
        assert shared_site.post(body).json().get("duplicate", False) is False
    assert len(settled(shared_site, "of-north")) == len(settled(shared_site, "of-south")) == 1


def test_an_effect_under_a_new_key_is_refused_with_its_original(shared_site: Site) -> None:
    first = shared_site.post(adjustment("again", "again-1")).json()
    (document,) = posted(shared_site, "again")
    other_intent = {**adjustment("again", "again-3", intent_id="INT-again-2"), "id": "cmd-again-3"}
    for body in ({**adjustment("again", "again-2"), "id": "cmd-again-2"}, other_intent):
        problem = problem_of(shared_site.post(body))
        assert (problem["status"], problem["code"], problem["path"]) == (409, "duplicate.business_key", "/data")
        assert problem["original"]["message_id"] == first["id"]
        assert problem["original"]["intent_id"] == "INT-again"
    until(
        lambda: problem_of(shared_site.post(other_intent))["original"].get("document") == document.document_id,
        "the refusal names the document",
    )
    in_batch = problem_of(shared_site.post([case("fresh"), other_intent], BATCH))
    assert (in_batch["status"], in_batch["path"]) == (409, "/1/data")
    assert len(settled(shared_site, "again")) == 1


def test_something_else_about_the_same_business_key_is_taken(shared_site: Site) -> None:
    assert shared_site.post(adjustment("two", "two-1")).status_code == 202
    second = adjustment("two", "two-2", intent_id="INT-two-b", amount={"amount": "3.00", "currency": "EUR"})
    assert shared_site.post({**second, "id": "cmd-two-b"}).status_code == 202
    until(lambda: len(shared_site.documents("DOC-two")) == 2, "both are posted")


def test_after_a_refusal_the_same_key_and_id_may_be_used_again(shared_site: Site) -> None:
    assert shared_site.post(adjustment("fix", "fix", kind=CANARY)).status_code == 422
    answer = shared_site.post(adjustment("fix", "fix"), STRUCTURED)
    assert (answer.status_code, "duplicate" in answer.json()) == (202, False)


def test_the_same_key_after_kill_9_gets_the_same_answer_and_one_effect(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        bodies = [adjustment(f"kill-{n}", f"kill-{n}") for n in range(60)]
        told: dict[str, dict[str, Any]] = {}
        enough = threading.Event()

        def send_until_killed() -> None:
            for body in bodies:
                try:
                    answer = own.post(body)
                except httpx.HTTPError:
                    return
                told[body["id"]] = answer.json()
                if len(told) == 20:
                    enough.set()

        sender = threading.Thread(target=send_until_killed)
        sender.start()
        assert enough.wait(20)
        own.daemon.kill()
        sender.join()
        own.daemon.start()
        for body in bodies:
            answer = own.post(body)
            assert answer.status_code == 202
            if (before := told.get(body["id"])) is not None:
                same = ("id", "correlation_id", "lane")
                assert [answer.json()[name] for name in same] == [before[name] for name in same]
                assert answer.json()["duplicate"] is True
        until(lambda: len(own.erp.documents()) >= 60, "all are posted")
        assert sorted(d.source_document for d in own.erp.documents()) == sorted(f"DOC-kill-{n}" for n in range(60))
