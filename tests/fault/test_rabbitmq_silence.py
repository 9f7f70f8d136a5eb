"""F26: a queue that never answers. What was published to it must not take the window away from the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from broker.port import Broker, BrokerLost, Outgoing
from broker.rabbitmq.settings import WINDOW
from ops.rabbitmq_node import RabbitNode, shared_node
from tests.contract.engines_rabbitmq import opened
from tests.support.loops import steps
from tests.support.messages import ids, numbered, outgoing, take, with_queues

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def silent(node: RabbitNode, vhost: str, queue: str) -> AsyncIterator[None]:
    """The queue takes part in nothing for the length of the block."""
    name = f'whereis(binary_to_atom(<<"{vhost}_{queue}">>))'
    await asyncio.to_thread(node.ctl, "eval", f"sys:suspend({name}).")
    try:
        yield
    finally:
        await asyncio.to_thread(node.ctl, "eval", f"sys:resume({name}).")


async def until_confirmed(broker: Broker, messages: Sequence[Outgoing]) -> None:
    """Publish as the relay does: again, until the broker has confirmed it."""
    while True:
        try:
            return await broker.publish(messages)
        except BrokerLost:
            await steps(1)


async def test_a_full_window_that_is_never_answered_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    node = shared_node()
    with anyio.fail_after(60):
        async with opened(tmp_path) as (broker, _):
            await with_queues(broker, "stuck", "well")
            vhost = (tmp_path / "rabbitmq-url").read_text().rpartition("/")[2]
            async with silent(node, vhost, "stuck"):
                with pytest.raises(BrokerLost, match="no answer"):
                    await broker.publish(numbered("stuck", WINDOW))
                await until_confirmed(broker, outgoing("well", "after"))
                assert broker.in_flight == 0
            async with broker.subscribe(["well"], prefetch=5) as subscription:
                assert ids(await take(subscription, 1)) == ["after"]
