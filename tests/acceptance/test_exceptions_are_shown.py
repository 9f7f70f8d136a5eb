"""What waits for a person can be seen, with the message that was set aside and nothing sensitive in it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.daemon import Site, until

ROOT = Path(__file__).resolve().parents[2]


def test_a_credit_that_needs_approval_is_listed_with_its_masked_message(shared_site: Site) -> None:
    data = {
        "case_id": "CASE-approve",
        "account_id": "ACC-approve",
        "outage_class": "full",
        "outage_minutes": 5_000,
        "tier": "premium",
        "monthly_fee": {"amount": "90000.00", "currency": "EUR"},
        "severity": "high",
        "opened_at": "2026-03-02T09:00:00Z",
        "contact_email": "canary-person@example.com",
    }
    event = {"specversion": "1.0", "id": "evt-approve", "source": "urn:t", "type": "support.case.opened", "data": data}
    assert shared_site.post(event).status_code == 202
    command = [sys.executable, str(ROOT / "run.py"), "--json", "--data", str(shared_site.daemon.data), "exceptions"]

    def listed() -> list[dict[str, object]]:
        environ = {"TIDEGATE_URL": shared_site.daemon.url, "PATH": "/usr/bin:/bin"}
        done = subprocess.run([*command, "--limit", "200"], capture_output=True, text=True, check=False, env=environ)
        assert done.returncode == 0, done.stderr
        assert "canary-person" not in done.stdout
        return [item for item in json.loads(done.stdout)["items"] if item["key"] == "CASE-approve"]

    until(lambda: bool(listed()), "the exception is listed")
    (item,) = listed()
    assert item["owner"] == "finance"
    assert item["message"]["data"]["contact_email"] == "***"  # type: ignore[index]
    assert item["message"]["data"]["account_id"] == "ACC-approve"  # type: ignore[index]
