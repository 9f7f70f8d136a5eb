"""What comes over AMQP fills no more than the share of its lane; the rest waits in the broker, and comes in later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from ops.rabbitmq_node import shared_node
from tests.support.daemon import STRUCTURED, Site, adjustment, problem_of, site, until

HIGH, BULK_SHARE = 100, 80
SENT = 300


@pytest.fixture(scope="module")
def url() -> str:
    node = shared_node()
    return node.url(node.vhost())


@pytest.fixture
def own(tmp_path: Path, url: str) -> Iterator[Site]:
    marks = {"TIDEGATE_FLOW__WAITING_HIGH": str(HIGH), "TIDEGATE_FLOW__WAITING_LOW": "60"}
    with site(tmp_path, TIDEGATE_BROKER__URL=url, **marks) as running:
        yield running


def publish(url: str, lane: str, count: int) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number in range(count):
            event = {**adjustment(f"{lane}-{number}", f"{lane}-{number}"), "lane": lane}
            properties = pika.BasicProperties(content_type=STRUCTURED, delivery_mode=2)
            channel.basic_publish("tidegate.in", event["type"], json.dumps(event), properties, mandatory=True)


def in_the_broker(url: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        return int(connection.channel().queue_declare("tidegate.intake", passive=True).method.message_count)


def waiting(own: Site) -> int:
    overview = own.client().overview()
    calls = sum(row["waiting"] for row in overview["calls"])
    return int(calls + overview["messages"]["accepted"] - overview["messages"]["handled"])


def test_a_flood_of_bulk_over_amqp_leaves_the_room_of_urgent_alone_and_comes_in_when_there_is_room(
    own: Site, url: str
) -> None:
    own.operate("hold", {"target": "erp", "reason": "upgrade", "who": "dana"})
    publish(url, "bulk", SENT)
    most = HIGH * BULK_SHARE // 100
    until(lambda: waiting(own) >= most, "the share of bulk is full")
    until(lambda: in_the_broker(url) == SENT - most, "the rest waits in the broker")
    refused = own.post({**adjustment("b", "b"), "lane": "bulk"})
    assert (refused.status_code, problem_of(refused)["code"]) == (429, "door.lane_busy")
    for number in range(HIGH - most - 2):
        assert own.post({**adjustment(f"u{number}", f"u{number}"), "lane": "urgent"}).status_code == 202
    assert waiting(own) <= HIGH
    assert in_the_broker(url) == SENT - most
    own.operate("release", {"target": "erp", "reason": "done", "who": "dana"})
    until(lambda: len(own.erp.documents()) == SENT + HIGH - most - 2, "all of it is posted, once", 60)
    assert in_the_broker(url) == 0
    assert own.client().overview()["exceptions"] == []
