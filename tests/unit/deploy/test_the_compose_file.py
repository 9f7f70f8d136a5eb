"""The compose file: valid by the Compose specification, closed to the network, and it fits the daemon."""

from __future__ import annotations

import re
from typing import Any

import pytest
from compose_spec import PyCompose

from actors.settings import Settings
from tests.unit.deploy.files import DEPLOY, ROOT, compose, megabytes, seconds, stop_seconds

TEXT = (DEPLOY / "compose.yaml").read_text()
SERVICES = compose()["services"]


def test_it_follows_the_compose_specification() -> None:
    assert sorted(PyCompose.from_yaml(TEXT).service_names()) == ["rabbitmq", "tidegate"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("healthcheck:", "healthchek:"),
        ("service_healthy", "service_well"),
        ("unless-stopped", "sometimes"),
        ("memory: 2G", "memory: plenty"),
    ],
)
def test_the_specification_would_name_a_mistake(right: str, wrong: str) -> None:
    assert right in TEXT
    with pytest.raises(ValueError, match="services"):
        PyCompose.from_yaml(TEXT.replace(right, wrong))


def _sources(service: dict[str, Any], kind: str) -> set[str]:
    return {entry if isinstance(entry, str) else entry["source"] for entry in service.get(kind, [])}


@pytest.mark.parametrize("kind", ["secrets", "configs"])
def test_what_is_mounted_is_declared_and_what_is_declared_is_mounted(kind: str) -> None:
    assert set().union(*(_sources(service, kind) for service in SERVICES.values())) == set(compose()[kind])


def test_volumes_are_named_and_declared() -> None:
    mounted = {entry.split(":")[0] for service in SERVICES.values() for entry in service["volumes"]}
    assert mounted == set(compose()["volumes"])


def test_services_wait_for_services_that_exist_and_have_a_health_check() -> None:
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[name]


def test_ports_are_published_on_the_loopback_interface_only() -> None:
    published = [port for service in SERVICES.values() for port in service["ports"]]
    assert published == ["127.0.0.1:5672:5672", f"127.0.0.1:{Settings().http.port}:{Settings().http.port}"]


def test_every_service_has_limits_and_a_log_that_does_not_grow_for_ever() -> None:
    for service in SERVICES.values():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
        assert {"max-size", "max-file"} == set(service["logging"]["options"])
        assert service["restart"] == "unless-stopped"
        assert ":" in service["image"]
        assert not service["image"].endswith(":latest")


def test_compose_waits_longer_than_a_stop_may_take() -> None:
    settings = Settings()
    assert float(SERVICES["tidegate"]["environment"]["TIDEGATE_DAEMON__DRAIN_SECONDS"]) == settings.daemon.drain_seconds
    assert seconds(SERVICES["tidegate"]["stop_grace_period"]) > stop_seconds(settings)


def test_the_daemon_can_write_nothing_but_its_data() -> None:
    daemon = SERVICES["tidegate"]
    assert daemon["read_only"] is True
    assert daemon["cap_drop"] == ["ALL"]
    assert daemon["volumes"] == ["tidegate-data:/var/lib/tidegate"]


def test_no_secret_stands_in_the_file() -> None:
    assert not re.search(
        r"amqps?://[^\s/]*:[^\s/]*@|(?i:pass(word)?|token)\s*[:=]\s*[^\s/]*[a-z0-9]{8}\s*$", TEXT, re.M
    )
    for name in ("broker-url", "erp-token"):
        assert f"/run/secrets/{name}" in TEXT
        assert name in SERVICES["tidegate"]["secrets"]


def test_a_variable_that_is_not_given_stops_the_start_with_what_is_missing() -> None:
    assert all(":?" in variable for variable in re.findall(r"\$\{[^}]*\}", TEXT))


def test_the_image_is_built_from_a_file_that_is_there() -> None:
    build = SERVICES["tidegate"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert context == ROOT
    assert (context / build["dockerfile"]).is_file()


def test_the_broker_stops_taking_before_its_container_runs_out_of_memory() -> None:
    limit = megabytes(SERVICES["rabbitmq"]["deploy"]["resources"]["limits"]["memory"])
    conf = dict(re.findall(r"^(\S+) = (\S+)$", compose()["configs"]["rabbitmq-limits"]["content"], re.M))
    log_in_memory = int(conf["raft.wal_max_size_bytes"]) / 1024**2
    assert megabytes(conf["vm_memory_high_watermark.absolute"]) + 3 * log_in_memory < limit
