"""F28, F32: the broker does not let us in, or holds something else under our names. Named, not hammered, healed."""

import asyncio
from pathlib import Path

import anyio
import pytest

from broker.port import BrokerError, BrokerLost, Outgoing, Queue, Topology, TopologyConflict
from broker.rabbitmq import RabbitMQBroker
from broker.rabbitmq.layout import queue_arguments
from broker.rabbitmq.link import BrokerRefused, Link
from broker.rabbitmq.probe import DeadLettersLost
from broker.rabbitmq.settings import RabbitMQSettings
from ops.rabbitmq_node import RabbitNode, shared_node
from tests.contract.engines_rabbitmq import engine, opened
from tests.support.messages import drain, ids, with_queues
from tests.support.rabbitmq_traffic import publishing

pytestmark = pytest.mark.anyio
SECRET = "s3cr3t-canary"


@pytest.fixture
def node() -> RabbitNode:
    """The run's node."""
    return shared_node()


@pytest.fixture(autouse=True)
async def deadline():
    """What does not answer fails instead of hanging."""
    with anyio.fail_after(40):
        yield


async def refusal_of(url: str) -> BrokerError:
    """What connecting ends with."""
    broker = engine(url)
    try:
        async with broker.connected():
            raise AssertionError("connected")
    except BrokerError as error:
        return error


async def test_a_wrong_password_is_named_at_start_and_never_shown(node: RabbitNode) -> None:
    error = await refusal_of(node.url(user="guest", password=SECRET))
    assert not error.retry
    assert "'guest'" in str(error)
    assert SECRET not in f"{error!r} {error}"


async def test_a_virtual_host_that_is_not_there_is_named_with_the_command_that_makes_it(node: RabbitNode) -> None:
    error = await refusal_of(node.url("nowhere"))
    assert not error.retry
    assert "'nowhere'" in str(error)
    assert "add_vhost" in str(error)


async def test_nobody_listening_may_be_tried_again(node: RabbitNode) -> None:
    error = await refusal_of("amqp://guest:guest@127.0.0.1:1/")
    assert isinstance(error, BrokerLost)
    assert error.retry


async def test_a_peer_that_does_not_speak_amqp_is_no_crash() -> None:
    async def say_something_else(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(say_something_else, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal_of(f"amqp://guest:guest@127.0.0.1:{port}/")
    assert isinstance(error, BrokerLost)


async def test_a_queue_with_other_arguments_stops_the_start_with_the_difference(
    node: RabbitNode, tmp_path: Path
) -> None:
    async with opened(tmp_path) as (broker, _):
        await broker.declare(Topology((), (Queue("q", single_active=True),)))
        await broker.publish([Outgoing("m", b"", "q")])
        url = (tmp_path / "rabbitmq-url").read_text()
    other = engine(url)
    async with other.connected():
        with pytest.raises(TopologyConflict, match="x-single-active-consumer") as conflict:
            await with_queues(other, "q")
        assert not conflict.value.retry
        await other.declare(Topology((), (Queue("q", single_active=True),)))
        assert ids(await drain(other, "q", 1)) == ["m"]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("x-queue-type", "classic"),
        ("x-delivery-limit", 20),
        ("x-dead-letter-strategy", "at-most-once"),
        ("x-overflow", "drop-head"),
        ("x-dead-letter-exchange", "elsewhere"),
    ],
)
async def test_no_argument_that_could_lose_messages_may_differ(
    node: RabbitNode, tmp_path: Path, argument: str, value: object
) -> None:
    async with opened(tmp_path) as (broker, _):
        await broker.declare(Topology((), (Queue("good"),)))
        link = await Link.open(RabbitMQSettings(url=(tmp_path / "rabbitmq-url").read_text()), "test")
        arguments = {**queue_arguments(Queue("q"), link.settings), argument: value}
        if value == "classic":
            arguments = {"x-queue-type": "classic"}
        async with link.brief_channel() as channel:
            await channel.queue("q", arguments)
        await link.close()
        with pytest.raises(TopologyConflict, match="q"):
            await with_queues(broker, "q")


async def first_failure(broker: RabbitMQBroker, kind: type[BrokerError]) -> BrokerError:
    """Publish until it fails in this way."""
    while True:
        try:
            await broker.publish([Outgoing("m", b"", "q")])
        except kind as error:
            return error
        except BrokerLost:
            pass


async def test_rights_taken_away_are_named_and_their_return_heals(node: RabbitNode, tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        vhost = (tmp_path / "rabbitmq-url").read_text().rpartition("/")[2]
        await asyncio.to_thread(node.ctl, "set_permissions", "-p", vhost, "guest", "", "", "")
        await asyncio.to_thread(node.drop_connections)
        refused = await first_failure(broker, BrokerRefused)
        assert "refused" in str(refused)
        assert "set_permissions" in str(refused)
        await asyncio.to_thread(node.make_vhost, vhost)
        async with publishing(broker, "q") as publisher:
            await publisher.more(1)
        assert broker.problem is None


async def test_the_probe_sees_a_dead_letter_arrive(node: RabbitNode, tmp_path: Path) -> None:
    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        await broker.probe()
        vhost = (tmp_path / "rabbitmq-url").read_text().rpartition("/")[2]
        left = await asyncio.to_thread(node.ctl, "-p", vhost, "list_queues", "name")
        assert "probe" not in left


async def test_the_probe_says_so_when_dead_letters_go_nowhere(
    node: RabbitNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(queue: Queue, settings: RabbitMQSettings) -> dict[str, object]:
        return {**queue_arguments(queue, settings), "x-dead-letter-routing-key": "nowhere"}

    async with opened(tmp_path) as (broker, _):
        await with_queues(broker, "q")
        monkeypatch.setattr("broker.rabbitmq.probe.queue_arguments", forgetful)
        with pytest.raises(DeadLettersLost, match="list_policies"):
            await broker.probe()
