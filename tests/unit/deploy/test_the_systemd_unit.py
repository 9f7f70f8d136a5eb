"""The systemd unit: systemd itself takes it without a word, and it fits the daemon."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from actors.runtime.notify import UNWELL_SECONDS
from actors.runtime.supervisor import CANCEL_SECONDS
from actors.settings import Settings
from ops.cli import cli
from policies.restarts import Backoff
from tests.unit.deploy.files import DEPLOY, leaves, seconds, stop_seconds, unit
from tests.unit.deploy.machine import need

EXPOSURE_MAX = 20
"""Tenths, on systemd's scale from 0 (safe) to 100 (unsafe)."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit and its drop-in, with the program where a test can put one."""
    shutil.copytree(DEPLOY / "tidegate.service.d", tmp_path / "tidegate.service.d")
    program = tmp_path / "opt" / "bin" / "tidegate"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    path = tmp_path / "tidegate.service"
    path.write_text((DEPLOY / "tidegate.service").read_text().replace("/opt/tidegate/bin", str(program.parent)))
    return path


def _complaints(path: Path) -> str:
    done = subprocess.run(
        [need("systemd-analyze", "systemd"), "verify", "--man=no", str(path)], capture_output=True, text=True
    )
    lines = [line for line in done.stderr.splitlines() if "tidegate" in line or "rabbitmq.conf" in line]
    return "\n".join(lines) or ("" if done.returncode == 0 else done.stderr)


def test_systemd_has_nothing_to_say_about_the_unit_and_its_drop_in(installed: Path) -> None:
    assert _complaints(installed) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("WatchdogSec=30", "WatchdogSec=soon"), ("ProtectClock", "ProtectClocks"), ("Type=notify", "Type=shout")],
)
def test_systemd_would_name_a_mistake(installed: Path, right: str, wrong: str) -> None:
    text = installed.read_text()
    assert right in text
    installed.write_text(text.replace(right, wrong))
    assert "tidegate.service" in _complaints(installed)


def test_a_mistake_in_the_drop_in_would_be_named_too(installed: Path) -> None:
    drop_in = installed.with_name("tidegate.service.d") / "rabbitmq.conf"
    drop_in.write_text(drop_in.read_text().replace("LoadCredential=", "LoadCredentials="))
    assert "rabbitmq.conf" in _complaints(installed)


def test_the_service_is_sandboxed(installed: Path) -> None:
    done = subprocess.run(
        [
            need("systemd-analyze", "systemd"),
            "security",
            "--offline=true",
            f"--threshold={EXPOSURE_MAX}",
            str(installed),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-300:]


def test_systemd_waits_longer_than_a_stop_may_take() -> None:
    (timeout,) = unit()["TimeoutStopSec"]
    assert seconds(timeout) > stop_seconds(Settings())


def test_systemd_waits_longer_than_a_start_may_take() -> None:
    (timeout,) = unit()["TimeoutStartSec"]
    assert seconds(timeout) > 2 * max(leaf.start_seconds for leaf in leaves())


def test_a_restart_inside_the_daemon_is_over_before_the_watchdog_acts() -> None:
    longest_stop = max(leaf.stop_seconds for leaf in leaves())
    assert Backoff().cap_ns / 1e9 + longest_stop + CANCEL_SECONDS < UNWELL_SECONDS


def test_the_service_may_bind_the_port_of_the_settings_and_no_other() -> None:
    assert unit()["SocketBindAllow"] == [f"tcp:{Settings().http.port}"]
    assert unit()["SocketBindDeny"] == ["any"]


def test_the_daemon_notifies_and_is_restarted_within_a_limit() -> None:
    service = unit()
    assert service["Type"] == ["notify"]
    assert seconds(service["WatchdogSec"][0]) >= 10
    assert service["Restart"] == ["on-failure"]
    burst, interval = int(service["StartLimitBurst"][0]), seconds(service["StartLimitIntervalSec"][0])
    assert burst * seconds(service["RestartSec"][0]) < interval


def test_refused_settings_are_not_tried_again(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[http]\nport = 'eighty'\n")
    assert unit()["RestartPreventExitStatus"] == [str(cli(["--config", str(wrong), "serve"]))]


def test_the_command_line_in_the_unit_is_one_that_exists() -> None:
    (command,) = unit()["ExecStart"]
    program, *arguments = command.split()
    assert program.endswith("/bin/tidegate")
    assert cli([*arguments, "--help"]) == 0


def test_each_secret_comes_as_a_credential_and_the_setting_points_at_it() -> None:
    for name in ("tidegate.service", "tidegate.service.d/rabbitmq.conf"):
        wanted = {value for line in unit(name)["Environment"] for value in re.findall(r"_FILE=%d/(\S+)", line)}
        loaded = {line.partition(":")[0] for line in unit(name)["LoadCredential"]}
        assert wanted == loaded != set()


def test_the_boot_id_can_be_read_in_the_sandbox() -> None:
    assert "ProcSubset" not in unit()
