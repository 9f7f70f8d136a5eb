"""B75, R8, R26: what other clients may put into the broker never costs us the connection."""

import datetime
from decimal import Decimal
from pathlib import Path

import aio_pika
import anyio
import pytest
from pamqp.commands import Basic

from broker.port import MessageTooLarge, Outgoing, Queue, Topology, Unroutable
from broker.rabbitmq.layout import UNROUTABLE
from ops.rabbitmq_node import shared_node
from tests.contract.engines_rabbitmq import opened
from tests.support.messages import drain, figures, ids, outgoing, with_queues

pytestmark = pytest.mark.anyio

ODD_HEADERS = {
    "text": "kept",
    "number": 2**62,
    "negative": -1,
    "yes": True,
    "float": 1.5,
    "nothing": None,
    "table": {"deep": {"deeper": [1, {"x": "y"}]}},
    "list": [1, "two", None],
    "when": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    "bytes": bytearray(b"\xff\xfe"),
    "decimal": Decimal("1.5"),
    "tidegate-item": "1",
}


@pytest.fixture(autouse=True)
async def deadline():
    """What never comes fails instead of hanging."""
    shared_node()
    with anyio.fail_after(30):
        yield


async def test_odd_headers_arrive_as_far_as_they_are_texts_or_whole_numbers(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await broker.declare(Topology(("in",), (Queue("q", (("in", "#"),)),)))
        connection = await aio_pika.connect((tmp_path / "rabbitmq-url").read_text())
        async with connection, connection.channel() as channel:
            message = aio_pika.Message(
                b"body",
                headers=ODD_HEADERS,
                message_id="theirs",
                content_type="application/json",
                timestamp=1,
                priority=3,
                correlation_id="c",
                reply_to="r",
                expiration=100000,
                type="t",
                app_id="a",
            )
            await (await channel.get_exchange("in")).publish(message, "any.key")
        (delivery,) = await drain(broker, "q", 1)
        assert delivery.message_id == "theirs"
        assert delivery.headers == {
            "content-type": "application/json",
            "text": "kept",
            "number": str(2**62),
            "negative": "-1",
            "yes": "true",
        }
        assert broker.reconnects == 0


async def test_a_timestamp_beyond_every_calendar_does_not_cost_the_connection(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        connection = await aio_pika.connect((tmp_path / "rabbitmq-url").read_text())
        async with connection, connection.channel() as channel:
            properties = Basic.Properties(message_id="theirs", delivery_mode=2, timestamp=_Raw(2**63 - 1))
            underlay = await channel.get_underlay_channel()
            await underlay.basic_publish(b"body", routing_key="q", properties=properties)
        assert ids(await drain(broker, "q", 1)) == ["theirs"]
        await broker.publish(outgoing("q", "ours"))
        assert ids(await drain(broker, "q", 1)) == ["ours"]
        assert broker.reconnects == 0


class _Raw(datetime.datetime):
    """A timestamp that says any number of seconds."""

    def __new__(cls, seconds: int) -> "_Raw":
        made = super().__new__(cls, 2026, 1, 1, tzinfo=datetime.UTC)
        made.seconds = seconds  # type: ignore[attr-defined]
        return made

    def timestamp(self) -> float:
        return self.seconds  # type: ignore[attr-defined,no-any-return]


async def test_headers_that_would_not_fit_a_frame_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        huge = Outgoing("huge", b"", "q", headers={"baggage": "x" * 200_000})
        with pytest.raises(MessageTooLarge, match="headers"):
            await broker.publish([*outgoing("q", "small"), huge])
        with pytest.raises(MessageTooLarge):
            await broker.publish([Outgoing("m", b"", "k" * 300)])
        await broker.publish(outgoing("q", "next"))
        assert ids(await drain(broker, "q", 1)) == ["next"]


async def test_what_matches_no_queue_of_an_exchange_we_read_is_kept_aside(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await broker.declare(Topology(("in",), (Queue("q", (("in", "known.#"),)),)))
        await broker.publish([Outgoing("stray", b"", "unknown", "in")])
        connection = await aio_pika.connect((tmp_path / "rabbitmq-url").read_text())
        async with connection, connection.channel() as channel:
            kept = await (await channel.get_queue(UNROUTABLE)).get()
            assert kept.headers["tidegate-id"] == "stray"
            await kept.ack()


async def test_of_one_id_in_flight_twice_the_right_one_is_reported_unroutable(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        for _ in range(50):
            outcomes: dict[str, bool] = {}

            async def publish(queue: str, outcomes: dict[str, bool] = outcomes) -> None:
                try:
                    await broker.publish(outgoing(queue, "same"))
                    outcomes[queue] = True
                except Unroutable:
                    outcomes[queue] = False

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(publish, "nowhere")
                tasks.start_soon(publish, "q")
            assert outcomes == {"nowhere": False, "q": True}
        assert (await figures(broker, "q")).ready == 50
