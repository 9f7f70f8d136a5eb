"""`tidegate ledger verify` finds what was planted at the ERP behind everybody's back and names it with its owner.

It stays within its share of the ERP's budget and claims nothing of what is on its way. Judged by the ERP's own log.
"""

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
from ops.sandbox.process import SandboxProcess
from tests.support.daemon import BATCH, Site, adjustment, site, until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, TIDEGATE_RECONCILE__SHARE_PERCENT="100") as running:
        yield running


def tidegate(own: Site, *words: str, as_json: bool = True) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "run.py"), *(["--json"] if as_json else []), *words]
    environ = {**os.environ, "TIDEGATE_URL": own.daemon.url, "TIDEGATE_DATA__DIRECTORY": str(own.daemon.data)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120, check=False)
    return done.returncode, done.stdout or done.stderr


def verified(own: Site, *words: str) -> tuple[int, dict[str, Any]]:
    code, text = tidegate(own, "ledger", "verify", *words)
    return code, json.loads(text)


def sent(own: Site, count: int) -> None:
    """So many adjustments, accepted."""
    events = [adjustment(f"{n:04d}", f"key-{n}") for n in range(count)]
    assert own.post(events, BATCH).status_code == 202


def posted(own: Site, count: int) -> None:
    sent(own, count)
    until(lambda: len(own.erp.documents()) == count, "all are posted")
    until(lambda: calls_by(own)["done"] == count, "and known to be")


def calls_by(own: Site) -> dict[str, int]:
    rows = own.client().overview()["calls"]
    return {status: sum(row[status] for row in rows) for status in ("done", "waiting", "unknown", "exception")}


def behind_its_back(erp: SandboxProcess, *statements: str) -> None:
    with sqlite3.connect(erp.ledger_path) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount == 1, statement


def test_a_ledger_that_agrees_is_clean_and_every_intent_was_seen(own: Site) -> None:
    own.erp.set_faults({"kind": "refuse", "account": "ACC-0007"})
    sent(own, 600)
    until(lambda: len(own.erp.documents()) == 599, "all but one are posted", 60)
    code, run = verified(own)
    assert (code, run["state"]) == (0, "clean")
    assert (run["intents"], run["documents"], run["matched"], run["refused"]) == (600, 599, 599, 1)
    assert len([call for call in own.calls() if call["op"] == "list"]) == run["calls"] == 2
    code, text = tidegate(own, "ledger", "verify", as_json=False)
    assert code == 0
    assert "erp: clean: every intent has exactly one document or a stated refusal" in text


def test_every_planted_difference_is_named_and_nothing_else(own: Site) -> None:
    posted(own, 20)
    row = "document_id, idempotency_key, key_expires_ms, fingerprint, reference, account_id, amount, currency"
    more = "source_document, status, posted_at, reason_code"
    copy = "INSERT INTO documents ({0}, {1}) SELECT {2}, {1} FROM documents WHERE reference = 'INT-0004'"
    columns = row.replace("document_id", "'ADJ-90000001'").replace("idempotency_key", "NULL")
    behind_its_back(
        own.erp,
        "DELETE FROM documents WHERE reference = 'INT-0003'",
        copy.format(row, more, columns),
        "UPDATE documents SET amount = '99.00' WHERE reference = 'INT-0005'",
        "UPDATE documents SET account_id = 'ACC-x' WHERE reference = 'INT-0006'",
        "UPDATE documents SET document_id = 'ADJ-90000002' WHERE reference = 'INT-0007'",
        "UPDATE documents SET reference = 'INT-0008x' WHERE reference = 'INT-0008'",
    )
    code, run = verified(own)
    assert (code, run["state"]) == (1, "differs")
    assert [(one["kind"], one["intent_id"]) for one in run["items"]] == [
        ("document.missing", "INT-0003"),
        ("document.twice", "INT-0004"),
        ("amount.differs", "INT-0005"),
        ("account.differs", "INT-0006"),
        ("document.other", "INT-0007"),
        ("document.missing", "INT-0008"),
        ("document.unexplained", "INT-0008x"),
    ]
    assert all(one["owner"] == "finance" and one["advice"] for one in run["items"])
    code, text = tidegate(own, "ledger", "verify", as_json=False)
    assert code == 1
    assert "expected 12.50 EUR; found 99.00 EUR in ADJ-" in text
    assert "finance: ask whoever runs the system" in text
    assert len(own.erp.documents()) == 20, "nothing was posted again"
    assert own.client().overview()["exceptions"] == [], "it was asked for by a person, who has the answer"
    actions = own.client().look("audit", subject="erp")["items"]
    assert [action["verb"] for action in actions].count("ledger.verified") == 2


def test_a_comparison_keeps_within_its_share_and_goes_on_beside_a_full_backlog(tmp_path: Path) -> None:
    limits = "10/1s,2 concurrent"
    with site(tmp_path, TIDEGATE_ERP__LIMITS=limits, TIDEGATE_RECONCILE__SHARE_PERCENT="20") as own:
        sent(own, 80)
        until(lambda: len(own.erp.documents()) > 10, "posting is under way")
        code, run = verified(own)
        assert (code, run["state"]) == (0, "clean"), run
        assert run["seconds_a_call"] == pytest.approx(0.5)
        assert run["intents"] == 80
        assert run["matched"] >= 10
        assert calls_by(own)["waiting"] > 0, "it did not wait for the end of the backlog"


def test_an_erp_without_a_listing_is_asked_intent_by_intent(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(
        json.dumps({"faults": [{"kind": "refuse", "status": 404, "code": "path.unknown", "ops": ["list"]}]})
    )
    with site(tmp_path, TIDEGATE_RECONCILE__SHARE_PERCENT="100") as own:
        posted(own, 10)
        own.erp.set_faults(*json.loads(faults.read_text())["faults"])
        own.erp.forget("INT-0004")
        code, run = verified(own)
        assert (code, run["how"]) == (1, "look-ups")
        assert [(one["kind"], one["intent_id"]) for one in run["items"]] == [("document.missing", "INT-0004")]
        assert len([call for call in own.calls() if call["op"] == "find"]) == 10


def test_a_comparison_obeys_a_hold_says_so_and_can_be_stopped(own: Site) -> None:
    posted(own, 3)
    order = {"target": "erp", "reason": "closing the books", "who": "dana"}
    assert own.operate("hold", order).status_code == 200
    calls = len(own.calls())
    number = own.operate("ledger", {"who": "kim"}).json()["number"]
    run = until(lambda: (r := own.client().look("ledger")).get("waits_for") and r, "it says what it waits for")
    assert (run["state"], run["number"]) == ("running", number)
    assert "closing the books" in run["waits_for"]
    assert len(own.calls()) == calls
    assert own.operate("ledger", {"who": "kim", "stop": True}).status_code == 200
    until(lambda: own.client().look("ledger")["state"] == "stopped", "it is stopped")
    assert own.operate("ledger", {"who": "kim", "stop": True}).status_code == 409
    assert own.operate("ledger", {"who": "kim", "system": "billing"}).status_code == 422


def test_a_document_that_the_erp_has_lost_becomes_an_exception_within_a_cycle_and_is_not_posted_again(
    tmp_path: Path,
) -> None:
    hour = 1 / 3_600
    told = {"TIDEGATE_RECONCILE__SHARE_PERCENT": "100", "TIDEGATE_RECONCILE__EVERY_HOURS": str(2 * hour)}
    with site(tmp_path, **told) as own:
        posted(own, 8)
        until(lambda: own.client().overview()["ledger"]["last"], "one cycle is over")
        assert own.client().overview()["exceptions"] == []
        own.erp.forget("INT-0002")
        until(lambda: own.client().overview()["exceptions"], "the loss is seen")
        assert own.client().overview()["exceptions"] == [
            {"failure": "ledger.document.missing", "owner": "finance", "open": 1}
        ]
        story = own.client().process("DOC-0002")
        assert story["explanation"]["owner"] == "finance"
        assert "found none" in story["explanation"]["sentence"]
        assert "ledger.document.missing" in [event["name"] for event in story["milestones"]]
        cycles = len([call for call in own.calls() if call["op"] == "list"])
        until(lambda: len([c for c in own.calls() if c["op"] == "list"]) >= cycles + 2, "two cycles more")
        assert sum(row["open"] for row in own.client().overview()["exceptions"]) == 1, "each is told once"
        sent(own, 8)
        assert {one.reference for one in own.erp.documents()} == {f"INT-000{n}" for n in range(8) if n != 2}
        assert [call["op"] for call in own.calls()].count("post") == 8, "nothing was posted again"
