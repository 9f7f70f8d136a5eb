"""What a broker really does for us, found by asking and by trying; nothing that is ours is created or changed.

What it tries, it tries on an exchange and two queues of its own, `tidegate.probe.<stamp>`, which it deletes again.
They begin with `tidegate.` so that a policy on `^tidegate` acts on them as on ours. A policy on the name of a single
queue is not seen this way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from broker.port import BrokerError, BrokerLost, Delivery, Outgoing, Queue, Topology
from broker.rabbitmq.inlet import Inlet
from broker.rabbitmq.layout import queue_arguments, shape
from broker.rabbitmq.link import Channel, Different, Link, Missing
from broker.rabbitmq.session import Session
from broker.rabbitmq.settings import RabbitMQSettings

RETURNS = 64
"""How often the probe returns one message: well beyond the 20 that RabbitMQ 4 and many policies set."""
_LEFTOVERS_MS = 60_000
_DIFFERENCES_MAX = 12
_SAID = re.compile(
    r"inequivalent arg '(?P<name>[^']+)'.*?: received (?P<ours>none|(?:the value )?'[^']*')(?: of type '[^']+')? "
    r"but current is (?P<theirs>none|(?:the value )?'[^']*')(?: of type '(?P<kind>[^']+)')?"
)


class Difference(Struct, frozen=True):
    """An argument that is not as we need it; None stands for not set."""

    name: str
    needed: str | None
    current: str | None


class Thing(Struct, frozen=True):
    """An exchange or a queue of our topology: `missing` (the daemon will create it), `same` or `different`."""

    kind: str
    name: str
    state: str
    differences: tuple[Difference, ...] = ()
    said: str = ""
    """The broker's own sentence on the difference."""


class Probe(Struct, frozen=True):
    """What became of a message that was returned `RETURNS` times and then rejected."""

    deliveries: int
    """How often it was delivered before it was rejected or taken from the queue."""
    limited: bool
    """It was taken from the queue after so many deliveries, before it was rejected."""
    dead_lettered: bool
    """It arrived where dead letters go."""


async def look_at(link: Link, topology: Topology, settings: RabbitMQSettings) -> list[Thing]:
    """Every exchange and queue of the topology, exchanges first. Raises BrokerLost, BrokerRefused."""
    exchanges, queues = shape(topology, settings)
    found = [await _exchange(link, name, kind, arguments) for name, kind, arguments in exchanges]
    return found + [await _queue(link, name, arguments) for name, arguments in queues]


async def _exchange(link: Link, name: str, kind: str, arguments: dict[str, Any]) -> Thing:
    async def declare(channel: Channel, known: dict[str, Any]) -> None:
        await channel.exchange(name, kind, known)

    return await _compare(link, "exchange", name, arguments, lambda channel: channel.look_at_exchange(name), declare)


async def _queue(link: Link, name: str, arguments: dict[str, Any]) -> Thing:
    async def declare(channel: Channel, known: dict[str, Any]) -> None:
        await channel.queue(name, known)

    return await _compare(link, "queue", name, arguments, lambda channel: channel.look(name), declare)


async def _compare(
    link: Link,
    kind: str,
    name: str,
    arguments: dict[str, Any],
    look: Callable[[Channel], Awaitable[object]],
    declare: Callable[[Channel, dict[str, Any]], Awaitable[None]],
) -> Thing:
    """Redeclare what exists, which changes nothing and is answered with the first difference; until there is none."""
    differences: list[Difference] = []
    said = ""
    known = dict(arguments)
    for _ in range(_DIFFERENCES_MAX):
        try:
            async with link.brief_channel() as channel:
                await look(channel)  # each time: what has gone meanwhile must not be created by us
                await declare(channel, known)
                break
        except Missing:
            return Thing(kind, name, "missing")
        except Different as different:
            told = _SAID.search(str(different))
            said = said or str(different)
            if told is None or told["name"] in (difference.name for difference in differences):
                break
            differences.append(Difference(told["name"], _value(told["ours"]), _value(told["theirs"])))
            if not told["name"].startswith("x-") and told["name"] != "alternate-exchange":
                break  # kind or durability: nothing more can be compared
            _assume(known, told)
    return Thing(kind, name, "different" if said else "same", tuple(differences), said)


def _value(told: str) -> str | None:
    return None if told == "none" else told.removeprefix("the value ").strip("'")


def _assume(known: dict[str, Any], told: re.Match[str]) -> None:
    """Go on as if the broker's value were the one we want, so that it names the next difference."""
    value = _value(told["theirs"])
    if value is None:
        known.pop(told["name"], None)
    elif told["kind"] == "bool":
        known[told["name"]] = value == "true"
    else:
        known[told["name"]] = int(value) if value.lstrip("-").isdigit() and told["kind"] != "longstr" else value


# trying ------------------------------------------------------------------------------------------------------


async def probe(session: Session, settings: RabbitMQSettings, stamp: str) -> Probe:
    """Return a message again and again, then reject it, and look where it went.

    Raises:
        BrokerRefused: a right is missing; the broker's sentence says which, on which name.
        BrokerLost: no answer in time (an alarm blocks publishers, for example).
    """
    source, link = f"tidegate.probe.{stamp}", session.into
    async with _probe_queues(link, settings, source) as target:
        await session.outlet.publish([Outgoing(stamp, b"probe", source)])
        deliveries = 0
        async with _consuming(link, source) as inlet, _consuming(link, target) as dead:
            while deliveries <= RETURNS:
                delivery = await _first_of(inlet, dead, settings)
                if delivery is None or delivery.queue == target:
                    return Probe(deliveries, True, delivery is not None)
                deliveries += 1
                if deliveries <= RETURNS:
                    inlet.give_back([delivery.tag])
                else:
                    inlet.discard(delivery.tag)
            found = await _first_of(dead, dead, settings)
    return Probe(deliveries, False, found is not None and found.message_id == stamp)


@asynccontextmanager
async def _probe_queues(link: Link, settings: RabbitMQSettings, source: str) -> AsyncIterator[str]:
    """An exchange and a queue named `source`, like ours, whose dead letters go to a second one, which is yielded."""
    target = f"{source}.dead"
    arguments = {**queue_arguments(Queue(source), settings), "x-expires": _LEFTOVERS_MS}
    arguments["x-dead-letter-exchange"] = source
    async with link.brief_channel() as channel:
        try:
            await channel.exchange(source, "direct", {})
            await channel.queue(source, arguments)
            await channel.queue(target, {"x-queue-type": "quorum", "x-expires": _LEFTOVERS_MS})
            await channel.bind(target, source, source)
            yield target
        finally:
            await _remove(link, source, target)


async def _remove(link: Link, source: str, target: str) -> None:
    for name in (source, target):
        try:
            async with link.brief_channel() as channel:
                await channel.delete_queue(name)
        except BrokerError:
            pass  # never made, or not ours to delete: it expires
    try:
        async with link.brief_channel() as channel:
            await channel.delete_exchange(source)
    except BrokerError:
        pass  # the finding is in the error that is on its way


@asynccontextmanager
async def _consuming(link: Link, queue: str) -> AsyncIterator[Inlet]:
    inlet = Inlet(link, await link.channel(), queue, 0, lambda: None)
    try:
        await inlet.start(1)
        yield inlet
    finally:
        await inlet.close()


async def _first_of(first: Inlet, second: Inlet, settings: RabbitMQSettings) -> Delivery | None:
    """The next delivery to either; None when none comes in time. Raises BrokerLost."""
    arrived = asyncio.Event()
    for inlet in (first, second):
        inlet.wake = arrived.set
    try:
        async with asyncio.timeout(settings.call_seconds):
            while True:
                for inlet in (first, second):
                    if inlet.lost is not None:
                        raise BrokerLost(f"probing: {inlet.lost}")
                    if inlet.ready:
                        return inlet.ready.popleft()
                arrived.clear()
                await arrived.wait()
    except TimeoutError:
        return None
