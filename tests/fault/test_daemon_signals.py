"""F3, F4, F17: signals stop, hurry and reload; settings that make no sense are refused by name."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actors.faults import SWITCH
from ops.process import ROOT, DaemonProcess
from tests.support.checkers import audit_true, healed, money_findings, say
from tests.support.world import World, adjustment, quiet_world, until, world

pytestmark = pytest.mark.slow


def stop_report(house: World) -> dict[str, Any]:
    """What the last stop left behind, as the daemon reported it."""
    lines = [line for line in house.log().splitlines() if '"calls_abandoned"' in line]
    found: dict[str, Any] = json.loads(lines[-1][lines[-1].index("{") :])
    return found


def a_backlog(house: World, count: int) -> None:
    """Adjustments of many accounts, and wait until the ERP is kept busy."""
    house.send([adjustment(f"case-{n}", f"acc-{n}") for n in range(count)])
    until(lambda: len(house.calls()) >= 10, "the ERP is busy")


def test_sigterm_under_load_starts_nothing_more_finishes_what_is_in_flight_and_exits_0(tmp_path: Path) -> None:
    with world(tmp_path, latency_ms="300..500") as house:
        a_backlog(house, 60)
        house.daemon.send(signal.SIGTERM)
        until(lambda: "draining for at most" in house.log(), "the signal is heard")
        at_the_signal = len(house.calls())
        code = house.daemon.wait(30)
        report = stop_report(house)
        posted = len(house.erp.documents())
        assert code == 0
        assert len(house.calls()) <= at_the_signal + 5, "at most what had left already"
        assert report["calls_abandoned"] == []
        assert report["calls_waiting"] == 60 - posted
        house.daemon.start()
        until(house.settled, "everything is posted", 60)
        findings = [
            *money_findings(house.told, house.erp.documents(), house.erp.log_path),
            *audit_true(house.store_path),
        ]
        say("F3", 0, findings, finished_at_stop=posted, look_ups=len(house.calls("find")))
        assert findings == []
        assert house.calls("find") == [], "nothing was unknown after a clean stop"


def test_a_stop_waits_for_the_end_of_a_slow_call(tmp_path: Path) -> None:
    with world(tmp_path, latency_ms="1500") as house:
        a_slow_one = [adjustment("case-1")]
        house.send(a_slow_one)
        until(lambda: house.calls(), "a call is in flight")
        house.daemon.send(signal.SIGTERM)
        assert house.daemon.wait(30) == 0
        assert [document.source_document for document in house.erp.documents()] == ["case-1"]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once_and_names_what_it_cut_off(second: signal.Signals, tmp_path: Path) -> None:
    with world(
        tmp_path, latency_ms="1500..1700", TIDEGATE_ERP__TIMEOUT_SECONDS="10", TIDEGATE_ERP__LOST_SECONDS="2"
    ) as house:
        house.send([adjustment(f"case-{n}", f"acc-{n}") for n in range(10)])
        until(lambda: len(house.calls()) >= 5, "calls are in flight")
        house.daemon.send(signal.SIGTERM)
        until(lambda: "draining for at most" in house.log(), "the first signal is heard")
        house.daemon.send(second)
        code = house.daemon.wait(10)
        abandoned = stop_report(house)["calls_abandoned"]
        assert code == 0
        assert abandoned, "the calls in flight are named"
        house.daemon.start()
        until(house.settled, "everything is posted", 60)
        looked_up = {line["reference"] for line in house.ended() if line["op"] == "find"}
        assert looked_up == set(abandoned)
        findings = [
            *money_findings(house.told, house.erp.documents(), house.erp.log_path),
            *audit_true(house.store_path),
        ]
        say("F4", int(second), findings, abandoned=len(abandoned))
        assert findings == []


def limits_in_force(house: World) -> list[str]:
    """Names of the limits that the gate keeps."""
    return [row["name"] for row in house.overview().get("budget", [])]


def test_sighup_with_a_bad_file_keeps_the_old_settings_and_with_a_good_one_takes_the_new(tmp_path: Path) -> None:
    config = tmp_path / "tidegate.toml"
    config.write_text('[erp]\nlimits = ["20/1s", "5 concurrent"]\n')
    with quiet_world(tmp_path) as house:
        settings = {"TIDEGATE_CONFIG": str(config), "TIDEGATE_ERP__URL": house.erp.url}
        house.daemon = DaemonProcess(tmp_path / "data", settings)
        house.daemon.start()
        before = limits_in_force(house)
        config.write_text('[erp]\nlimits = ["10 per minuet"]\n')
        house.daemon.send(signal.SIGHUP)
        until(lambda: "the old ones stay in force" in house.log(), "the bad file is refused")
        assert "erp.limits" in house.log()
        assert limits_in_force(house) == before
        config.write_text('[erp]\nlimits = ["7/1s", "2 concurrent"]\n')
        house.daemon.send(signal.SIGHUP)
        until(lambda: limits_in_force(house) == ["7/1s", "concurrent"], "the good file is taken")
        say("F4", 1, [*healed(house.overview())], reloads=2)


def test_limits_that_were_reloaded_outlive_the_poster_that_took_them(tmp_path: Path) -> None:
    config = tmp_path / "tidegate.toml"
    config.write_text('[erp]\nlimits = ["20/1s", "5 concurrent"]\n')
    with quiet_world(tmp_path) as house:
        settings = {"TIDEGATE_CONFIG": str(config), "TIDEGATE_ERP__URL": house.erp.url, SWITCH: "hang:erp-poster:1"}
        house.daemon = DaemonProcess(tmp_path / "data", settings)
        house.daemon.start()
        config.write_text('[erp]\nlimits = ["3/1s", "1 concurrent"]\n')
        house.daemon.send(signal.SIGHUP)
        until(lambda: limits_in_force(house) == ["3/1s", "concurrent"], "the new limits are taken")
        until(lambda: house.actor("erp-poster").get("starts") == 2, "the poster is replaced", 30)
        assert "gave no sign of life" in house.actor("erp-poster")["last_crash"]
        assert limits_in_force(house) == ["3/1s", "concurrent"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[erp]\nurl = 'http://x'\nlimitz = ['10/1s']\n", (r"tidegate\.toml:3:", r"erp\.limitz", "limits")),
        ("[erp]\ntimeout_seconds = 'soon'\n", (r"tidegate\.toml:2:", r"erp\.timeout_seconds")),
        ("[erp]\nlimits = ['10 per minuet']\n", (r"erp\.limits", "10/1s")),
        ("[erp]\nlimits = ['0/1s']\n", (r"erp\.limits",)),
        ("[flow]\nbulk_floor_percent = 30\nstandard_floor_percent = 30\n", ("flow", "floors")),
        ("[nowhere]\nx = 1\n", (r"tidegate\.toml:1:", "nowhere")),
        ("[erp\n", (r"tidegate\.toml", "not valid TOML", "line 1")),
    ],
)
def test_bad_settings_are_refused_at_the_start_by_file_and_key(
    text: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    config = tmp_path / "tidegate.toml"
    config.write_text(text)
    command = [sys.executable, str(ROOT / "run.py"), "--config", str(config), "--data", str(tmp_path / "d"), "serve"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    say("F17", 0, [], exit_code=refused.returncode)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    for word in words:
        assert re.search(word, refused.stderr), f"{word} is not in: {refused.stderr}"
