"""One life of the connection: a link to publish and a link to consume, born together and lost together.

Two, because a broker under an alarm stops reading from connections that publish, acknowledgements included.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from broker.rabbitmq.link import Link
from broker.rabbitmq.outlet import Outlet
from broker.rabbitmq.settings import RabbitMQSettings


@dataclass(slots=True)
class Session:
    """Both links and the publishing channel. `stir` is set when something of it was lost."""

    out: Link
    into: Link
    outlet: Outlet
    stir: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def open(cls, settings: RabbitMQSettings, stamp: str) -> Session:
        """Connect twice. Raises BrokerLost, BrokerRefused."""
        out = await Link.open(settings, "tidegate publishes")
        try:
            into = await Link.open(settings, "tidegate consumes")
        except BaseException:
            await out.close()
            raise
        try:
            session = cls(out, into, await Outlet.open(out, stamp))
        except BaseException:
            await out.close()
            await into.close()
            raise
        for link in (out, into):
            link.on_lost(lambda _: session.stir.set())
        return session

    @property
    def lost(self) -> str | None:
        """Why it is over, or None."""
        return self.out.lost or self.into.lost

    async def renew_outlet(self, stamp: str) -> None:
        """Open another publishing channel after one was lost: closed by the broker, or given up by us."""
        await self.outlet.close()
        self.outlet = await Outlet.open(self.out, stamp)

    async def close(self) -> None:
        """End both links."""
        await self.into.close()
        await self.out.close()
