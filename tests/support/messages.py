"""Small messages for the broker suites."""

from collections.abc import Iterable

from broker.port import Broker, Delivery, Outgoing, Queue, QueueStatistics, Subscription, Topology


def outgoing(queue: str, *ids: str, exchange: str = "") -> list[Outgoing]:
    """A message for each id; its body tells its id."""
    return [Outgoing(id, f"body of {id}".encode(), queue, exchange) for id in ids]


def numbered(queue: str, count: int) -> list[Outgoing]:
    """Messages m0, m1, ..."""
    return outgoing(queue, *(f"m{n}" for n in range(count)))


def ids(deliveries: Iterable[Delivery]) -> list[str]:
    """The business ids, in the order given."""
    return [delivery.message_id for delivery in deliveries]


async def with_queues(broker: Broker, *names: str) -> None:
    """Declare plain queues."""
    await broker.declare(Topology((), tuple(Queue(name) for name in names)))


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    """Receive exactly so many."""
    taken: list[Delivery] = []
    while len(taken) < count:
        taken += await subscription.receive(count - len(taken))
    return taken


async def drain(broker: Broker, queue: str, count: int) -> list[Delivery]:
    """Receive and acknowledge so many."""
    async with broker.subscribe([queue], prefetch=max(count, 1)) as subscription:
        taken = await take(subscription, count)
        await subscription.acknowledge(taken)
    return taken


async def figures(broker: Broker, queue: str) -> QueueStatistics:
    """What the broker says of one queue."""
    return next(row for row in await broker.statistics() if row.queue == queue)
