"""The relay: what transactions left in the outbox goes to the broker, in order, and stays here until it is safe.

A row for a queue is deleted by the transaction that handles its message, not before; until then `published_at` says
that a broker has confirmed it (0: a broker had, and has lost it). So everything accepted is still in our store when
a broker comes back empty, and is published again. A row for an exchange ends with its confirm: nobody of ours
settles it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiolimiter import AsyncLimiter
from sqlalchemy import or_, select

from broker.brakes import Brakes
from broker.order import ITEM_HEADER
from broker.port import Broker, BrokerError, NotTaken, Outgoing
from broker.store import schema as s
from broker.store.reads import QueueRecord
from broker.store.store import Store
from broker.store.unit import Committed, Unit
from policies.restarts import Backoff

BATCH_ROWS = 2_000
"""Rows that are read and published together; enough to give each of hundreds of queues some in a row."""
REPUBLISH_PER_SECOND = 4_000
"""How fast what a broker has lost is published again: it has just come back, and its other clients with it. About a
third of what it takes in all (the benchmark page)."""
_ON_ITS_WAY_SECONDS = 1.0
"""How long a broker that is there may take to answer what was sent, before it is given up."""
_NS = 1_000_000_000
_headers = msgspec.json.Decoder(dict[str, str])
_item = s.queue_item.c
_unpublished = or_(_item.published_at.is_(None), _item.published_at == 0)


class Relay:
    """Publishes the outbox. `run` is an actor's body; one relay for one store.

    `now` gives microseconds since the epoch, `random` a number in [0, 1).
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        now: Callable[[], int],
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._broker = broker
        self._now = now
        self._random = random
        self._sleep = sleep
        self._backoff = Backoff(cap_ns=5 * _NS)
        self._position = 0
        self._epoch = 0
        self._more = asyncio.Event()
        self._brakes = Brakes(random, sleep, self._more.set)
        self._round = asyncio.Lock()
        """Held from the sending of rows to the record of their confirms."""
        self._sending: asyncio.Future[Sequence[QueueRecord]] | None = None
        self._remembered = asyncio.Event()
        """Not set while `forget` is at work: what comes after a lost message must not be published before it."""
        self._remembered.set()
        self._polite = AsyncLimiter(REPUBLISH_PER_SECOND, 1)
        self.problem: BrokerError | None = None
        """Why something, or everything, is not published at the moment; None when all is."""
        self.published = 0

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Publish until cancelled; cancelled in the middle, the same rows are published again at the next start.

        Raises:
            StoreUnavailable: the store cannot be written.
        """
        self._store.watch(self._follow)
        try:
            self._position = 0
            self._brakes.release()
            rows: Sequence[QueueRecord] = ()
            epoch = self._epoch
            while True:
                beat()
                await self._remembered.wait()
                if epoch != self._epoch:
                    epoch, rows = self._epoch, ()
                if not rows:
                    self._more.clear()
                    rows = await self._read()
                if not rows:
                    await self._more.wait()
                    continue
                async with self._round:
                    if epoch == self._epoch:
                        taken = await self._publish(rows, epoch)
                        rows = await self._mark(rows, taken, epoch)
                    else:
                        rows = ()
        finally:
            self._brakes.release()
            self._store.unwatch(self._follow)

    def _follow(self, unit: Unit, _committed: Committed) -> None:
        if unit.items or unit.accepts:
            self._more.set()

    async def _read(self) -> Sequence[QueueRecord]:
        self._position = self._brakes.position(self._position)
        query = select(s.queue_item).where(_item.seq > self._position, _unpublished)
        if held := self._brakes.held:
            query = query.where(or_(_item.exchange != "", _item.queue.not_in(held)))
        query = query.order_by(_item.seq).limit(BATCH_ROWS)
        return [QueueRecord(*row) for row in await self._store.reads.rows(query)]

    async def _publish(self, rows: Sequence[QueueRecord], epoch: int) -> list[QueueRecord]:
        """Until each is confirmed or refused by its queue, or `forget` was called. Returns those confirmed.

        After a failure in smaller parts: on a slow line a large one may never be through in time.
        """
        left = self._brakes.free(rows)
        taken: list[QueueRecord] = []
        attempt, size = 0, len(left)
        while left and epoch == self._epoch:
            part = left[:size]
            self._sending = asyncio.ensure_future(self._send(part))
            try:
                await asyncio.wait({self._sending})
                if self._sending.cancelled():
                    break  # by `forget`
                stored = self._sending.result()
            except BrokerError as error:
                self.problem = error
                attempt += 1
                size = max(size // 2, 1)
                await self._sleep(self._backoff.delay_ns(attempt, self._random()) / _NS)
            else:
                self.published += len(stored)
                taken += stored
                left = self._brakes.free(left[size:])
                attempt, size = 0, size * 2
            finally:
                self._sending.cancel()
        return taken

    async def _send(self, rows: Sequence[QueueRecord]) -> Sequence[QueueRecord]:
        """Publish once; those that are stored. The queues of the others are held."""
        if again := sum(row.published_at == 0 for row in rows):
            await self._polite.acquire(again)
        try:
            await self._broker.publish([_outgoing(row) for row in rows])
        except NotTaken as refusal:
            self.problem = refusal
            refused = set(refusal.refused)
            rows_taken = [row for at, row in enumerate(rows) if at not in refused]
            self._brakes.took(rows_taken)
            self._brakes.hold(rows[at] for at in refusal.refused)
            return rows_taken
        self._brakes.took(rows)
        if not self._brakes.held:
            self.problem = None
        return rows

    async def _mark(
        self, rows: Sequence[QueueRecord], taken: Sequence[QueueRecord], epoch: int
    ) -> Sequence[QueueRecord]:
        """Record the confirms, and read on meanwhile."""
        if epoch != self._epoch:
            return ()  # the broker lost its queues meanwhile: these rows are published again
        self._position = rows[-1].seq
        unit = Unit(
            self._now(),
            settled=[row.seq for row in taken if row.exchange],
            published=[row.seq for row in taken if not row.exchange],
        )
        if self._brakes.moved:  # what is read on goes back before these rows: their marks must be there first
            await self._store.commit(unit)
            following = await self._read()
        else:
            _, following = await asyncio.gather(self._store.commit(unit), self._read())
        return following if epoch == self._epoch else ()

    @asynccontextmanager
    async def forget(self, queues: Sequence[str]) -> AsyncIterator[None]:
        """These queues are gone with what was in them: publish it again, once they are made again in the block.

        When the block begins, that is durable, and nothing is on its way until it ends: a message sent in between
        would arrive before those that were lost. Handled messages are not touched: their rows are gone.
        """
        self._epoch += 1
        self._remembered.clear()
        try:
            if self._sending is not None and not self._sending.done():
                await asyncio.wait({self._sending}, timeout=_ON_ITS_WAY_SECONDS)
                self._sending.cancel()
            async with self._round:
                await self._forget(queues)
            yield
        finally:
            self._remembered.set()

    async def _forget(self, queues: Sequence[str]) -> None:
        query = select(_item.seq).where(_item.queue.in_(queues), _item.exchange == "", _item.published_at > 0)
        lost = [row[0] for row in await self._store.reads.rows(query)]
        for start in range(0, len(lost), BATCH_ROWS):
            await self._store.commit(Unit(0, published=lost[start : start + BATCH_ROWS]))
        self._position = 0
        self._brakes.release()
        self._more.set()

    async def republish(self) -> None:
        """Publish again everything that nobody has handled yet, in order."""
        names = await self._store.reads.rows(select(_item.queue).where(_item.exchange == "").distinct())
        async with self.forget([row[0] for row in names]):
            pass


def _outgoing(row: QueueRecord) -> Outgoing:
    headers = _headers.decode(row.headers) if row.headers != "{}" else {}
    if not row.exchange:
        headers[ITEM_HEADER] = str(row.seq)
    return Outgoing(row.message_id, row.body, row.queue, row.exchange, headers)
