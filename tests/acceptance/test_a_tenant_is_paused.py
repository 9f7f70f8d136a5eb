"""One customer is paused: acknowledged in under a second, not one of its calls starts after that, also not after
kill -9; the others go on; it ends by itself; and all of it is in the audit. Judged by the ERP's own log."""

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

ACKNOWLEDGED_SECONDS = 1.0


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


def test_a_paused_tenant_has_no_call_start_until_its_time_is_up_whatever_happens(own: Site) -> None:
    own.post([of(tenant, n) for n in range(100) for tenant in ("acme", "other")], BATCH)
    until(lambda: len(calls_of(own, "acme")) > 3, "its calls are under way")
    end = datetime.now(UTC) + timedelta(seconds=12)
    asked = time.monotonic()
    effect = own.operate(
        "pause", {"target": "tenant:acme", "reason": "their migration", "who": "dana", "until": end.isoformat()}
    ).json()
    acknowledged = time.monotonic()
    assert acknowledged - asked < ACKNOWLEDGED_SECONDS
    assert effect["done"] is True
    flying = effect["in_flight_calls"]
    others = len(calls_of(own, "other"))
    until(lambda: len(calls_of(own, "other")) > others + 10, "other tenants go on")
    own.daemon.kill()
    own.daemon.start()
    (order,) = own.client().overview()["orders"]
    assert (order["verb"], order["target"], order["who"], order["reason"]) == (
        "pause",
        "tenant:acme",
        "dana",
        "their migration",
    )
    until(lambda: len(own.erp.documents()) >= 100, "the others are done", 30)
    story = own.get("/v1/processes/DOC-acme-99").json()["explanation"]
    assert "tenant:acme was paused by dana" in story["sentence"]
    late = [call for call in calls_of(own, "acme") if acknowledged * 1e9 < call["arrived_ns"] < _ns(end)]
    assert len(late) <= flying, "only what had left before the answer may arrive after it"
    until(lambda: len({d.source_document for d in own.erp.documents()}) == 200, "it ends by itself", 40)
    assert own.client().overview()["orders"] == []
    audit = verified(own.daemon.data / "tidegate.db")
    assert ("pause", "tenant:acme") in audit
    assert ("operation.pause", "tenant:acme") in audit
    until(
        lambda: ("pause.ended", "tenant:acme") in verified(own.daemon.data / "tidegate.db"), "its end is written down"
    )


def _ns(moment: datetime) -> float:
    return time.monotonic_ns() + (moment - datetime.now(UTC)).total_seconds() * 1e9
