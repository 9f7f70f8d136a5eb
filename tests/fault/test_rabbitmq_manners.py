"""F38: manners of brokers that are not at hand (RabbitMQ 4.1 to 4.3), and answers that no broker should give.

Played by a scripted peer: what it refuses it names, and it can answer late, twice, in another order, or for nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from pamqp.commands import Basic

from broker.port import BrokerLost, NotTaken, Queue, Topology, Unroutable
from broker.rabbitmq import RabbitMQBroker
from broker.rabbitmq.layout import DEAD
from broker.topology import build
from ops.broker_check import _version
from tests.contract.engines_rabbitmq import engine
from tests.support.amqp_peer import MESSAGE_BYTES_MAX, Conversation, Peer
from tests.support.loops import until
from tests.support.messages import ids, numbered, outgoing, take, with_queues

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    """What does not answer fails instead of hanging."""
    with anyio.fail_after(30):
        yield


@asynccontextmanager
async def against(peer: Peer) -> AsyncIterator[RabbitMQBroker]:
    """An engine that talks to the peer."""
    async with peer.running():
        broker = engine(peer.url)
        async with broker.connected():
            yield broker


async def test_nothing_is_asked_for_that_newer_brokers_refuse() -> None:
    peer = Peer()
    async with against(peer) as broker:
        await broker.declare(build(["erp-poster"], 2))
        await broker.publish(numbered("tidegate.erp-poster.urgent.0", 20))
        async with broker.subscribe(["tidegate.erp-poster.urgent.0"], prefetch=5) as subscription:
            for _ in range(4):
                await subscription.acknowledge(await take(subscription, 5))
            await broker.pause("tidegate.erp-poster.urgent.0")
            await broker.resume("tidegate.erp-poster.urgent.0")
            assert await broker.consuming()
        assert await broker.peek(DEAD, 1) == []
        assert peer.violations == []
        for name, arguments in peer.arguments.items():
            assert arguments["x-queue-type"] == "quorum", name
            if name.startswith("tidegate.erp-poster"):
                assert arguments["x-delivery-limit"] > 20, name
                assert "x-queue-mode" not in arguments
        assert all(len(message.body) < MESSAGE_BYTES_MAX for message in peer.published)


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_an_acknowledgement_time_out_ends_the_consumer_and_the_messages_come_again(how: str) -> None:
    peer = Peer()
    async with against(peer) as broker:
        await with_queues(broker, "q", "other")
        await broker.publish(numbered("q", 3))
        async with broker.subscribe(["q", "other"], prefetch=5) as subscription:
            held = await take(subscription, 3)
            if how == "cancel":
                peer.cancel_consumers("q")
            else:
                peer.close_channels("q", 406, "PRECONDITION_FAILED - delivery acknowledgement timed out")
            with pytest.raises(BrokerLost, match="q"):
                await subscription.receive(1)
            await subscription.acknowledge(held)  # of a consumer that is gone: ignored
            await subscription.give_back(held)
        async with broker.subscribe(["q", "other"], prefetch=5) as subscription:
            again = await take(subscription, 3)
            assert ids(again) == ["m0", "m1", "m2"]
            assert all(delivery.redelivered for delivery in again)
            await subscription.acknowledge(again)
        assert broker.reconnects == 0, "one consumer's end is no reason to leave everybody"
        assert peer.violations == []


async def test_confirms_may_come_late_in_another_order_twice_and_for_nothing() -> None:
    peer = Peer()

    def scrambled(conversation: Conversation, channel: int, tag: int) -> bool:
        if tag < 10:
            return True  # silence
        conversation.say(channel, Basic.Ack(99), Basic.Ack(10), Basic.Ack(3), Basic.Ack(3), Basic.Ack(2, True))
        conversation.say(channel, Basic.Ack(9, True), Basic.Ack(9, True))
        return True

    async with against(peer) as broker:
        await with_queues(broker, "q")
        peer.on_publish = scrambled
        first = asyncio.ensure_future(broker.publish(numbered("q", 5)))
        await until(lambda: len(peer.published) == 5)
        assert not first.done(), "nobody has confirmed it"
        await broker.publish(outgoing("q", *"abcde"))
        await first
        assert broker.in_flight == 0


async def test_of_a_window_refused_in_part_exactly_the_refused_are_named() -> None:
    peer = Peer()

    def third_refused(conversation: Conversation, channel: int, tag: int) -> bool:
        conversation.say(channel, Basic.Nack(tag, requeue=False) if tag % 3 == 0 else Basic.Ack(tag))
        return True

    async with against(peer) as broker:
        await with_queues(broker, "q")
        peer.on_publish = third_refused
        with pytest.raises(NotTaken, match="'q'") as refusal:
            await broker.publish(numbered("q", 9))
        assert refusal.value.refused == (2, 5, 8)


async def test_a_return_without_a_confirm_is_still_reported_when_the_confirm_comes() -> None:
    async with against(Peer()) as broker:
        await with_queues(broker, "q")
        with pytest.raises(Unroutable, match="nowhere"):
            await broker.publish([*outgoing("q", "good"), *outgoing("nowhere", "stray")])


@pytest.mark.parametrize(("code", "text"), [(320, "CONNECTION_FORCED"), (541, "INTERNAL_ERROR"), (501, "FRAME_ERROR")])
async def test_a_connection_that_the_broker_ends_is_replaced(code: int, text: str) -> None:
    peer = Peer()
    async with against(peer) as broker:
        await with_queues(broker, "q")
        await broker.publish(numbered("q", 2))
        async with broker.subscribe(["q"], prefetch=5) as subscription:
            await take(subscription, 1)
            peer.close_connections(code, text)
            assert ids(await subscription.receive(1)) == ["m1"]
            with pytest.raises(BrokerLost):
                await subscription.receive(1)
        while True:
            try:
                await broker.publish(outgoing("q", "after"))
                break
            except BrokerLost:
                pass
        async with broker.subscribe(["q"], prefetch=5) as subscription:
            assert ids(await take(subscription, 3)) == ["m0", "m1", "after"]
        assert broker.reconnects == 1


async def test_a_large_message_goes_through_the_smallest_frames() -> None:
    peer = Peer(frame_bytes_max=16_384)
    async with against(peer) as broker:
        await broker.declare(Topology((), (Queue("q"),)))
        (message,) = outgoing("q", "m")
        await broker.publish([type(message)("m", b"x" * 200_000, "q")])
        assert [len(stored.body) for stored in peer.published] == [200_000]
        assert peer.violations == []


@pytest.mark.parametrize("version", ["4.0.5", "4.1.0", "4.3.0", "5.0.0-alpha"])
async def test_broker_check_takes_every_newer_broker_for_what_it_is(version: str) -> None:
    lines = _version(("RabbitMQ", version))
    assert [line.verdict for line in lines] == ["ok", "note"]
    assert version in lines[0].detail
