"""What the deployment files set are settings that exist, with values that the daemon takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from actors.settings import Settings, SettingsRefused
from ops.config import load
from policies.order import Share
from tests.unit.deploy.files import DEPLOY, compose, image_environment, kubernetes, unit


def _keys() -> set[tuple[str, str]]:
    return {
        (section.name, key.name)
        for section in msgspec.structs.fields(Settings)
        for key in msgspec.structs.fields(section.type)
    }


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.*")), ids=lambda path: path.name)
def test_every_variable_named_is_a_setting(path: Path) -> None:
    if not path.is_file():
        return
    named = set(re.findall(r"TIDEGATE_([A-Z]+)__([A-Z_]+)", path.read_text())) - {("SECTION", "KEY")}
    assert {(section.lower(), key.lower()) for section, key in named} <= _keys()


def test_the_example_is_taken_as_it_stands_and_holds_the_defaults() -> None:
    assert load(DEPLOY / "tidegate.toml", {}) == Settings()


def test_the_example_shows_every_setting() -> None:
    text = (DEPLOY / "tidegate.toml").read_text()
    shown = tomllib.loads(re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.M))
    assert {(section, key) for section, part in shown.items() for key in part} == _keys()


def test_the_environment_of_the_image_is_taken() -> None:
    settings = load(None, image_environment())
    assert settings.http.host == "0.0.0.0"
    assert settings.directory == Path("/var/lib/tidegate")


def test_the_environment_of_the_compose_file_is_taken() -> None:
    given = {"TIDEGATE_ERP__URL": "https://erp.example", "TIDEGATE_ERP__LIMITS": "10/1s,5 concurrent"}
    environment = {**image_environment(), **compose()["services"]["tidegate"]["environment"], **given}
    settings = load(None, environment)
    assert settings.erp.limits == ("10/1s", "5 concurrent")
    assert settings.broker.url_file == "/run/secrets/broker-url"


def test_the_settings_of_the_kubernetes_objects_are_taken(tmp_path: Path) -> None:
    (config,) = kubernetes("ConfigMap")
    (container,) = kubernetes("StatefulSet")[0]["spec"]["template"]["spec"]["containers"]
    file = tmp_path / "tidegate.toml"
    file.write_text(config["data"]["tidegate.toml"])
    environment = {**image_environment(), **{entry["name"]: entry["value"] for entry in container["env"]}}
    settings = load(file, environment)
    assert settings.http.expose
    assert settings.erp.token_file == "/run/secrets/tidegate/erp-token"


def test_the_environment_of_the_unit_is_taken() -> None:
    lines = [
        *unit()["Environment"],
        *unit("tidegate.service.d/rabbitmq.conf")["Environment"],
    ]
    settings = load(DEPLOY / "tidegate.toml", dict(line.split("=", 1) for line in lines))
    assert settings.data.directory == "%S/tidegate"
    assert settings.broker.url_file == "%d/broker-url"


def test_the_port_is_the_default_of_the_settings_everywhere() -> None:
    port = Settings().http.port
    for name in ("compose.yaml", "kubernetes.yaml", "Dockerfile", "tidegate.service", "tidegate.toml"):
        ports = set(re.findall(r"\b(80[0-9]{2})\b", (DEPLOY / name).read_text())) - {"8090"}
        assert ports == {str(port)}, name


SHARES = """[flow.tenants.acme]
weight = 3
minimum_percent = 10
[flow.workloads.incident]
weight = 2
"""


def test_shares_stand_in_sections_of_their_own_or_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.toml"
    file.write_text(SHARES)
    given = {
        "TIDEGATE_FLOW__TENANTS": '{"acme": {"weight": 3, "minimum_percent": 10}}',
        "TIDEGATE_FLOW__WORKLOADS": '{"incident": {"weight": 2}}',
    }
    assert load(file, {}).flow.tenant_shares() == {"acme": Share(3, 10)}
    assert load(file, {}).flow.workload_shares() == {"incident": Share(2)}
    assert load(None, given) == load(file, {})


@pytest.mark.parametrize(
    ("tenants", "said"),
    [
        ("acme=3", "TIDEGATE_FLOW__TENANTS: expected a JSON object"),
        ('{"acme": {"weight": 0}}', "flow.tenants.acme: the weight is 0"),
        ('{"acme": {"minimum_percent": 40}}', "flow.tenants.acme: the minimum is 40 %"),
        ('{"a": {"minimum_percent": 30}, "b": {"minimum_percent": 30}}', "flow.tenants: the minima add up to 60 %"),
        ('{"acme": {"wait": 3}}', "flow.tenants"),
    ],
)
def test_shares_that_cannot_be_kept_stop_the_start(tenants: str, said: str) -> None:
    with pytest.raises(SettingsRefused, match=said):
        load(None, {"TIDEGATE_FLOW__TENANTS": tenants})
