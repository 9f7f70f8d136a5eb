"""One customer is paused: not one of its calls starts once that is acknowledged, also not after kill -9; the others
go on; it ends by itself; and all of it is in the audit. Judged by the ERP's own log."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.process import ROOT
from tests.support.audits import verified
from tests.support.daemon import BATCH, Site, adjustment, site, until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, TIDEGATE_ERP__LIMITS="30/1s,4 concurrent") as running:
        yield running


def of(tenant: str, number: int, **more: Any) -> dict[str, Any]:
    return {**adjustment(f"{tenant}-{number}", f"{tenant}-{number}"), "tenant": tenant, **more}


def tidegate(own: Site, *words: str, code: int = 0) -> Any:
    command = [sys.executable, str(ROOT / "run.py"), "--json", *words]
    environ = {**os.environ, "TIDEGATE_URL": own.daemon.url, "TIDEGATE_DATA__DIRECTORY": str(own.daemon.data)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)
    assert done.returncode == code, done
    return json.loads(done.stdout) if code == 0 else done.stderr


def calls_of(own: Site, tenant: str) -> list[dict[str, Any]]:
    """Calls that ended at the ERP (in its log an end names the call, an arrival does not)."""
    named = f"DOC-{tenant}-"
    return [line for line in own.erp.log_lines() if str(line.get("source_document") or "").startswith(named)]


def test_a_paused_tenant_has_no_call_start_whatever_happens(own: Site) -> None:
    own.post([of(tenant, n) for n in range(100) for tenant in ("acme", "other")], BATCH)
    until(lambda: len(calls_of(own, "acme")) > 3, "its calls are under way")
    end = (datetime.now().astimezone() + timedelta(hours=2)).replace(second=0, microsecond=0)
    effect = pause(own, "--until", f"{end:%H:%M}")
    acknowledged_ns = time.monotonic_ns()
    others = len(calls_of(own, "other"))
    until(lambda: len(calls_of(own, "other")) > others + 10, "other tenants go on", 60)
    own.daemon.kill()
    own.daemon.start()
    (order,) = own.client().overview()["orders"]
    named = (order["verb"], order["target"], order["who"], order["reason"])
    assert named == ("pause", "tenant:acme", "dana", "their migration")
    assert datetime.fromisoformat(order["until"]) == end
    until(lambda: len(documents_of(own, "other")) == 100, "the others are done", 60)
    story = own.get("/v1/processes/DOC-acme-99").json()["explanation"]
    assert "tenant:acme was paused by dana" in story["sentence"]
    late = [call for call in calls_of(own, "acme") if acknowledged_ns < call["arrived_ns"]]
    assert len(late) <= effect["in_flight_calls"], "only what had left before the answer may arrive after it"
    assert len(documents_of(own, "acme")) < 100
    audit = verified(own.daemon.data / "tidegate.db")
    assert {("pause", "tenant:acme"), ("operation.pause", "tenant:acme")} <= {*audit}
    told = json.dumps(tidegate(own, "audit", "--subject", "tenant:acme")["items"])
    assert "their migration" in told
    assert "dana" in told


def test_a_pause_ends_by_itself_and_that_is_written_down(own: Site) -> None:
    own.post([of("acme", n) for n in range(100)], BATCH)
    until(lambda: len(calls_of(own, "acme")) > 3, "its calls are under way")
    effect = pause(own, "--for", "8s")
    acknowledged_ns = time.monotonic_ns()
    end_ns = _ns(datetime.fromisoformat(effect["until"]))
    until(lambda: len(documents_of(own, "acme")) == 100, "it goes on by itself", 60)
    early = [call for call in calls_of(own, "acme") if acknowledged_ns < call["arrived_ns"] < end_ns]
    assert len(early) <= effect["in_flight_calls"]
    assert own.client().overview()["orders"] == []
    ended = ("pause.ended", "tenant:acme")
    until(lambda: ended in verified(own.daemon.data / "tidegate.db"), "its end is written down")


def pause(own: Site, *until_when: str) -> Any:
    """As an operator gives it."""
    effect = tidegate(own, "pause", "--tenant", "acme", *until_when, "--reason", "their migration", "--who", "dana")
    assert effect["done"] is True
    return effect


def documents_of(own: Site, tenant: str) -> set[str]:
    return {one.source_document for one in own.erp.documents() if one.source_document.startswith(f"DOC-{tenant}-")}


def _ns(moment: datetime) -> float:
    return time.monotonic_ns() + (moment - datetime.now(UTC)).total_seconds() * 1e9
