"""A verdict over half a log would be worth nothing: what cannot be read is refused with line and expectation."""

import json
from pathlib import Path

import pytest

from ops.certificate import Unreadable, WrongUse, certify, parse_limit
from tests.unit.certificate.logs import SECOND, Certify, arrival, header, post, write


def test_a_log_cut_in_the_middle_of_a_line_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "erp.jsonl", [header(), post(1, 0), post(2, 1)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Unreadable, match=r"line 3: .*cut short"):
        certify(path)


@pytest.mark.parametrize(
    ("lines", "line", "expected"),
    [
        ([], 1, "the file is empty"),
        ([post(1, 0)], 1, "expected the header"),
        ([header(), post(2, 0)], 2, "a call is missing: seq 2 where 1 was expected"),
        ([header(), post(1, 0), post(3, 5)], 3, "a call is missing: seq 3 where 2 was expected"),
        ([header(), post(1, 0), post(1, 0)], 3, "a call is there twice"),
        ([header(), arrival(1, 0), arrival(1, 0)], 3, "expected each call to arrive once"),
        ([header(), arrival(1, 0), post(1, 5)], 3, "its arrival line said 0"),
        ([header(), post(1, 9, 5)], 2, "not before"),
        ([header(), post(1, 9, verdict="posted")], 2, "Invalid enum value 'posted'"),
        ([header(), post(1, 9, amount=None)], 2, 'verdict "created" needs'),
        ([header(), {**arrival(1, 0), "event": "left"}], 2, "event 'left' is not known"),
        ([header(), {"seq": 1}], 2, "a call needs"),
        ([header(), post(1, SECOND), header(), post(2, 5)], 4, "expected one monotonic clock"),
        ([header(), {"log": "other/9"}], 2, "expected the header"),
    ],
)
def test_a_log_with_something_missing_or_impossible_is_refused(
    certified: Certify, lines: list[dict[str, object]], line: int, expected: str
) -> None:
    with pytest.raises(Unreadable, match=f"line {line}: ") as refusal:
        certified(lines)
    assert expected in str(refusal.value)


def test_a_line_that_is_not_json_is_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "erp.jsonl"
    path.write_text(json.dumps(header()) + "\nnot json\n")
    with pytest.raises(Unreadable, match="line 2"):
        certify(path)


def test_a_broken_accepted_list_is_refused_by_number(certified: Certify) -> None:
    with pytest.raises(Unreadable, match=r"accepted\.jsonl, line 1: expected one accepted message"):
        certified([header(), post(1, 0)], [{"id": "x"}])


def test_a_log_that_names_no_limit_needs_one_by_hand(certified: Certify) -> None:
    with pytest.raises(WrongUse, match="names no limit"):
        certified([header([]), post(1, 0)])
    assert certified([header([]), post(1, 0)], profile="small").verdict == "PASS"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("10/1s", ("rate", 10, 1)),
        ("60/min", ("rate", 60, 60)),
        ("5000/24h", ("rate", 5000, 86400)),
        ("5000/day", ("rate", 5000, 86400)),
        ("5 concurrent", ("concurrent", 5, None)),
        ("1200 exec/300s", ("execution", 1200, 300)),
        ("1200 execution-seconds/300s", ("execution", 1200, 300)),
    ],
)
def test_a_limit_can_be_typed(text: str, limit: tuple[str, int, int | None]) -> None:
    parsed = parse_limit(text)
    assert (parsed.kind, parsed.limit, parsed.seconds) == limit


@pytest.mark.parametrize("text", ["", "ten", "10", "10/", "0/1s", "10/0s", "0 concurrent", "-1/1s"])
def test_a_limit_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(WrongUse):
        parse_limit(text)
