"""The probes of every deployment, carried out on a real daemon: they pass when it is well, and fail when it is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from actors.settings import Settings
from ops.process import DaemonProcess
from tests.unit.deploy.files import compose, image_health_check, kubernetes

COMMANDS = {
    "image": image_health_check(),
    "compose": compose()["services"]["tidegate"]["healthcheck"]["test"][1:],
}
(CONTAINER,) = kubernetes("StatefulSet")[0]["spec"]["template"]["spec"]["containers"]
PATHS = [CONTAINER[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path_factory.mktemp("probes"), {}) as daemon:
        yield daemon


def _check(command: list[str], url: str) -> int:
    program, *arguments = command
    assert program == "python"
    built_in = f"http://127.0.0.1:{Settings().http.port}"
    assert any(built_in in argument for argument in arguments)
    here = [sys.executable, *(argument.replace(built_in, url) for argument in arguments)]
    return subprocess.run(here, capture_output=True, timeout=30).returncode


@pytest.mark.parametrize("place", COMMANDS)
def test_a_health_check_passes_on_a_daemon_that_is_well(daemon: DaemonProcess, place: str) -> None:
    assert _check(COMMANDS[place], daemon.url) == 0


@pytest.mark.parametrize("place", COMMANDS)
def test_a_health_check_fails_where_nobody_answers(place: str) -> None:
    assert _check(COMMANDS[place], "http://127.0.0.1:9") != 0  # the discard port; nothing here listens on it


@pytest.mark.parametrize("path", [*PATHS, "/metrics"])
def test_each_probe_is_a_route_that_answers_200(daemon: DaemonProcess, path: str) -> None:
    assert httpx.get(daemon.url + path).status_code == 200


def test_the_pod_tells_where_its_metrics_are() -> None:
    annotations = kubernetes("StatefulSet")[0]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == "/metrics"
    assert annotations["prometheus.io/port"] == str(Settings().http.port)
