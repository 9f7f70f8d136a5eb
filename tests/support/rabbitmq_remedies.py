"""The remedies of the RabbitMQ engine, each with the bug that its absence is and the schedule that brings it to light.

A schedule gives what does not hold. With the remedy in place that is nothing; without it, its invariant is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pika

from broker.life import Life, Report
from broker.port import BrokerError, Outgoing, Queue, Topology, Unroutable
from broker.rabbitmq import RabbitMQBroker, layout, wire
from broker.rabbitmq.layout import UNROUTABLE
from broker.rabbitmq.link import Channel
from broker.rabbitmq.outlet import Outlet
from broker.rabbitmq.session import Session
from broker.rabbitmq.settings import WINDOW
from broker.rabbitmq.subscription import READ_AHEAD, RabbitMQSubscription
from broker.store.store import StoreUnavailable
from ops.rabbitmq_node import RabbitNode
from tests.contract.engines_rabbitmq import engine
from tests.support import rabbitmq_bugs as bugs
from tests.support import rabbitmq_rig
from tests.support.checkers import Finding
from tests.support.messages import ids, numbered, outgoing, take, with_queues
from tests.support.rabbitmq_faults import alarmed
from tests.support.rabbitmq_proxy import Proxy
from tests.support.rabbitmq_rig import HeldLife, Rig, fed, quick, rig

Schedule = Callable[[Path, RabbitNode], Awaitable[list[Finding]]]
Plant = Callable[[], AbstractContextManager[None]]
_JUDGE_SECONDS = 3.0


@dataclass(frozen=True)
class Remedy:
    """`invariant` is what does not hold under the schedule when the remedy is left out by `plant`."""

    name: str
    invariant: str
    plant: Plant
    schedule: Schedule


def _instead(owner: Any, name: str, other: Any) -> Plant:
    """Put something else in the place of a remedy, for the length of a block."""

    @contextmanager
    def planted() -> Iterator[None]:
        before = owner.__dict__[name]
        setattr(owner, name, other)
        try:
            yield
        finally:
            setattr(owner, name, before)

    return planted


# the schedules ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _rigged(place: Path, node: RabbitNode) -> AsyncIterator[tuple[Rig, Proxy]]:
    vhost = await asyncio.to_thread(node.vhost)
    async with Proxy(node.port).running() as proxy:
        url = node.url(vhost).replace(f":{node.port}/", f":{proxy.port}/")
        async with rig(place, quick(url)) as made:
            yield made, proxy


@asynccontextmanager
async def _opened(node: RabbitNode, **changes: Any) -> AsyncIterator[RabbitMQBroker]:
    vhost = await asyncio.to_thread(node.vhost)
    broker = engine(node.url(vhost))
    broker._settings = msgspec.structs.replace(broker._settings, **changes)
    async with broker.connected():
        yield broker


async def commits_refused(place: Path, node: RabbitNode) -> list[Finding]:
    """The store has no room for a moment, while messages are in hand."""
    async with _rigged(place, node) as (made, _):
        refusing = {"left": 5}

        async def live(self: HeldLife, *given: Any) -> Report:
            if refusing["left"]:
                refusing["left"] -= 1
                raise StoreUnavailable("no room")
            return await Life.live(self, *given)

        with _instead(HeldLife, "live", live)():
            await made.accept(60)
            return await made.judge(_JUDGE_SECONDS)


async def line_lost_with_publishes_on_it(place: Path, node: RabbitNode) -> list[Finding]:
    """What was written never reaches the broker."""
    async with _rigged(place, node) as (made, proxy):
        async with fed(made):
            await made.more(50, seconds=10)
        proxy.stall()
        await made.accept(50)
        for _ in range(20):
            await made.clock.sleep(0.02)
        proxy.end_all("reset")
        proxy.flow()
        return await made.judge(_JUDGE_SECONDS)


async def published_to_nobody(_place: Path, node: RabbitNode) -> list[Finding]:
    """To a queue that is not there any more."""
    async with _opened(node, watch_seconds=60) as broker:
        await with_queues(broker, "q")
        for _ in range(5):
            try:
                await asyncio.gather(broker.publish(outgoing("gone", "m")), broker.publish(outgoing("q", "m")))
            except Unroutable:
                continue
            return [Finding("I1", "a message was confirmed and no queue has it")]
    return []


async def published_to_an_exchange_without_a_match(_place: Path, node: RabbitNode) -> list[Finding]:
    """A routing key that nobody reads, on an exchange that we read."""
    async with _opened(node) as broker:
        await broker.declare(Topology(("in",), (Queue("q", (("in", "known.#"),)),)))
        await broker.publish([Outgoing("stray", b"", "unknown", "in")])
        kept = await broker.peek(UNROUTABLE, 1)
    return [] if ids(kept) == ["stray"] else [Finding("I1", "an unroutable message has vanished")]


async def settled_with_deliveries_of_before(_place: Path, node: RabbitNode) -> list[Finding]:
    """An acknowledgement comes after the connection was replaced."""
    async with _opened(node) as broker:
        await with_queues(broker, "q")
        await broker.publish(numbered("q", 1))
        async with broker.subscribe(["q"], prefetch=5) as before:
            stale = await take(before, 1)
            await asyncio.to_thread(node.drop_connections)
            try:
                await before.receive(1)
            except BrokerError:
                pass
            async with broker.subscribe(["q"], prefetch=5) as after:
                await take(after, 1)
                await after.acknowledge(stale)
        rows = await broker.statistics()
    return [] if rows[0].ready else [Finding("I1", "a message was settled by a delivery of another connection")]


async def acknowledgements_lost(place: Path, node: RabbitNode) -> list[Finding]:
    """They vanish on the line, and then the line is cut."""
    async with _rigged(place, node) as (made, proxy):
        async with fed(made):
            await made.more(50, seconds=10)
            proxy.eaten = {"ack"}
            await proxy.has_swallowed(3)
            proxy.end_all("reset")
            proxy.eaten = set()
            await made.more(20, seconds=10)
        return await made.judge(_JUDGE_SECONDS)


def _move_to_the_end(url: str, queues: Sequence[str]) -> None:
    """As somebody's shovel does it: the first message of each queue, with its properties."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for queue in queues:
            for first, properties, body in channel.consume(queue, inactivity_timeout=0.5):
                if first is not None:
                    channel.basic_publish("", queue, body, properties)
                    channel.basic_ack(first.delivery_tag)
                break
            channel.cancel()


async def deciders_killed(place: Path, node: RabbitNode) -> list[Finding]:
    """Again and again, with much sent ahead; before that, the first of each queue is moved to its end.

    A kill alone gives back what was in hand, and only by chance behind what came after it.
    """
    async with _rigged(place, node) as (made, _):
        await made.stop_worker()
        await made.accept(60)
        await made.until(lambda: made.relay.published == 60)
        vhost = made.broker._settings.url.rpartition("/")[2]
        await asyncio.to_thread(_move_to_the_end, node.url(vhost), made.queues)
        made.start_worker()
        async with fed(made):
            for number in range(12):
                await made.more(1 + 11 * number % 40, seconds=4)
                await made.crash_worker()
        return await made.judge(_JUDGE_SECONDS)


async def much_waiting(_place: Path, node: RabbitNode) -> list[Finding]:
    """A long queue, and a receiver that takes its time."""
    async with _opened(node) as broker:
        await with_queues(broker, "q")
        await broker.publish(numbered("q", 1_500))
        async with broker.subscribe(["q"], prefetch=8) as subscription:
            await take(subscription, 8)
            for _ in range(5):
                await broker.statistics()
            inlet = broker._subscriptions[0].inlets["q"]
            held = len(inlet.ready) + inlet.handed_out
    return [Finding("I9", f"{held} messages in hand, {8 + READ_AHEAD} are the bound")] if held > 8 + READ_AHEAD else []


async def consumer_vanished(place: Path, node: RabbitNode) -> list[Finding]:
    """The broker has it no more, and nobody was told."""
    async with _rigged(place, node) as (made, _):
        async with fed(made):
            await made.more(30)
        inlet = made.broker._subscriptions[0].inlets[made.queues[0]]
        await inlet._channel.cancel(inlet._consumer)
        await made.accept(60)
        return await made.judge(_JUDGE_SECONDS)


async def queue_lost_with_messages(place: Path, node: RabbitNode) -> list[Finding]:
    """It is deleted while messages wait in it."""
    vhost = await asyncio.to_thread(node.vhost)
    async with rig(place, quick(node.url(vhost))) as made:
        await made.stop_worker()
        await made.accept(60)
        await made.until(lambda: made.relay.published == 60)
        for queue in made.queues:
            await asyncio.to_thread(node.ctl, "-p", vhost, "delete_queue", queue)
        made.start_worker()
        return await made.judge(_JUDGE_SECONDS + 3)


async def confirms_withheld(_place: Path, node: RabbitNode) -> list[Finding]:
    """The broker is under an alarm, and there is much to publish."""
    async with _opened(node, call_seconds=1.0) as broker:
        await with_queues(broker, "q")
        async with alarmed(node):
            publishing = asyncio.gather(broker.publish(numbered("q", 2 * WINDOW)), return_exceptions=True)
            most = 0
            while not publishing.done():
                most = max(most, broker.in_flight)
                await asyncio.sleep(0)
            await publishing
    return [Finding("I9", f"{most} publishes in flight, {WINDOW} are the bound")] if most > WINDOW else []


async def received_under_an_alarm(_place: Path, node: RabbitNode) -> list[Finding]:
    """The broker takes no publishes; what it has must still be worked off."""
    async with _opened(node, call_seconds=1.0) as broker:
        await with_queues(broker, "q")
        await broker.publish(numbered("q", 5))
        async with alarmed(node):
            try:
                await broker.publish(outgoing("q", "more"))
            except BrokerError:
                pass
            try:
                async with broker.subscribe(["q"], prefetch=5) as subscription, asyncio.timeout(3):
                    await subscription.acknowledge(await take(subscription, 5))
                    await broker.statistics()
            except (BrokerError, TimeoutError) as stuck:
                return [Finding("I8", f"an alarm stops the receiving too: {stuck!r}")]
    return []


async def stopped_again_and_again(_place: Path, node: RabbitNode) -> list[Finding]:
    """Six stops with a message in hand: each counts as a failed delivery."""
    async with _opened(node) as broker:
        await with_queues(broker, "q")
        await broker.publish(outgoing("q", "healthy"))
        for _ in range(6):
            async with broker.subscribe(["q"], prefetch=1) as subscription:
                try:
                    async with asyncio.timeout(2):
                        await take(subscription, 1)
                except TimeoutError:
                    return [Finding("I1", "a healthy message was dead-lettered by stops")]
    return []


REMEDIES = (
    Remedy(
        "acknowledge after the commit",
        "I1",
        _instead(rabbitmq_rig, "HeldLife", bugs.AcknowledgesFirst),
        commits_refused,
    ),
    Remedy(
        "publish with confirms",
        "I1",
        _instead(Outlet, "_publish", bugs.unconfirmed),
        line_lost_with_publishes_on_it,
    ),
    Remedy("mandatory publishes", "I1", _instead(wire, "publish_method", bugs.never_mandatory), published_to_nobody),
    Remedy("a fresh AMQP id for each attempt", "I1", _instead(wire, "content", bugs.one_id), published_to_nobody),
    Remedy(
        "alternate exchange",
        "I1",
        _instead(layout, "shape", bugs.no_alternate),
        published_to_an_exchange_without_a_match,
    ),
    Remedy(
        "generation stamps",
        "I1",
        _instead(RabbitMQSubscription, "_by_inlet", bugs.of_any_generation),
        settled_with_deliveries_of_before,
    ),
    # the store refuses what is handled twice all the same, so a batch with a duplicate in it is stuck, not repeated
    Remedy("inbox", "I8", _instead(Life, "_recognise", bugs.recognises_nothing), acknowledgements_lost),
    Remedy("order from the store", "I4", _instead(Life, "_arrange", bugs.arranges_nothing), deciders_killed),
    Remedy("bounded prefetch", "I9", _instead(Channel, "consume", bugs.takes_everything), much_waiting),
    Remedy("watchdog", "I1", _instead(RabbitMQBroker, "_verify", bugs.asks_nobody), consumer_vanished),
    Remedy(
        "outbox until handled",
        "I1",
        _instead(rabbitmq_rig.Relay, "forget", bugs.forgets_nothing),
        queue_lost_with_messages,
    ),
    Remedy(
        "bounded window",
        "I9",
        _instead(Outlet, "_send", bugs.whatever_there_is),
        confirms_withheld,
    ),
    Remedy(
        "two connections", "I8", _instead(Session, "open", staticmethod(bugs.one_connection)), received_under_an_alarm
    ),
    Remedy(
        "explicit delivery limit",
        "I1",
        _instead(layout, "queue_arguments", bugs.few_deliveries),
        stopped_again_and_again,
    ),
)


async def without(remedy: Remedy, place: Path, node: RabbitNode) -> list[Finding]:
    """What its schedule finds when the remedy is left out."""
    with remedy.plant():
        return await remedy.schedule(place, node)
