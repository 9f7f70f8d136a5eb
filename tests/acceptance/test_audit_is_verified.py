"""`tidegate audit verify` beside a daemon and without one: clean while it is what was written, else the first bad
entry by name. And what an entry tells: who, by whose cause, under which policy, from which inputs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.process import ROOT
from tests.support.daemon import Site, adjustment, case, check_problem, site, until


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("audited")
    with site(directory, TIDEGATE_AUDIT__ANCHOR_FILE=str(directory / "kept.jsonl")) as running:
        yield running


def shell(own: Site, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), "--data", str(own.daemon.data), *words]
    kept = str(own.daemon.data.parent / "kept.jsonl")
    environ = {**os.environ, "TIDEGATE_URL": own.daemon.url, "TIDEGATE_AUDIT__ANCHOR_FILE": kept}
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)


def told(own: Site, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shell(own, "--json", *words).stdout)
    return found


def change(own: Site, statement: str) -> None:
    with sqlite3.connect(own.daemon.data / "tidegate.db") as connection:
        assert connection.execute(statement).rowcount == 1
    connection.close()


def entries(own: Site, subject: str) -> list[tuple[str, str, str, str, str]]:
    query = "SELECT verb, actor, cause, policy, inputs FROM audit WHERE subject = ? ORDER BY seq"
    connection = sqlite3.connect(own.daemon.data / "tidegate.db")
    found = connection.execute(query, (subject,)).fetchall()
    connection.close()
    return found


def test_each_decision_and_each_call_names_its_human_cause_policy_and_inputs(own: Site) -> None:
    own.post(case("told"))
    (arrived,) = until(lambda: own.documents("CASE-told"), "its credit is posted")
    intent = arrived.reference
    until(lambda: len(entries(own, intent)) == 3, "its end is written")
    cause = "support.case.opened case-told from urn:test"
    (decided,) = entries(own, "CASE-told")
    assert decided[:3] == ("credit.approved", "credit-policy", cause)
    assert decided[4].startswith("message case-told data ")
    steps = entries(own, intent)
    assert [(verb, actor) for verb, actor, *_ in steps] == [
        ("call.requested", "erp-poster"),
        ("call.in_flight", "erp-poster"),
        ("call.done", "erp-poster"),
    ]
    assert {(was, policy) for _, _, was, policy, _ in steps} == {(cause, decided[3])}
    assert decided[3].startswith("credit")
    assert len({inputs for *_, inputs in steps}) == 1
    assert " body " in steps[0][4]


def test_nobody_outside_gives_a_message_a_cause_or_a_policy(own: Site) -> None:
    response = own.post({**adjustment("foreign", "foreign"), "humancause": "the board wants it"})
    check_problem(response.json(), 422)
    assert (response.json()["code"], response.json()["path"]) == ("field.read_only", "/humancause")


def test_it_is_clean_beside_a_running_daemon_after_kill_9_and_after_a_verb_without_a_daemon(own: Site) -> None:
    own.operate("pause", {"target": "tenant:acme", "reason": "their migration", "who": "dana"})
    beside = shell(own, "audit", "verify")
    assert beside.returncode == 0, beside.stdout
    assert beside.stdout.startswith("clean: ")
    own.daemon.kill()
    assert told(own, "audit", "verify")["clean"] is True
    assert shell(own, "resume", "--tenant", "acme", "--reason", "they are done", "--who", "dana").returncode == 0
    assert told(own, "audit", "verify")["clean"] is True
    own.daemon.start()
    own.daemon.stop()
    found = told(own, "audit", "verify")
    own.daemon.start()
    assert (found["clean"], found["findings"]) == (True, [])
    assert found["anchors"] >= 5
    assert found["entries"] == found["head_seq"]


def test_the_first_bad_entry_is_named_with_what_was_expected_and_found(own: Site) -> None:
    change(own, "UPDATE audit SET actor = actor || '!' WHERE seq = 3")
    try:
        done = shell(own, "audit", "verify")
        assert done.returncode == 1
        first, expected, found, *_ = done.stdout.splitlines()
        assert first == "FIRST BAD: entry 3: the entry does not follow from the one before it"
        assert expected.startswith("  expected hash ")
        assert found.startswith("  found    hash ")
        assert told(own, "audit", "verify")["findings"][0]["seq"] == 3
    finally:
        change(own, "UPDATE audit SET actor = rtrim(actor, '!') WHERE seq = 3")


def test_an_anchor_is_printed_kept_and_held_against_the_chain(own: Site, tmp_path: Path) -> None:
    kept = tmp_path / "stick.txt"
    printed = shell(own, "audit", "anchor", "--out", str(kept)).stdout.strip()
    assert kept.read_text() == f"{printed}\n"
    seq, _, hash = printed.partition(":")
    other = f"{seq}:{'0' * 63}1"
    assert told(own, "audit", "anchor")["seq"] >= int(seq)
    lies = told(own, "audit", "verify", "--anchor", other)["findings"][0]
    assert (lies["seq"], hash in lies["found"]) == (int(seq), True)
    ahead = told(own, "audit", "verify", "--anchor", f"{10**6}:{hash}")["findings"][0]
    assert "cut off" in ahead["problem"]
    assert shell(own, "audit", "verify", "--anchor", "nonsense").returncode == 2


def test_a_place_for_anchors_that_cannot_be_written_is_said_at_the_start(own: Site, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "--data", str(tmp_path / "data"), "serve", "--port", "0"]
    environ = {**os.environ, "TIDEGATE_AUDIT__ANCHOR_FILE": str(tmp_path / "nowhere" / "anchors.jsonl")}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)
    assert done.returncode == 1
    assert "set audit.anchor_file" in done.stderr
