"""Who goes next, read from the ERP's own log: shares of tenants, deadlines, and one call behind very many.

The ERP is held while the backlog builds up, and takes one call at a time, so its log is the order of the gate.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import BATCH, Site, adjustment, site, until

WHO = {"reason": "building up a backlog", "who": "dana"}
LIMITS = "1000/1s,1 concurrent"
PART = 500


def request(own: Site, names: list[str], **attributes: Any) -> None:
    """Commands to post for these accounts."""
    for start in range(0, len(names), PART):
        answer = own.post([{**adjustment(name, key=name), **attributes} for name in names[start : start + PART]], BATCH)
        assert answer.status_code == 202, answer.text


def waiting(own: Site) -> int:
    with own.client() as client:
        return sum(row["waiting"] for row in client.overview()["calls"])


def order(own: Site, verb: str, target: str = "erp") -> None:
    answer = own.operate(verb, {"target": target, **WHO})
    assert answer.status_code == 200, answer.text


def posted(own: Site, count: int) -> list[str]:
    """The accounts of the first calls that the ERP met, in its own order."""

    def met() -> list[dict[str, Any]]:
        return [line for line in own.erp.log_lines() if line.get("account")]

    until(lambda: len(met()) >= count, f"{count} calls at the ERP", 60)
    return [line["account"].removeprefix("ACC-") for line in met()][:count]


@pytest.mark.parametrize("many", [50, 5_000])
def test_one_call_behind_many_of_another_tenant_starts_within_one_round_and_one_call(tmp_path: Path, many: int) -> None:
    with site(tmp_path, TIDEGATE_ERP__LIMITS=LIMITS) as own:
        order(own, "hold")
        request(own, [f"A-{n}" for n in range(many)], tenant="A")
        until(lambda: waiting(own) == many, "the backlog of A", 60)
        request(own, ["B-1"], tenant="B")
        until(lambda: waiting(own) == many + 1, "the call of B", 60)
        with own.client() as client:
            assert client.process("DOC-B-1")["explanation"]["state"] == "held"
        order(own, "release")
        assert "B-1" in posted(own, 2)


def test_tenants_get_the_calls_that_their_weights_say(tmp_path: Path) -> None:
    shares = json.dumps({"A": {"weight": 3}})
    with site(tmp_path, TIDEGATE_ERP__LIMITS="10/1s,1 concurrent", TIDEGATE_FLOW__TENANTS=shares) as own:
        order(own, "hold")
        for tenant in "AB":
            request(own, [f"{tenant}-{n}" for n in range(100)], tenant=tenant)
        until(lambda: waiting(own) == 200, "both backlogs", 60)
        order(own, "release")
        got = Counter(name[0] for name in posted(own, 40))
    assert 28 <= got["A"] <= 32


def test_the_earliest_deadline_goes_first_whenever_it_came_in(tmp_path: Path) -> None:
    with site(tmp_path, TIDEGATE_ERP__LIMITS=LIMITS) as own:
        order(own, "hold")
        request(own, ["none"])
        request(own, ["late"], deadline="2026-03-31T18:00:00+02:00")
        request(own, ["soon"], deadline="2026-03-31T09:00:00Z")
        until(lambda: waiting(own) == 3, "all three", 60)
        order(own, "release")
        assert posted(own, 3) == ["soon", "late", "none"]


def test_a_deadline_that_is_no_moment_is_refused_at_the_door(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        answer = own.post({**adjustment("x", key="x"), "deadline": "tomorrow"})
        assert (answer.status_code, answer.json()["code"], answer.json()["path"]) == (422, "date.format", "/deadline")
        answer = own.post({**adjustment("x", key="x"), "deadline": "1999-03-31T09:00:00Z"})
        assert answer.json()["path"] == "/deadline"


def test_a_waiting_call_is_told_how_many_go_before_it_at_most(tmp_path: Path) -> None:
    """One call an hour: the first goes, and the others wait where they are."""
    with site(tmp_path, TIDEGATE_ERP__LIMITS="1/3600s,1 concurrent", TIDEGATE_PLAN__BULK_KEEP_PERCENT="0") as own:
        request(own, [f"A-{n}" for n in range(20)], tenant="A")
        until(lambda: waiting(own) == 19, "the backlog of A", 60)
        request(own, ["B-1"], tenant="B")
        request(own, ["C-1"], tenant="C", lane="bulk")
        until(lambda: waiting(own) == 21, "the calls of B and C", 60)
        with own.client() as client:
            keys = [*(f"A-{n}" for n in range(20)), "B-1", "C-1"]
            asked = {key: client.process(f"DOC-{key}")["explanation"] for key in keys}
        told = {key: what for key, what in asked.items() if what["state"] in ("in_line", "quota")}
        before = {key: int(re.findall(r"at most (\d+) call", what["sentence"])[0]) for key, what in told.items()}
        assert len(told) == 21
        assert before["B-1"] <= 3, "a round and the one that is under way, and the floor of bulk"
        assert max(before.values()) == 20, "the last of A: 18 of A, the one of B; the floor of bulk may take one"
        assert before["C-1"] == 19, "its floor takes the twentieth call"
        assert all(what["eta"] for what in told.values())


def test_the_keys_with_the_longest_lines_are_shown(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        order(own, "hold")
        commands = [{**adjustment(f"{n}", key=f"{n}"), "tenant": "A"} for n in range(4)]
        for command in commands[:3]:
            command["data"]["account_id"] = "ACC-hot"
        assert own.post(commands, BATCH).status_code == 202
        until(lambda: waiting(own) == 4, "all four", 60)
        with own.client() as client:
            hot = until(lambda: client.overview()["keys"], "a hot key")
        assert hot == [{"system": "erp", "tenant": "A", "lane": "standard", "key": "ACC-hot", "open": 3}]
