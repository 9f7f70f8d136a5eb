"""F23, F24: a broker under an alarm takes no publishes. We say so, go on receiving, and nothing is lost after."""

import asyncio
from pathlib import Path

import anyio
import pytest

from broker.port import BrokerLost, Outgoing
from broker.rabbitmq.settings import WINDOW
from ops.rabbitmq_node import RabbitNode, shared_node
from tests.contract.engines_rabbitmq import opened
from tests.support.messages import ids, outgoing, take, with_queues
from tests.support.rabbitmq_traffic import receiving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def node():
    """The run's node, its alarms off afterwards."""
    node = shared_node()
    yield node
    node.memory_alarm(on=False)
    node.disk_alarm(on=False)


@pytest.mark.parametrize("alarm", [RabbitNode.memory_alarm, RabbitNode.disk_alarm])
async def test_under_an_alarm_publishing_ends_in_time_receiving_goes_on_and_it_heals(
    node: RabbitNode, tmp_path: Path, alarm
) -> None:
    with anyio.fail_after(60):
        async with opened(tmp_path) as (broker, _):
            await with_queues(broker, "q")
            await broker.publish(outgoing("q", "before"))
            await asyncio.to_thread(alarm, node, True)
            with pytest.raises(BrokerLost, match="outcome is unknown"):
                await broker.publish(outgoing("q", "during"))
            assert broker.blocked
            async with broker.subscribe(["q"], prefetch=5) as subscription:
                held = await take(subscription, 1)
                await subscription.acknowledge(held)
                assert ids(held) == ["before"]
                assert await broker.consuming()
            assert (await broker.statistics())[0].ready == 0
            await asyncio.to_thread(alarm, node, False)
            async with receiving(broker, "q") as receiver:
                await broker.publish(outgoing("q", "during", "after"))
                await receiver.has({"during", "after"})
            assert broker.blocked is None
            assert broker.reconnects == 0


async def test_repeating_under_an_alarm_keeps_a_bounded_number_in_flight(node: RabbitNode, tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with opened(tmp_path) as (broker, _):
            await with_queues(broker, "q")
            await asyncio.to_thread(node.memory_alarm, True)
            batch = [Outgoing(f"m{n}", b"x" * 1000, "q") for n in range(2 * WINDOW)]
            for _ in range(2):
                with pytest.raises(BrokerLost):
                    await broker.publish(batch)
                assert broker.in_flight <= WINDOW
            await asyncio.to_thread(node.memory_alarm, False)
            await broker.publish(batch)
            async with receiving(broker, "q") as receiver:
                await receiver.has({message.message_id for message in batch})
