"""Listing documents: whole, in the order of the references, page by page, as a call of the budget."""

from typing import Any
from urllib.parse import urlencode

import pytest

from .client import Client, Start, ends


def listed(erp: Client, **parameters: object) -> Any:
    answer = erp.call("GET", f"/adjustments/list?{urlencode(parameters)}")
    assert answer.status == 200, answer.body
    return answer.json


@pytest.fixture
def own(start: Start) -> Client:
    return start(options=["--idempotency-seconds", "0"])


def everything(erp: Client, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = listed(erp, limit=limit)
    while True:
        found += page["items"]
        assert len(page["items"]) <= limit
        if page["next"] is None:
            return found
        page = listed(erp, limit=limit, after=page["next"])


def test_every_document_is_listed_once_in_the_order_of_the_bytes_of_its_reference(own: Client) -> None:
    references = ["b", "B", "a b", "ä", "\U0001f600", "\ue000", "a%", "a"]
    for reference in [*references, "a", "a"]:
        own.post(reference=reference)
    inorder = sorted([*references, "a", "a"], key=str.encode)
    for limit in (1, 2, 3, 100):
        found = everything(own, limit)
        assert [one["reference"] for one in found] == inorder
        assert len({one["document_id"] for one in found}) == len(found)


def test_what_was_posted_before_a_moment_is_left_out(own: Client) -> None:
    first, second = own.post(reference="x").json, own.post(reference="y").json
    assert [one["reference"] for one in listed(own, since=second["posted_at"])["items"]] == ["y"]
    assert len(listed(own, since=first["posted_at"])["items"]) == 2


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "since=yesterday", "page=2"])
def test_a_wrong_question_is_refused(own: Client, query: str) -> None:
    assert own.call("GET", f"/adjustments/list?{query}").status == 400


def test_it_is_a_call_that_counts_and_is_logged(start: Start) -> None:
    erp = start("custom", limits=["2/min"])
    listed(erp)
    listed(erp)
    assert erp.call("GET", "/adjustments/list").status == 429
    assert [line["op"] for line in ends(erp.erp)] == ["list"] * 3
