"""Who works on a broker: one store, and nobody beside it.

The budget of an ERP is kept in a store. Two daemons with a store each would spend it twice, and each would take the
other's messages out of the queues. So the owner holds an exclusive queue, which the broker gives to one connection
only and takes away with it, and writes into a second queue who it is, for others to read.

A daemon that finds the place taken by its own store (its former connection, not yet given up by the broker; or the
process before it) goes on: the store itself lets only one process write.
"""

from __future__ import annotations

import asyncio

import msgspec

from broker.port import Outgoing, OwnedElsewhere
from broker.rabbitmq.inlet import Inlet
from broker.rabbitmq.link import Locked
from broker.rabbitmq.session import Session
from broker.rabbitmq.settings import RabbitMQSettings

LEASE = "tidegate.owner"
NAME = "tidegate.owner.name"
_NAME_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-max-length": 1,
    "x-overflow": "drop-head",
    "x-delivery-limit": 1_000_000,
}
_READ_SECONDS = 2.0


class Owner(msgspec.Struct, frozen=True):
    """A daemon: which store it has, and where a person finds it."""

    store: str
    place: str


_decoder = msgspec.json.Decoder(Owner)


async def opened(settings: RabbitMQSettings, stamp: str, owner: Owner | None) -> tuple[Session, bool]:
    """A session that has taken the place for `owner`, if there is one; and what `take` said. Raises as both do."""
    session = await Session.open(settings, stamp)
    try:
        return session, owner is not None and await take(session, owner)
    except BaseException:
        await session.close()
        raise


async def take(session: Session, owner: Owner) -> bool:
    """Take the place; False when our own store still holds it by another connection: go on, and try again later.

    Raises:
        OwnedElsewhere: another store has it; the text names it.
        BrokerLost, BrokerRefused: see `translated`.
    """
    try:
        async with session.into.brief_channel() as channel:
            await channel.exclusive_queue(LEASE)
    except Locked:
        holder = await _holder(session)
        if holder is not None and holder.store == owner.store:
            return False
        raise OwnedElsewhere(_refusal(holder, session)) from None
    async with session.into.brief_channel() as channel:
        await channel.queue(NAME, dict(_NAME_ARGUMENTS))
    await session.outlet.publish([Outgoing("owner", msgspec.json.encode(owner), NAME)])
    return True


def _refusal(holder: Owner | None, session: Session) -> str:
    name = f"{holder.place} (store {holder.store})" if holder else "a daemon that has not said its name yet"
    return (
        f"{name} works on {session.into.settings.place}, with another store than this daemon. Each store keeps the "
        "ERP's budget for itself, so two would overrun it. Stop one of them, or give this one a virtual host (and an "
        "ERP) of its own. To take over from a daemon that died, start on its data directory."
    )


async def _holder(session: Session) -> Owner | None:
    """Who has written its name last; None when nobody has, or what is written cannot be read."""
    async with session.into.brief_channel() as channel:
        await channel.queue(NAME, dict(_NAME_ARGUMENTS))
    arrived = asyncio.Event()
    inlet = Inlet(session.into, await session.into.channel(), NAME, 0, arrived.set)
    try:
        await inlet.start(1)
        async with asyncio.timeout(_READ_SECONDS):
            while not inlet.ready and inlet.lost is None:
                arrived.clear()
                await arrived.wait()
        return _decoder.decode(inlet.ready[0].body) if inlet.ready else None
    except (TimeoutError, msgspec.MsgspecError):
        return None
    finally:
        await inlet.close()
