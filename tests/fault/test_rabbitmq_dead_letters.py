"""What the broker gives up on, or can put nowhere, is not left lying in a queue that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from broker.rabbitmq.layout import DEAD, UNROUTABLE
from ops.rabbitmq_node import shared_node
from policies.lanes import LANES
from tests.support.daemon import Site, adjustment, case, site, until

pytestmark = pytest.mark.slow
POLICY = "credit-policy"


@pytest.fixture
def broker_url() -> str:
    node = shared_node()
    return node.url(node.vhost())


@pytest.fixture
def here(tmp_path: Path, broker_url: str) -> Iterator[Site]:
    with site(tmp_path, TIDEGATE_BROKER__URL=broker_url, TIDEGATE_BROKER__PARTITIONS="2") as here:
        yield here


@pytest.fixture
def channel(here: Site, broker_url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        yield connection.channel()


def _reject_one(url: str, queues: list[str]) -> None:
    """Be the reader of these queues until a message has come, and reject it."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        rejected: list[bytes] = []

        def reject(channel: BlockingChannel, method: Any, _properties: Any, body: bytes) -> None:
            channel.basic_reject(method.delivery_tag, requeue=False)
            rejected.append(body)

        for queue in queues:
            channel.basic_consume(queue, reject)
        until(lambda: connection.process_data_events(time_limit=0.2) or rejected, "the message comes")


def _exceptions(here: Site) -> list[dict[str, Any]]:
    with here.http() as http:
        answer = http.get("/v1/ops/exceptions", headers={"Authorization": f"Bearer {here.token}"})
    return list(answer.json()["items"])


def _ready(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def test_a_dead_letter_is_an_exception_with_its_message_and_is_published_no_more(
    here: Site, channel: BlockingChannel, broker_url: str
) -> None:
    here.operate("pause", {"target": POLICY, "who": "ann", "reason": "test"})
    here.post(msgspec.json.encode(case("1")))
    _reject_one(broker_url, [f"tidegate.{POLICY}.{lane}.{partition}" for lane in LANES for partition in (0, 1)])
    (found,) = until(lambda: _exceptions(here), "the exception")
    assert (found["failure"], found["owner"], found["key"]) == ("poison", "it", "CASE-1")
    assert "a consumer rejected it" in found["cause"]
    assert found["message"]["id"] == "case-1"
    until(lambda: not _ready(channel, DEAD), "the dead letter is settled")

    here.daemon.kill()
    here.daemon.start()
    here.operate("resume", {"target": POLICY, "who": "ann", "reason": "test"})
    here.post(msgspec.json.encode(case("2")))
    until(lambda: here.documents("CASE-2"), "the next case goes its way")
    assert here.documents("CASE-1") == []
    assert len(_exceptions(here)) == 1


def test_what_came_while_the_intake_queue_was_missing_is_let_in(here: Site, channel: BlockingChannel) -> None:
    body = msgspec.json.encode(adjustment("1", "key-1"))
    properties = pika.BasicProperties(content_type="application/cloudevents+json", delivery_mode=2)
    channel.confirm_delivery()
    channel.basic_publish(UNROUTABLE, "", body, properties)  # where the alternate exchange brings it
    until(lambda: here.documents("DOC-1"), "it is posted")
    assert not _ready(channel, UNROUTABLE)
