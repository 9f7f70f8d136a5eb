"""Consuming one queue on a channel of its own: deliveries are laid in a line, acknowledgements are single writes.

A channel for each queue, because an acknowledgement of "everything up to here" counts over a channel: with several
queues on one, an unsettled bulk message would hold back the settlement of urgent ones behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from struct import unpack_from

import msgspec

from broker.order import ITEM_HEADER
from broker.port import BrokerError, Delivery
from broker.rabbitmq import wire
from broker.rabbitmq.link import Channel, Link

_RETURN_LOOKS = 200
"""How often to ask, about a third of a millisecond each, whether the queue has taken back what was returned."""
_tag = attrgetter("tag")


class Inlet:
    """A consumer of one queue. `generation` marks its deliveries, so that those of a dead channel are recognised."""

    def __init__(self, link: Link, channel: Channel, queue: str, generation: int, wake: Callable[[], None]) -> None:
        self._link = link
        self._channel = channel
        self.wake = wake
        self.queue = queue
        self.generation = generation
        self.ready: deque[Delivery] = deque()
        self._unsettled: dict[int, None] = {}
        """Tags that the broker waits for, in the order in which they came; those in `ready` included."""
        self._consumer = f"tidegate-{generation}"
        self._consuming = False
        self._restarts = 0
        self.lost: str | None = None
        self._method: tuple[int, bool, bool] = (0, False, False)
        self._headers: dict[str, str] = {}
        self._message_id = ""
        self._body: list[bytes] = []
        self._missing = 0
        link.attach(channel.number, self)
        channel.on_close(self.fail)
        link.on_lost(self.fail)

    @property
    def handed_out(self) -> int:
        """Deliveries that a receiver has and has not settled."""
        return len(self._unsettled) - len(self.ready)

    @property
    def consuming(self) -> bool:
        """Whether we asked for messages and nobody has ended that."""
        return self._consuming and self.lost is None

    async def start(self, prefetch: int) -> None:
        """Begin to consume. Raises Missing, BrokerLost, BrokerRefused."""
        self._restarts += 1
        self._consumer = f"tidegate-{self.generation}-{self._restarts}"
        self._consuming = True  # before the call: deliveries may come before its answer
        await self._channel.consume(self.queue, self._consumer, prefetch)

    async def halt(self) -> None:
        """Consume no more, and return what nobody has been handed; what is handed out can still be settled."""
        if self._consuming:
            self._consuming = False
            await self._channel.cancel(self._consumer)
        tags = [delivery.tag for delivery in self.ready]
        self.ready.clear()
        self.give_back(tags)

    async def close(self) -> None:
        """Stop consuming, return everything unsettled, close the channel. Does not fail: a lost channel has done it.

        What was returned is ready again, or with another consumer, when this ends.
        """
        try:
            if self.lost is None:
                await self._return_all()
        except BrokerError:
            pass  # the broker returns what a lost channel had
        finally:
            self.fail("closed by us")
            await self._channel.close()

    async def _return_all(self) -> None:
        if self._consuming:
            self._consuming = False
            await self._channel.cancel(self._consumer)
        self.ready.clear()
        if not self._unsettled:
            return
        _, before = await self._channel.look(self.queue)
        self.give_back(list(self._unsettled))
        # a quorum queue takes a return into its log before it counts it, and answers nothing; but it lists a
        # cancelled consumer for as long as that has something unsettled
        for _ in range(_RETURN_LOOKS):
            _, consumers = await self._channel.look(self.queue)
            if consumers < before:
                return

    def fail(self, reason: str) -> None:
        """The consumer is gone; what it had has been given to somebody else. Idempotent."""
        if self.lost is None:
            self.lost = reason
            self.ready.clear()
            self._unsettled.clear()
            self.wake()

    # settling ------------------------------------------------------------------------------------------------

    def acknowledge(self, tags: Sequence[int]) -> bytes:
        """Settle: the frames to write, one for everything up to the first unsettled delivery, one each beyond it."""
        unsettled = self._unsettled
        mine = [tag for tag in tags if tag in unsettled]
        if not mine:
            return b""
        for tag in mine:
            del unsettled[tag]
        first_open = next(iter(unsettled), None)
        number = self._channel.number
        if first_open is None:
            return wire.acknowledge(number, max(mine), True)
        below = [tag for tag in mine if tag < first_open]
        frames = [wire.acknowledge(number, tag, False) for tag in mine if tag > first_open]
        if below:
            frames.append(wire.acknowledge(number, max(below), True))
        return b"".join(frames)

    def hand_again(self, deliveries: Sequence[Delivery]) -> None:
        """Put before everything that came later, to be handed out again.

        Returned to the broker they would come back behind what it has sent ahead (order!), and count as failed.
        """
        mine = [msgspec.structs.replace(d, redelivered=True) for d in deliveries if d.tag in self._unsettled]
        self.ready = deque(sorted((*mine, *self.ready), key=_tag))

    def give_back(self, tags: Sequence[int]) -> None:
        """Return to the queue, in order."""
        mine = sorted(tag for tag in tags if tag in self._unsettled)
        for tag in mine:
            del self._unsettled[tag]
        self._link.write(b"".join(wire.give_back(self._channel.number, tag) for tag in mine))

    def discard(self, tag: int) -> None:
        """Reject for good: the queue dead-letters the message."""
        if self._unsettled.pop(tag, self) is None:
            self._link.write(wire.discard(self._channel.number, tag))

    # arriving ------------------------------------------------------------------------------------------------

    def take(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Put a delivery together from its frames."""
        if kind == wire.METHOD:
            method = int.from_bytes(data[start : start + 4], "big")
            if method == wire.DELIVER:
                at = start + 5 + data[start + 4]  # behind the consumer tag
                tag, again = unpack_from(">QB", data, at)
                self._method = tag, bool(again & 1), data[at + 9] == 0
                return True
            if method == wire.CANCEL:
                self.fail(f"the broker ended our consumer of {self.queue}: the queue was deleted or has moved")
            return False
        if kind == wire.HEADER:
            self._missing = unpack_from(">Q", data, start + 4)[0]
            self._headers = {}
            self._message_id = wire.properties(data, start + 12, self._headers)
            if not self._missing:
                self._complete(b"")
            return True
        if kind == wire.BODY:
            part = data[start:end]
            self._missing -= len(part)
            if self._missing > 0:
                self._body.append(part)
            elif self._body:
                self._body.append(part)
                self._complete(b"".join(self._body))
                self._body = []
            else:
                self._complete(part)
            return True
        return False

    def _complete(self, body: bytes) -> None:
        if self.lost is not None:
            return
        tag, again, direct = self._method
        headers = self._headers
        message_id = headers.pop(wire.ID_HEADER, None) or self._message_id
        if not direct:
            headers.pop(ITEM_HEADER, None)  # only what we sent to the queue ourselves names a row of our store
        self._unsettled[tag] = None
        self.ready.append(Delivery(self.queue, tag, message_id, body, headers, again, self.generation))
        self.wake()
