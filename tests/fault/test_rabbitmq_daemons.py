"""F13, F14: several daemons over one broker. One works; another takes over with the same store only, without harm."""

import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from broker.port import OwnedElsewhere, Queue, Topology
from broker.rabbitmq import RabbitMQBroker
from broker.rabbitmq.lease import Owner
from ops.process import DaemonFailed
from ops.rabbitmq_node import shared_node
from tests.contract.engines_rabbitmq import engine
from tests.support.checkers import audit_true, money_findings
from tests.support.loops import until as steps_until
from tests.support.messages import numbered, outgoing
from tests.support.rabbitmq_proxy import Proxy
from tests.support.world import World, until, world

pytestmark = pytest.mark.slow
CASES = 60


@pytest.fixture
def url() -> str:
    """A virtual host of the test's own."""
    node = shared_node()
    return node.url(node.vhost())


def findings(house: World) -> list[object]:
    """What does not hold, judged by what clients were told and by the ERP."""
    return [*money_findings(house.told, house.erp.documents(), house.erp.log_path), *audit_true(house.store_path)]


def test_a_daemon_on_standby_takes_over_from_one_that_was_killed_and_nothing_is_doubled(
    tmp_path: Path, url: str
) -> None:
    with world(tmp_path, TIDEGATE_BROKER__URL=url) as house, ThreadPoolExecutor(1) as pool:
        first, port = house.daemon, int(house.daemon.url.rpartition(":")[2])
        second = house.new_daemon(first.data, TIDEGATE_DAEMON__STANDBY="true")
        second._port = port
        second.log_path = tmp_path / "second.log"
        starting = pool.submit(second.start)
        try:
            until(lambda: second.log_path.exists() and "standing by" in second.log_path.read_text(), "standing by")
            with house.surging(CASES, 1, patience=90.0):
                until(lambda: len(house.calls("post")) > CASES // 4, "posting has begun")
                assert not starting.done()
                first.kill()
                starting.result(30)
                house.daemon = second
            assert house.overview()["ready"]
            assert findings(house) == []
            assert len(house.erp.documents()) > CASES // 4
        finally:
            house.daemon = second
            second.stop()


def test_a_daemon_with_another_store_does_not_start_beside_it_and_names_it(tmp_path: Path, url: str) -> None:
    with world(tmp_path, TIDEGATE_BROKER__URL=url) as house:
        other = house.new_daemon(tmp_path / "other")
        with pytest.raises(DaemonFailed, match="another store"):
            other.start(timeout_seconds=6)
        said = other.log_path.read_text()
        assert f"process {house.daemon.pid} on " in said
        assert str(house.daemon.data) in said
        house.surge(CASES // 2, 2)
        assert findings(house) == []
        house.daemon.stop()
        try:
            other.start()  # the place is free
        finally:
            other.stop()


def test_what_a_former_owner_commits_late_is_refused(tmp_path: Path, url: str) -> None:
    with world(tmp_path, TIDEGATE_BROKER__URL=url) as house:
        house.surge(CASES // 4, 3)
        with sqlite3.connect(house.store_path, timeout=10) as store:  # as if another had opened it, its lock being lost
            store.execute("UPDATE meta SET value = value + 1 WHERE name = 'owner'")
        calls = len(house.calls("post"))
        assert house.daemon.wait(60) == 1
        assert "another took over" in house.log()
        assert len(house.calls("post")) == calls


@pytest.fixture
async def deadline() -> AsyncIterator[None]:
    """What hangs fails."""
    with anyio.fail_after(30):
        yield


def owned(url: str, store: str, place: str) -> RabbitMQBroker:
    """An engine that takes the broker for itself."""
    plain = engine(url)
    return RabbitMQBroker(plain._settings, plain._entropy, owner=Owner(store, place))


@pytest.mark.anyio
async def test_the_place_is_refused_to_another_store_until_it_is_free(url: str, deadline: None) -> None:
    async with owned(url, "store-a", "daemon A").connected():
        with pytest.raises(OwnedElsewhere, match="daemon A"):
            async with owned(url, "store-b", "daemon B").connected():
                pass
    async with owned(url, "store-b", "daemon B").connected():
        with pytest.raises(OwnedElsewhere, match="daemon B"):
            async with owned(url, "store-a", "daemon A").connected():
                pass


@pytest.mark.anyio
async def test_a_process_with_the_same_store_goes_on_at_once(url: str, deadline: None) -> None:
    first, second = owned(url, "store-a", "daemon A"), owned(url, "store-a", "daemon A again")
    async with first.connected(), second.connected():
        await second.declare(Topology((), (Queue("q"),)))
        await second.publish(numbered("q", 2))
        assert second.ousted is None


@pytest.mark.anyio
async def test_who_was_away_while_another_took_the_place_is_told_so_and_may_wait_for_it(
    url: str, deadline: None
) -> None:
    node = shared_node()
    async with Proxy(node.port).running() as proxy:
        behind = url.replace(f":{node.port}/", f":{proxy.port}/")
        first, second = owned(behind, "store-a", "daemon A"), owned(url, "store-b", "daemon B")
        async with first.connected():
            await first.declare(Topology((), (Queue("q"),)))
            proxy.stall()
            proxy.end_all("reset")
            async with second.connected():
                proxy.flow()
                await steps_until(lambda: first.ousted is not None)
                assert "daemon B" in str(first.ousted)
            await steps_until(lambda: first.problem is None)
            await first.publish(outgoing("q", "m"))
            assert first.ousted is None
