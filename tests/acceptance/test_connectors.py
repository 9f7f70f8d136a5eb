"""The connector examples, run as a connector author would run them, against a real broker and a real daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pika
import pytest

from contracts.catalogue import REGISTRY
from contracts.envelope import Envelope, decode_envelope, from_attributes
from ops.process import DaemonProcess
from ops.rabbitmq_node import shared_node
from tests.unit.deploy.machine import need

CONNECTORS = Path(__file__).resolve().parents[2] / "ops" / "connectors"
PUBLISHERS = [
    ("pika_structured.py",),
    ("pika_binary.py",),
    ("kombu_structured.py",),
    ("kombu_binary.py",),
    ("cloudevents_sdk.py", "structured"),
    ("cloudevents_sdk.py", "binary"),
    ("cloudevents_sdk_amqp.py", "structured"),
    ("cloudevents_sdk_amqp.py", "binary"),
]
PREFIXES = ("cloudEvents:", "cloudEvents_", "ce-")
"""The AMQP binding allows the first two; the third is that of the SDK's binding for RabbitMQ."""


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [need("curl", "curl") and "sh"] if script.endswith(".sh") else [sys.executable]
    command = [*program, str(CONNECTORS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


class Intake:
    """A virtual host with the exchange that connectors know, and a queue that takes what they publish."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self._connection.channel()
        self.channel.confirm_delivery()
        for exchange in ("tidegate.in", "tidegate.out"):
            self.channel.exchange_declare(exchange, "topic", durable=True)

    def bind(self) -> None:
        """Have a queue take everything."""
        self.channel.queue_declare("intake", durable=True, arguments={"x-queue-type": "quorum"})
        self.channel.queue_bind("intake", "tidegate.in", "#")

    def take(self) -> tuple[Any, Any, bytes]:
        """The next message: how it came, its properties, its body."""
        method, properties, body = self.channel.basic_get("intake", auto_ack=True)
        assert body is not None, "nothing came, although the broker confirmed it"
        return method, properties, body

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def intake() -> Iterator[Intake]:
    node = shared_node()
    intake = Intake(node.url(node.vhost()))
    yield intake
    intake.close()


def _read(properties: Any, body: bytes) -> Envelope:
    if properties.content_type == "application/cloudevents+json":
        return decode_envelope(body)
    attributes: dict[str, Any] = {"datacontenttype": properties.content_type}
    for name, value in properties.headers.items():
        for prefix in PREFIXES:
            if name.startswith(prefix):
                attributes[name.removeprefix(prefix)] = value
    if isinstance(attributes.get("time"), int):  # an AMQP timestamp: the SDK writes milliseconds
        attributes["time"] = datetime.fromtimestamp(attributes["time"] / 1000, UTC).isoformat()
    return from_attributes(attributes, body)


@pytest.mark.parametrize("publisher", PUBLISHERS, ids=" ".join)
def test_what_a_connector_publishes_is_kept_on_disk_and_is_a_case(intake: Intake, publisher: tuple[str, ...]) -> None:
    script, *mode = publisher
    intake.bind()
    done = _run(script, intake.url, "CASE-1", *mode)
    assert done.returncode == 0, done.stderr
    method, properties, body = intake.take()
    assert method.routing_key == "support.case.opened"
    assert properties.delivery_mode == 2
    structured = "structured" in f"{script}{mode}"
    assert properties.content_type == ("application/cloudevents+json" if structured else "application/json")
    envelope = _read(properties, body)
    assert (envelope.id, envelope.type) == ("case-opened-CASE-1", "support.case.opened")
    assert envelope.dataschema == "urn:tidegate:support.case.opened:1"
    case = REGISTRY.decode_data(envelope)
    assert (case.case_id, case.account_id, case.monthly_fee.currency) == ("CASE-1", "ACME-1", "EUR")


@pytest.mark.parametrize("publisher", PUBLISHERS, ids=" ".join)
def test_a_connector_does_not_take_a_message_that_nobody_took_for_sent(
    intake: Intake, publisher: tuple[str, ...]
) -> None:
    script, *mode = publisher
    done = _run(script, intake.url, "CASE-1", *mode)
    assert done.returncode != 0
    assert "NO_ROUTE" in done.stderr or "unroutable" in done.stderr


def test_results_are_read_in_both_modes_and_acknowledged_one_by_one(intake: Intake) -> None:
    channel = intake.channel
    channel.queue_declare("mine", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind("mine", "tidegate.out", "erp.adjustment.*")
    event = {"specversion": "1.0", "id": "r1", "source": "urn:x", "type": "erp.adjustment.posted", "data": {"n": 1}}
    structured = pika.BasicProperties(content_type="application/cloudevents+json")
    binary = pika.BasicProperties(content_type="application/json", headers={"cloudEvents:id": "r2", "other": "x"})
    channel.basic_publish("tidegate.out", "erp.adjustment.posted", json.dumps(event), structured)
    channel.basic_publish("tidegate.out", "erp.adjustment.refused", b'{"n": 2}', binary)
    channel.basic_publish("tidegate.out", "billing.credit.approved", b"{}", binary)  # nobody asked for this one
    channel.basic_publish("tidegate.out", "erp.adjustment.posted", json.dumps(event), structured)
    done = _run("read_results.py", intake.url, "mine", "erp.adjustment.*", "2")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [event, {"id": "r2", "data": {"n": 2}}]
    assert channel.queue_declare("mine", passive=True).method.message_count == 1


@pytest.fixture(scope="module")
def broker_url() -> str:
    node = shared_node()
    return node.url(node.vhost())


@pytest.fixture(scope="module")
def distributed(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[DaemonProcess]:
    data = tmp_path_factory.mktemp("distributed")
    with DaemonProcess(data, {"TIDEGATE_BROKER__URL": broker_url}) as daemon:
        yield daemon


@pytest.mark.parametrize("publisher", PUBLISHERS, ids=" ".join)
def test_a_case_over_amqp_comes_back_as_a_decision(
    distributed: DaemonProcess, broker_url: str, publisher: tuple[str, ...]
) -> None:
    script, *mode = publisher
    case = "-".join(publisher).replace(".", "-")
    results = f"results-of-{case}"
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        channel.queue_declare(results, durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(results, "tidegate.out", "billing.credit.evaluated")
    assert _run(script, broker_url, case, *mode).returncode == 0
    done = _run("read_results.py", broker_url, results, "billing.credit.evaluated", "1")
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert result["causationid"] == f"case-opened-{case}"
    assert result["data"]["case_id"] == case


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path_factory.mktemp("connectors"), {}) as daemon:
        yield daemon


@pytest.mark.parametrize("script", ["http_httpx.py", "http_curl.sh"])
def test_a_case_over_http_is_accepted_once_however_often_it_is_sent(daemon: DaemonProcess, script: str) -> None:
    case = f"CASE-{script.partition('.')[0]}"
    first, second = (_run(script, daemon.url, case) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert not json.loads(first.stdout).get("duplicate")
    assert json.loads(second.stdout)["duplicate"] is True
    assert httpx.get(f"{daemon.url}/v1/messages/case-opened-{case}").status_code == 200


@pytest.mark.parametrize("script", ["http_httpx.py", "http_curl.sh"])
def test_a_refusal_is_shown_and_is_not_success(daemon: DaemonProcess, script: str) -> None:
    done = _run(script, daemon.url, "a case id may not have blanks")
    assert done.returncode != 0
    assert "problem" in done.stdout or '"code"' in done.stdout


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text()
    for path in CONNECTORS.iterdir():
        if path.suffix in (".py", ".sh"):
            assert f'"{path.name}"' in here
            assert len(path.read_text().splitlines()) <= 45, path.name
