"""What the compose file gives RabbitMQ: a real node takes it, and the daemon's URL opens it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from ops.rabbitmq_node import RabbitNode
from tests.unit.deploy.files import DEPLOY, compose


def _make(directory: Path, token: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(DEPLOY / "secrets.sh"), str(directory)], input=token, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("deploy") / "secrets"
    assert _make(directory, "erp-token-of-a-test\n").returncode == 0
    return directory


@pytest.fixture(scope="module")
def node(secrets: Path) -> Iterator[RabbitNode]:
    """A node with the configuration that the compose file mounts."""
    node = RabbitNode()
    with open(node.root / "etc/rabbitmq.conf", "w") as conf:
        conf.write(compose()["configs"]["rabbitmq-limits"]["content"])
        conf.write((secrets / "rabbitmq-user.conf").read_text())
    try:
        yield node.start()
    finally:
        node.close()


def _wanted() -> dict[str, str]:
    return dict(re.findall(r"^(\S+) = (\S+)$", compose()["configs"]["rabbitmq-limits"]["content"], re.M))


def test_the_limits_are_in_force(node: RabbitNode) -> None:
    wanted = _wanted()
    in_erlang = {
        "vm_memory_high_watermark": f'{{absolute,"{wanted["vm_memory_high_watermark.absolute"]}"}}',
        "disk_free_limit": f'"{wanted["disk_free_limit.absolute"]}"',
    }
    plain = ["max_message_size", "connection_max", "channel_max", "heartbeat", "consumer_timeout"]
    in_erlang |= {key: wanted[key] for key in plain}
    values = ", ".join(f"element(2, application:get_env(rabbit, {key}))" for key in in_erlang)
    printed = node.ctl("eval", f"[{values}].")
    assert re.sub(r"\s", "", printed) == f"[{','.join(in_erlang.values())}]"


def test_the_daemon_s_url_opens_the_broker_and_no_default_user_does(node: RabbitNode, secrets: Path) -> None:
    url = (secrets / "broker-url").read_text().strip().replace("@rabbitmq:5672", f"@127.0.0.1:{node.port}")
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        assert connection.is_open
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.URLParameters(node.url()))


def test_the_secrets_mounted_are_the_ones_made(secrets: Path) -> None:
    files = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
    assert files == {path.name for path in secrets.iterdir()}
    assert (secrets / "erp-token").read_text() == "erp-token-of-a-test\n"


def test_nobody_else_on_the_machine_can_read_them(secrets: Path) -> None:
    assert stat.S_IMODE(os.stat(secrets).st_mode) == 0o700


def test_a_password_is_not_made_twice_for_one_broker(secrets: Path) -> None:
    before = (secrets / "broker-url").read_text()
    assert _make(secrets, "another\n").returncode == 1
    assert (secrets / "broker-url").read_text() == before


def test_without_a_token_nothing_is_made(tmp_path: Path) -> None:
    assert _make(tmp_path / "secrets", "").returncode == 2
    assert not (tmp_path / "secrets").exists()


def test_secrets_are_kept_out_of_the_repository_and_the_image() -> None:
    assert "secrets/" in (DEPLOY / ".gitignore").read_text().splitlines()
    assert "ops/deploy/secrets/" in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
