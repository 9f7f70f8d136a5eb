"""The number of partitions changes while messages wait: every account keeps its order, nothing is lost or doubled."""

import asyncio
from pathlib import Path

import anyio
import pytest

from ops.rabbitmq_node import shared_node
from tests.support.rabbitmq_rig import fed, quick, rig

pytestmark = pytest.mark.anyio
WAITING = 240


@pytest.mark.parametrize(("before", "after"), [(4, 8), (8, 3)])
@pytest.mark.parametrize("broker_is_empty", [False, True])
async def test_order_of_an_account_holds_when_the_number_of_partitions_changes_with_messages_waiting(
    tmp_path: Path, before: int, after: int, broker_is_empty: bool
) -> None:
    node = shared_node()
    vhost = await asyncio.to_thread(node.vhost)
    settings = quick(node.url(vhost))
    with anyio.fail_after(60):
        async with rig(tmp_path, settings, partitions=before, worker=False) as made:
            await made.accept(WAITING)
            await made.until(lambda: made.relay.published == WAITING)
            accepted = made.accepted
        if broker_is_empty:
            await asyncio.to_thread(node.ctl, "delete_vhost", vhost)
            await asyncio.to_thread(node.make_vhost, vhost)
        async with rig(tmp_path, settings, partitions=after, worker=False) as made:
            made.accepted = accepted
            await made.accept(WAITING)  # the same accounts, in other queues
            made.start_worker()
            async with fed(made):
                await made.more(WAITING * 3)
            assert await made.judge() == []
            assert len(made.queues) == 3 * max(before, after)
