"""Each fault does what it says, seen at the socket, in the ledger and in the log."""

import gzip
import json
from collections.abc import Callable

import pytest

from .client import TIMEOUT_SECONDS, Answer, Client, Start, ends


def test_a_lost_answer_is_a_document_and_a_closed_connection(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "lost_answer", "count": 1})
    assert erp.post_raw(key) == b""
    (document,) = erp.find(key)
    line = ends(erp.erp)[-2]
    assert (line["verdict"], line["answer"], line["status"]) == ("created", "lost", None)
    assert (line["document"], line["fault"]) == (document["document_id"], "lost_answer")
    assert erp.post(key).status == 200


def test_a_reset_is_abrupt_and_executes_nothing(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "reset", "count": 1})
    with pytest.raises(ConnectionResetError):
        erp.post_raw(key)
    assert erp.find(key) == []
    assert ends(erp.erp)[-2]["answer"] == "reset"
    assert ends(erp.erp)[-2]["verdict"] == "failed"


@pytest.mark.parametrize("retry_after", ["7", "0", "-5", "1000000000", "soon", "Sat, 31 Jan 2026 12:00:00 GMT", ""])
def test_a_throttle_says_any_retry_after(erp: Client, key: str, retry_after: str) -> None:
    erp.erp.set_faults({"kind": "throttle_429", "retry_after": retry_after})
    answer = erp.post(key)
    assert (answer.status, answer.json["code"]) == (429, "rate.exceeded")
    assert answer.headers["retry-after"] == retry_after


def test_a_throttle_may_say_no_retry_after(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "throttle_429", "retry_after": None})
    assert "retry-after" not in erp.post(key).headers


def test_an_unavailable_erp_answers_503(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "unavailable_503", "retry_after": "3"})
    answer = erp.post(key)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "unavailable", "3")


@pytest.mark.parametrize(("commit", "documents"), [(True, 1), (False, 0)])
def test_a_hang_closes_in_the_end_with_or_without_a_document(
    erp: Client, key: str, commit: bool, documents: int
) -> None:
    erp.erp.set_faults({"kind": "hang", "seconds": 0.05, "commit": commit, "ops": ["post"]})
    assert erp.post_raw(key) == b""
    assert len(erp.find(key)) == documents


def test_a_hang_keeps_its_slot_when_the_caller_has_left(start: Start) -> None:
    erp = start("custom", limits=["1 concurrent"])
    erp.erp.set_faults({"kind": "hang", "seconds": 60, "ops": ["post"]})
    erp.send("POST", "/adjustments").close()
    refused = until(lambda: erp.call("GET", "/limits"), lambda answer: answer.status == 429)
    assert refused.json["code"] == "concurrency.exceeded"


def test_a_late_commit_closes_without_an_answer_when_it_commits(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "late_commit", "seconds": 0.05})
    assert erp.post_raw(key) == b""
    assert len(erp.find(key)) == 1


def test_a_late_commit_may_come_after_the_call_has_ended(start: Start) -> None:
    erp = start("custom", limits=["1 concurrent"])
    erp.erp.set_faults({"kind": "late_commit", "seconds": 2, "close_after_seconds": 0})
    assert erp.post_raw("k") == b""
    assert erp.find("k") == []
    assert erp.erp.stop() == 0
    assert [document.reference for document in erp.erp.documents()] == ["k"]
    found, late = ends(erp.erp)
    assert (late["verdict"], late["answer"]) == ("created", "lost")
    assert late["ended_ns"] < found["arrived_ns"]


def test_a_late_commit_makes_no_second_document_for_a_key_posted_meanwhile(start: Start) -> None:
    erp = start()
    erp.erp.set_faults({"kind": "late_commit", "seconds": 2, "close_after_seconds": 0, "count": 1})
    assert erp.post_raw("k") == b""
    assert erp.post("k").status == 201
    assert erp.erp.stop() == 0
    assert len(erp.erp.documents()) == 1
    assert [line["verdict"] for line in ends(erp.erp)] == ["created", "replayed"]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "closed_period"}, 422, "period_closed"),
        ({"kind": "refuse"}, 422, "account.blocked"),
        ({"kind": "refuse", "status": 409, "code": "currency.off", "account": "acc-1"}, 409, "currency.off"),
    ],
)
def test_a_refusal_meets_new_documents_and_leaves_posted_ones(
    erp: Client, key: str, fault: dict[str, object], status: int, code: str
) -> None:
    erp.post(key)
    erp.erp.set_faults(fault)
    assert erp.post(key).status == 200
    refused = erp.post(f"{key}-new")
    assert (refused.status, refused.json["code"]) == (status, code)
    assert erp.find(f"{key}-new") == []


def test_a_refusal_of_one_account_leaves_the_others(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "refuse", "account": "blocked"})
    assert erp.post(key).status == 201
    assert erp.post(f"{key}-blocked", account_id="blocked").status == 422


def is_not_json(answer: Answer) -> bool:
    try:
        json.loads(answer.body.decode())
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    ("form", "shows"),
    [
        ("html", lambda answer: answer.headers["content-type"].startswith("text/html")),
        ("empty", lambda answer: answer.body == b""),
        ("no_id", lambda answer: "document_id" not in answer.json),
        ("error_inside", lambda answer: answer.json["success"] is False),
        ("charset", lambda answer: "utf-8" in answer.headers["content-type"] and is_not_json(answer)),
        ("truncated", lambda answer: 0 < len(answer.body) < int(answer.headers["content-length"])),
        ("big", lambda answer: len(answer.body) == int(answer.headers["content-length"]) > 3_000_000),
    ],
)
def test_garbage_takes_its_form_and_keeps_the_document(
    erp: Client, key: str, form: str, shows: Callable[[Answer], bool]
) -> None:
    erp.erp.set_faults({"kind": "garbage", "form": form, "megabytes": 3, "ops": ["post"]})
    answer = erp.post(key)
    assert answer.status == 201
    assert shows(answer)
    (document,) = erp.find(key)
    line = ends(erp.erp)[-2]
    assert (line["answer"], line["verdict"], line["document"]) == (
        "garbage",
        "created",
        document["document_id"],
    )


def test_a_gzip_answer_unpacks_to_far_more_than_was_sent(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "garbage", "form": "gzip", "megabytes": 5, "ops": ["post"]})
    answer = erp.post(key)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(gzip.decompress(unchunked(answer.body))) > 5_000_000 > 50 * len(answer.body)


def test_garbage_may_come_without_a_document(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "garbage", "form": "empty", "status": 200, "commit": False, "ops": ["post"]})
    assert erp.post(key).status == 200
    assert erp.find(key) == []


def test_a_wrong_clock_shows_in_date_and_posted_at(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "clock", "offset_seconds": -400_000_000})
    answer = erp.post(key)
    year = int(answer.json["posted_at"][:4])
    assert str(year) in answer.headers["date"]
    erp.erp.set_faults()
    assert int(erp.post(f"{key}-2").json["posted_at"][:4]) > year + 10


def test_a_slow_call_is_executed_later(erp: Client, key: str) -> None:
    erp.erp.set_faults({"kind": "slow", "ms": 80, "jitter_ms": 20})
    assert float(erp.post(key).headers["server-timing"].removeprefix("total;dur=")) >= 60


def test_faults_with_a_mistake_leave_those_that_are_on(erp: Client) -> None:
    erp.erp.set_faults({"kind": "slow", "ms": 1})
    answer = erp.call("PUT", "/sandbox/faults", b'{"faults":[{"kind":"slow"}]}')
    assert (answer.status, answer.json["code"]) == (422, "faults.invalid")
    assert [state["fault"]["ms"] for state in erp.erp.faults()] == [1]


def test_delete_clears_the_faults(erp: Client) -> None:
    erp.erp.set_faults({"kind": "reset"})
    assert erp.call("DELETE", "/sandbox/faults").json == {"faults": []}
    assert erp.erp.faults() == []


def until(attempt: Callable[[], Answer], holds: Callable[[Answer], bool]) -> Answer:
    """Try until it holds. The bound is on tries, so a slow machine does not fail it."""
    for _ in range(int(TIMEOUT_SECONDS * 1_000)):
        answer = attempt()
        if holds(answer):
            return answer
    raise AssertionError("it never held")


def unchunked(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(parts)
