"""Limits that are changed behind the published ones, a quota that others use, and refusals in each vendor's manner."""

from datetime import UTC, datetime

import pytest

from ops.sandbox.limits import parse_limit
from ops.sandbox.manners import SAYS, room_headers
from policies.signals import Answered, Dimension, read
from policies.vendors import VENDORS

from .client import Client, Start

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROW = {"netsuite-soap": "netsuite", "netsuite-login": "netsuite", "zendesk-edge": "zendesk"}
CODES = {"rate.exceeded": Dimension.COUNT, "concurrency.exceeded": Dimension.CONCURRENT}


def refusals(erp: Client, calls: int, name: str) -> int:
    return sum(erp.post(f"{name}-{number}").status == 429 for number in range(calls))


def test_a_limit_changed_silently_is_enforced_from_the_next_call_on_and_told_nobody(start: Start) -> None:
    erp = start("custom", limits=["100/min"])
    assert refusals(erp, 5, "before") == 0
    erp.erp.set_faults({"kind": "limits", "limits": ["7/min"]})
    assert refusals(erp, 5, "after") == 3, "what came before counts"
    assert erp.call("GET", "/limits").status == 429
    erp.erp.set_faults()
    assert refusals(erp, 5, "back") == 0


def test_a_limit_changed_openly_is_what_the_erp_tells(start: Start) -> None:
    erp = start("custom", limits=["100/min", "9 concurrent"])
    erp.erp.set_faults({"kind": "limits", "limits": ["50/min", "2 concurrent"], "told": True})
    assert [limit["limit"] for limit in erp.call("GET", "/limits").json["limits"]] == [50, 2]


def test_a_published_limit_holds_beside_a_wider_change(start: Start) -> None:
    erp = start("custom", limits=["3/min"])
    erp.erp.set_faults({"kind": "limits", "limits": ["100/min"]})
    assert refusals(erp, 5, "published") == 2


def test_others_use_a_part_of_the_quota(start: Start) -> None:
    erp = start("custom", limits=["100/min", "5 concurrent"])
    erp.erp.set_faults({"kind": "others", "per_minute": 96})
    assert refusals(erp, 6, "rate") == 2
    erp.erp.set_faults({"kind": "others", "busy": 5})
    assert erp.post("slot").json["code"] == "concurrency.exceeded"


def test_a_refused_call_tells_when_there_will_be_room(start: Start) -> None:
    erp = start("custom", limits=["100/min"])
    erp.erp.set_faults({"kind": "limits", "limits": ["1/min"]})
    erp.post("first")
    assert 55 <= int(erp.post("second").headers["retry-after"]) <= 60


@pytest.mark.parametrize("words", ["none", "0/min", "5/fortnight"])
def test_words_that_make_no_sense_change_nothing(erp: Client, words: str) -> None:
    body = f'{{"faults":[{{"kind":"limits","limits":["{words}"]}}]}}'.encode()
    assert erp.call("PUT", "/sandbox/faults", body).status == 422
    assert erp.call("PUT", "/sandbox/faults", b'{"faults":[{"kind":"style","vendor":"nobody"}]}').status == 422
    assert erp.erp.faults() == []


@pytest.mark.parametrize("style", sorted(SAYS))
@pytest.mark.parametrize("code", sorted(CODES))
def test_the_refusals_of_each_manner_are_read_as_what_they_are(style: str, code: str) -> None:
    reply = SAYS[style](code, 7, parse_limit("60/min"))
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    vendor = VENDORS[ROW.get(style, style)]
    reading = read(vendor, Answered(reply.status or 0, headers, "", reply.body.decode()), NOW)
    assert reading.refusal is not None
    tells_which = style not in ("business-central", "zendesk", "zendesk-edge", "zuora", "netsuite", "netsuite-login")
    if tells_which and reading.refusal.dimension is not Dimension.UNKNOWN:
        assert reading.refusal.dimension is CODES[code]


@pytest.mark.parametrize(
    ("style", "words"),
    [("generic", "600/min"), ("xero", "60/min"), ("xero", "5000/day"), ("zendesk", "700/min"), ("zuora", "50/min"),
     ("dataverse", "6000/300s"), ("salesforce", "100/day")],
)  # fmt: skip
def test_what_is_left_is_read_as_it_is_said(style: str, words: str) -> None:
    limit = parse_limit(words)
    headers = {name.decode(): value.decode() for name, value in room_headers(style, limit, 17)}  # type: ignore[arg-type]
    (room,) = read(VENDORS[style], Answered(200, headers), NOW).rooms
    assert room.remaining == 17
    assert room.limit in (None, limit.limit)


def test_a_styled_erp_refuses_and_counts_down_at_the_socket(start: Start) -> None:
    erp = start("custom", limits=["4/min"])
    erp.erp.set_faults({"kind": "style", "vendor": "xero"})
    left = [erp.post(f"styled-{number}").headers["x-minlimit-remaining"] for number in range(4)]
    assert left == ["3", "2", "1", "0"]
    refused = erp.post("one-more")
    assert (refused.status, refused.headers["x-rate-limit-problem"]) == (429, "minute")
    erp.erp.set_faults({"kind": "style", "vendor": "netsuite"})
    assert erp.post("in-disguise").status == 400
