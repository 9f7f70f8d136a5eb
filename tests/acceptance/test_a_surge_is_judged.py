"""A surge against a profile: killed twice, limits changed by command, judged on limits, money and shares; beside other
producers; and one new message behind many."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from ops.process import ROOT
from ops.report.series import Mark
from ops.surge import Progress
from ops.surging import run_surge
from tests.support.daemon import BATCH, Site, adjustment, site

CASES = 60


def tidegate(*words: str, code: int | None = 0) -> Any:
    """Run a verb that prints JSON; `code`: its exit code, if it matters."""
    command = [sys.executable, str(ROOT / "run.py"), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert code in (None, done.returncode), done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stderr


def check_of(certificate: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(check for check in certificate["checks"] if check["name"] == name)
    return found


def test_a_surge_that_is_killed_and_steered_keeps_every_limit_that_was_in_force(tmp_path: Path) -> None:
    """Xero's limits: as published at first, then in short windows, narrower, wider, and as before."""
    words = ("surge", "--pack", "all", "--cases", "1200", "--against", "xero", "--published-seconds", "4")
    certificate = tidegate(*words, "--out", str(tmp_path), code=None)["certificate"]
    assert certificate["calls"]["refused_429"] == 0
    assert not any(limit["over"] for limit in certificate["limits"])
    broken = {check["name"] for check in certificate["checks"] if check["holds"] is False}
    assert broken <= {"work-conservation"}, "which is as much the machine's as the daemon's"
    limits = {(limit["kind"], limit["seconds"]): limit for limit in certificate["limits"]}
    values = {window: [regime["limit"] for regime in limit["regimes"]] for window, limit in limits.items()}
    assert values == {
        ("concurrent", None): [5, 3, 6, 5],
        ("rate", 60): [60],
        ("rate", 86_400): [5_000],
        ("rate", 1): [60, 36, 75, 60],
        ("rate", 100): [5_000],
    }
    assert limits["rate", 60]["worst"] == 60, "the published minute was full, and shut"
    assert any("windows of profile xero shortened for this run: 60 s to 1 s" in note for note in certificate["notes"])
    held = {check["name"] for check in certificate["checks"] if check["holds"] is True}
    assert {"rounds", "floor", "urgency", "held", "order"} <= held
    lines = [json.loads(line) for line in (tmp_path / "xero" / "accepted.jsonl").read_text().splitlines()]
    assert sorted(line["event"] for line in lines if line.get("event")) == ["away", "away", "held", *["steered"] * 4]
    assert json.loads((tmp_path / "xero" / "report.json").read_text())["foreseen"]
    assert (tmp_path / "certificate.html").stat().st_size > 5_000


def test_a_profile_that_publishes_nothing_is_refused(tmp_path: Path) -> None:
    said = tidegate("surge", "--against", "workday", "--out", str(tmp_path), code=2)
    assert "publishes no limits" in said
    assert "is unknown" in tidegate("surge", "--against", "nobody", "--out", str(tmp_path), code=2)
    assert "has its own daemon" in tidegate("surge", "--against", "demo", "--url", "http://127.0.0.1:1", code=2)


# beside others --------------------------------------------------------------------------------------------------


def surged(own: Site, out: Path, meanwhile: Any) -> tuple[int, dict[str, Any]]:
    """A surge at a daemon that others use as well; `meanwhile` is done once, when some of it is settled."""
    done: list[Mark] = []

    def step(progress: Progress) -> None:
        if not done and progress.settled > 10:
            meanwhile()
            done.append(Mark(0, "meanwhile"))

    with own.client() as client:
        code = run_surge(client, "billing-cycle", CASES, 7, own.erp.log_path, out, True, step)
    assert done
    return code, json.loads((out / "certificate.json").read_text())


def test_documents_that_a_person_asked_for_meanwhile_are_told_apart(tmp_path: Path) -> None:
    with site(tmp_path, "demo", TIDEGATE_ERP__LIMITS="10/1s,2 concurrent") as own:
        theirs = [adjustment(f"theirs-{n}", key=f"theirs-{n}") for n in range(3)]
        code, certificate = surged(own, tmp_path / "out", lambda: own.post(theirs, BATCH))
    assert (code, certificate["verdict"]) == (0, "PASS")
    assert certificate["documents"] == CASES + 3
    assert any(note.startswith("3 documents answer messages of other producers") for note in certificate["notes"])
    assert certificate["sources"]["accepted_messages"] == CASES


def test_a_document_that_nobody_accepted_anything_for_is_still_found(tmp_path: Path) -> None:
    body = {
        "account_id": "ACC-9",
        "amount": "1.00",
        "currency": "EUR",
        "kind": "credit",
        "reason_code": "service_credit",
        "reference": "behind-the-back",
        "source_document": "DOC-behind-the-back",
    }
    with site(tmp_path, "demo", TIDEGATE_ERP__LIMITS="10/1s,2 concurrent") as own:

        def post() -> None:
            answer = httpx.post(f"{own.erp.url}/adjustments", json=body, headers={"Idempotency-Key": "back"})
            assert answer.status_code == 201

        code, certificate = surged(own, tmp_path / "out", post)
    assert code == 1
    (example,) = check_of(certificate, "unrequested-document")["examples"]
    assert example["key"] == "DOC-behind-the-back"


# one behind many ------------------------------------------------------------------------------------------------


def test_one_new_message_behind_many_starts_within_one_round_and_one_call(tmp_path: Path) -> None:
    certificate = tidegate("surge-newcomer", "--behind", "300", "--out", str(tmp_path / "out"))
    newcomer = certificate["service"]["newcomer"]
    assert newcomer["tenant"] == "contoso"
    assert newcomer["behind"] >= 200
    assert newcomer["overtaken_by"] <= newcomer["bound_calls"] == 1 + 1 + 5, (
        "a round, a call, and the places of the ERP"
    )
    assert check_of(certificate, "rounds")["holds"] is True
