"""A queue that refuses messages holds up itself and nothing else, and what it took is not sent to it again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker import relay as module
from broker.port import BrokerLost, NotTaken, Outgoing
from broker.relay import Relay
from broker.store.rows import QueueRow
from broker.store.store import Store
from broker.store.unit import Unit
from tests.support.loops import steps, until
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


class Narrow:
    """Stores what it has room for; each queue has its own room."""

    def __init__(self, **room: int) -> None:
        self.room = Counter(room)
        self.stored: list[str] = []
        self.sent: Counter[str] = Counter()
        self.calls: list[int] = []
        self.away = 0

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """As the port says."""
        await steps(1)
        self.calls.append(len(messages))
        if self.away:
            self.away -= 1
            raise BrokerLost("away")
        refused = []
        for position, message in enumerate(messages):
            self.sent[message.message_id] += 1
            if self.room[message.routing_key] > 0:
                self.room[message.routing_key] -= 1
                self.stored.append(message.message_id)
            else:
                refused.append(position)
        if refused:
            raise NotTaken(refused, messages[refused[0]].routing_key)


class Rest:
    """A sleep that lasts until the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._over.wait()

    def end(self) -> None:
        """Wake everybody who sleeps now."""
        self._over.set()
        self._over = asyncio.Event()


@asynccontextmanager
async def relaying(place: Path, broker: Any) -> AsyncIterator[tuple[Relay, Store, Rest]]:
    """A relay at work."""
    rest = Rest()
    with anyio.fail_after(20):
        async with running_store(place) as store:
            relay = Relay(store, broker, lambda: 1, lambda: 0.5, rest)
            task = asyncio.create_task(relay.run())
            try:
                yield relay, store, rest
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def put(store: Store, *names: str) -> None:
    """Rows in the outbox: `full-1` is a message for the queue `full`."""
    rows = [QueueRow("", name.partition("-")[0], name, "{}", b"") for name in names]
    await store.commit(Unit(1, items=rows))


def numbered(queue: str, count: int) -> list[str]:
    """So many names of messages for the queue."""
    return [f"{queue}-{number}" for number in range(count)]


async def test_the_others_go_on_while_a_full_queue_waits(tmp_path: Path) -> None:
    broker = Narrow(full=2, free=100)
    async with relaying(tmp_path, broker) as (relay, store, _rest):
        await put(store, *numbered("full", 5), *numbered("free", 5))
        await until(lambda: len(broker.stored) == 7)
        await put(store, "free-later", "full-later")
        await until(lambda: "free-later" in broker.stored)
        assert isinstance(relay.problem, NotTaken)
        assert "full" in str(relay.problem)
        assert broker.sent["full-later"] == 0, "nothing may pass what was refused"


async def test_only_what_was_refused_is_sent_again_and_in_order(tmp_path: Path) -> None:
    broker = Narrow(full=2, free=100)
    async with relaying(tmp_path, broker) as (relay, store, rest):
        await put(store, *numbered("full", 6), *numbered("free", 3))
        await until(lambda: len(broker.stored) == 5 and bool(rest.asked))
        await put(store, "full-6")
        broker.room["full"] = 100
        rest.end()
        await until(lambda: "full-6" in broker.stored)
        assert [name for name in broker.stored if name.startswith("full")] == numbered("full", 7)
        assert max(broker.sent[name] for name in broker.stored) == 2
        assert broker.sent["full-0"] == broker.sent["free-2"] == 1
        await until(lambda: relay.problem is None)


async def test_a_queue_that_stays_full_is_asked_less_and_less_often(tmp_path: Path) -> None:
    broker = Narrow(full=0)
    async with relaying(tmp_path, broker) as (_relay, store, rest):
        await put(store, *numbered("full", 3))
        for number in range(1, 9):
            await until(lambda number=number: len(rest.asked) == number)
            rest.end()
    assert rest.asked[:8] == sorted(rest.asked[:8])
    assert rest.asked[7] > 2


async def test_nothing_is_left_behind_when_the_broker_loses_its_queues_while_one_is_held(tmp_path: Path) -> None:
    broker = Narrow(full=1, free=100)
    async with relaying(tmp_path, broker) as (relay, store, _rest):
        await put(store, *numbered("full", 3), *numbered("free", 2))
        await until(lambda: len(broker.stored) == 3)
        broker.stored.clear()
        broker.room.update(full=100)
        async with relay.forget(["full", "free"]):
            pass
        await until(lambda: len(broker.stored) == 5)
        assert broker.stored == [*numbered("full", 3), *numbered("free", 2)]


async def test_after_a_loss_what_was_on_its_way_is_sent_again_in_smaller_parts(tmp_path: Path) -> None:
    broker = Narrow(q=1_000)
    broker.away = 2
    async with relaying(tmp_path, broker) as (_relay, store, rest):
        await put(store, *numbered("q", 8))
        for number in (1, 2):
            await until(lambda number=number: len(rest.asked) == number)
            rest.end()
        await until(lambda: len(broker.stored) == 8)
    assert broker.calls == [8, 4, 2, 4, 2]
    assert broker.stored == numbered("q", 8)


async def test_what_a_broker_has_lost_is_published_again_at_a_bounded_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[float] = []

    class Counting:
        def __init__(self, rate: float, seconds: float) -> None:
            assert (rate, seconds) == (module.REPUBLISH_PER_SECOND, 1)

        async def acquire(self, amount: float) -> None:
            taken.append(amount)

    monkeypatch.setattr(module, "AsyncLimiter", Counting)
    broker = Narrow(q=10_000)
    async with relaying(tmp_path, broker) as (relay, store, _rest):
        await put(store, *numbered("q", 2_500))
        await until(lambda: relay.published == 2_500)
        assert taken == [], "what is new is not held back"
        await store.commit(Unit(1))  # the last marks are written
        await relay.republish()
        await until(lambda: relay.published == 5_000)
    assert sum(taken) == 2_500
    assert max(taken) <= module.BATCH_ROWS <= module.REPUBLISH_PER_SECOND
