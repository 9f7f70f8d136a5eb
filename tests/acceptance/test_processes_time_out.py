"""What waits for people is ended by clocks that survive the daemon."""

from __future__ import annotations

from pathlib import Path

from ops.client import Client, Refused
from ops.process import DaemonProcess
from ops.systems import Systems
from tests.support.daemon import case, until

PATIENCE = {"TIDEGATE_APPROVAL__ESCALATE_HOURS": "0.001", "TIDEGATE_APPROVAL__EXPIRE_HOURS": "0.003"}
LARGE = {"monthly_fee": {"amount": "25000.00", "currency": "EUR"}, "outage_minutes": 240, "tier": "premium"}


def test_nobody_answers_and_the_daemon_is_killed_while_it_waits(tmp_path: Path) -> None:
    with (
        Systems(tmp_path, "unlimited", ("200/1s",), "0", 1, 0.5) as systems,
        DaemonProcess(tmp_path / "data", systems.settings(**PATIENCE)) as daemon,
        Client(daemon.url, tmp_path / "data" / "operator.token") as client,
    ):
        client.send([{**case("alone", **LARGE), "tenant": "acme"}])

        def state() -> str:
            try:
                return str(client.process("CASE-alone")["explanation"]["state"])
            except Refused:
                return "not there yet"

        until(lambda: state() == "approval", "it waits for people")
        daemon.kill()
        daemon.start()
        until(lambda: state() == "expired", "the clock ends it", 60.0)
        names = [row["name"] for row in client.process("CASE-alone")["milestones"]]
        assert names.index("approval.asked") < names.index("approval.escalated") < names.index("approval.expired")
        assert names.count("approval.expired") == 1
        assert systems.erp.documents() == []
        assert systems.beside["billing"].documents() == []
        assert set(systems.beside["support"].reason_codes().values()) == {"expired"}
