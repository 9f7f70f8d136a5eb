"""A contract that ends while people are asked ends the credit, over a kill: what was read before is read again."""

from __future__ import annotations

import json
from pathlib import Path

from ops.client import Client, Refused
from ops.process import DaemonProcess
from ops.systems import Systems
from tests.support.daemon import case, until

ALWAYS = {"TIDEGATE_APPROVAL__FRESH_HOURS": "0"}
LARGE = {"monthly_fee": {"amount": "25000.00", "currency": "EUR"}, "outage_minutes": 240, "tier": "premium"}


def test_what_was_read_before_a_late_approval_is_read_again_and_judged_again(tmp_path: Path) -> None:
    with (
        Systems(tmp_path, "unlimited", ("200/1s",), "0", 1, 0.5) as systems,
        DaemonProcess(tmp_path / "data", systems.settings(**ALWAYS)) as daemon,
        Client(daemon.url, tmp_path / "data" / "operator.token") as client,
    ):
        client.send([{**case(name, **LARGE, account_id=f"ACC-{name}"), "tenant": "acme"} for name in ("ends", "stays")])

        def state(name: str) -> str:
            try:
                return str(client.process(f"CASE-{name}")["explanation"]["state"])
            except Refused:
                return "not there yet"

        def has_read(name: str) -> bool:
            states = client.approval(f"CASE-{name}")["states"]
            return "done" in states["account"] and "done" in states["invoices"]

        for name in ("ends", "stays"):
            until(lambda name=name: state(name) == "approval" and has_read(name), "it waits, and the reads are done")
        ended = {"ACC-ends": {"status": "cancelled", "contract": "CT-9"}}
        (systems.beside["crm"].data / "accounts.json").write_text(json.dumps(ended))
        client.operate("hold", target="crm", reason="a test", who="kim")
        for name in ("ends", "stays"):
            digest = client.approval(f"CASE-{name}")["digest"]
            for who in ("anna", "tom"):
                with systems.person(daemon.url, who) as voter:
                    voter.vote(f"CASE-{name}", "approve", digest=digest, reason="checked")
        assert systems.beside["billing"].documents() == [], "no money moves on what was read before"
        daemon.kill()
        daemon.start()
        client.operate("release", target="crm", reason="a test", who="kim")
        until(lambda: state("ends") == "refused", "the contract has ended")
        assert "contract CT-9 is cancelled" in client.process("CASE-ends")["explanation"]["sentence"]
        until(lambda: state("stays") == "posted", "the other one goes on, and nobody is asked again")
        assert [one.source_document for one in systems.erp.documents()] == ["CASE-stays"]
        assert [one.source_document for one in systems.beside["billing"].documents()] == ["CASE-stays"]
