"""R4, R5: alive is not consuming. The broker is asked who consumes, and what it does not list is lost for us too."""

import asyncio
from pathlib import Path

import anyio
import pytest

from broker.port import BrokerLost, Outgoing
from broker.rabbitmq.subscription import RabbitMQSubscription
from ops.rabbitmq_node import shared_node
from tests.contract.engines_rabbitmq import opened
from tests.support.messages import drain, ids, with_queues

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def deadline():
    """What nobody notices fails instead of hanging."""
    shared_node()
    with anyio.fail_after(30):
        yield


async def vanish(subscription: object, queue: str) -> None:
    """End the consumer in the broker without a word to whoever believes in it."""
    assert isinstance(subscription, RabbitMQSubscription)
    inlet = subscription.inlets[queue]
    await inlet._channel.cancel(inlet._consumer)


async def test_readiness_says_yes_only_while_the_broker_lists_every_consumer(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q", "other")
        assert not await broker.consuming()
        async with broker.subscribe(["q", "other"], prefetch=5) as subscription:
            assert await broker.consuming()
            await vanish(subscription, "other")
            assert not await broker.consuming()
            with pytest.raises(BrokerLost, match="lists 0 consumers of other"):
                await subscription.receive(1)
        assert not await broker.consuming()


async def test_a_consumer_that_vanished_is_noticed_without_anybody_asking(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        async with broker.subscribe(["q"], prefetch=5) as subscription:
            waiting = asyncio.ensure_future(subscription.receive(1))
            await vanish(subscription, "q")
            with pytest.raises(BrokerLost, match="lists 0 consumers"):
                await waiting
        await broker.publish([Outgoing("m", b"", "q")])
        assert ids(await drain(broker, "q", 1)) == ["m"]


async def test_channels_do_not_leak(tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        before = broker.channels
        for _ in range(20):
            await broker.statistics()
            await broker.peek("q", 1)
            async with broker.subscribe(["q"], prefetch=1):
                pass
        assert broker.channels == before
