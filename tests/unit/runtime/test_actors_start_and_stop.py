"""Every actor that needs nothing but a store and a broker, through the storm."""

import asyncio
from collections.abc import Callable

import pytest

from actors.reconciler import Reconciler
from actors.runtime.actor import Actor, Context
from actors.runtime.clock import SystemClock
from actors.runtime.entropy import SystemEntropy
from actors.runtime.supervisor import ChildSpec, Strategy, Supervisor, SupervisorSpec
from actors.services import BrokerLink, Housekeeping, StoreWriter, Watchdog
from broker.embedded import EmbeddedBroker
from broker.port import Queue, Topology
from broker.store.store import Store
from tests.support.lifecycle import start_stop_storm
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


class Plain:
    """The smallest actor that keeps the contract."""

    async def run(self, context: Context) -> None:
        """Be ready until stopped."""
        context.ready()
        await context.stop_asked.wait()


def supervisor(*children: ChildSpec | SupervisorSpec, **more) -> Callable[[], Actor]:
    spec = SupervisorSpec("storm", children, **more)
    return lambda: Supervisor(spec, SystemClock(), SystemEntropy(), lambda event: None)


LEAVES = tuple(ChildSpec(name, Plain) for name in "abc")


async def test_a_plain_actor() -> None:
    await start_stop_storm(Plain)


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_supervisor(strategy: Strategy) -> None:
    await start_stop_storm(supervisor(*LEAVES, strategy=strategy))


async def test_supervisors_in_supervisors() -> None:
    inner = SupervisorSpec("inner", LEAVES)
    await start_stop_storm(supervisor(LEAVES[0], SupervisorSpec("middle", (inner, LEAVES[1])), LEAVES[2]))


async def test_the_store_writer(tmp_path) -> None:
    async with Store(tmp_path) as store:
        await start_stop_storm(lambda: StoreWriter(store))


async def test_the_broker_link(tmp_path) -> None:
    async with running_store(tmp_path) as store:
        broker = EmbeddedBroker(store)
        await start_stop_storm(lambda: BrokerLink(broker, Topology((), (Queue("q"),))))
        assert store._watchers == []


async def test_housekeeping(tmp_path) -> None:
    async with running_store(tmp_path) as store:
        await start_stop_storm(lambda: Housekeeping(store))


async def test_the_reconciler(tmp_path) -> None:
    async with running_store(tmp_path) as store:
        await start_stop_storm(lambda: Reconciler(store, {}, every_hours=24.0, look_first_hours=168.0))


async def test_the_watchdog() -> None:
    await start_stop_storm(lambda: Watchdog(lambda: None))


async def test_the_storm_notices_an_actor_that_leaves_a_task_behind() -> None:
    class Leaky(Plain):
        async def run(self, context: Context) -> None:
            self.left = asyncio.ensure_future(asyncio.Event().wait())
            await super().run(context)

    with pytest.raises(AssertionError, match="still there"):
        await start_stop_storm(Leaky)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "Event.wait" in repr(task):
            task.cancel()
