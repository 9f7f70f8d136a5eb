"""What every engine promises about publishing, routing and handing out."""

import anyio
import pytest

from broker.port import MESSAGE_BYTES_MAX, MessageTooLarge, Outgoing, Queue, Topology, Unroutable
from broker.store.fold import Conflict
from broker.store.rows import Handled
from broker.store.unit import Unit
from tests.contract.engines import EngineCase, World
from tests.support.messages import drain, figures, ids, numbered, outgoing, take, with_queues

pytestmark = pytest.mark.anyio


async def test_declaring_twice_changes_nothing(world: World) -> None:
    topology = Topology(("events",), (Queue("q", (("events", "a.#"),)),))
    await world.broker.declare(topology)
    await world.broker.publish(outgoing("q", "first"))
    await world.broker.declare(topology)
    await world.broker.publish(outgoing("a.b", "second", exchange="events"))
    assert ids(await drain(world.broker, "q", 2)) == ["first", "second"]


async def test_what_was_confirmed_is_there_after_reopening(engine: EngineCase, tmp_path) -> None:
    async with engine.opened(tmp_path) as world:
        await with_queues(world.broker, "q")
        await world.broker.publish(numbered("q", 3))
    async with engine.opened(tmp_path) as world:
        await with_queues(world.broker, "q")
        assert ids(await drain(world.broker, "q", 3)) == ["m0", "m1", "m2"]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "b.a", "a.bb"]),
        ("a.*", ["a.b", "a.c"], ["a", "a.b.c"]),
        ("*.b", ["a.b"], ["b", "a.a.b"]),
        ("a.#", ["a", "a.b", "a.b.c"], ["b.a", "ab"]),
        ("#", ["a", "a.b.c"], []),
        ("#.b", ["b", "a.b", "a.a.b"], ["b.a"]),
        ("a.#.c", ["a.c", "a.b.c", "a.b.b.c"], ["a", "a.b"]),
        ("*.#", ["a", "a.b"], []),
    ],
)
async def test_messages_are_routed_by_topic(world: World, pattern: str, matching: list[str], others: list[str]) -> None:
    await world.broker.declare(Topology(("events",), (Queue("q", (("events", pattern),)), Queue("end"))))
    for key in [*matching, *others]:
        await world.broker.publish([Outgoing(f"to {key}", b"", key, "events")])
    await world.broker.publish(outgoing("q", "end"))
    assert ids(await drain(world.broker, "q", len(matching) + 1)) == [f"to {key}" for key in matching] + ["end"]


async def test_two_matching_bindings_deliver_once_to_a_queue_and_once_to_each_queue(world: World) -> None:
    bindings = (("events", "a.#"), ("events", "#.b"))
    await world.broker.declare(Topology(("events",), (Queue("one", bindings), Queue("two", bindings[:1]))))
    await world.broker.publish([Outgoing("m", b"", "a.b", "events")])
    assert ids(await world.broker.peek("one", 5)) == ["m"]
    assert ids(await world.broker.peek("two", 5)) == ["m"]


async def test_bindings_of_another_exchange_do_not_count(world: World) -> None:
    await world.broker.declare(Topology(("one", "two"), (Queue("q", (("one", "#"),)),)))
    await world.broker.publish(outgoing("a", "elsewhere", exchange="two"))
    await world.broker.publish(outgoing("a", "here", exchange="one"))
    assert ids(await drain(world.broker, "q", 1)) == ["here"]


async def test_a_queue_that_is_not_there_is_unroutable(world: World) -> None:
    with pytest.raises(Unroutable, match="nowhere") as refusal:
        await world.broker.publish(outgoing("nowhere", "m"))
    assert (refusal.value.exchange, refusal.value.routing_key) == ("", "nowhere")
    assert refusal.value.retry


async def test_an_exchange_without_a_matching_binding_stores_nothing_and_is_no_error(world: World) -> None:
    await world.broker.declare(Topology(("events",), (Queue("q", (("events", "a"),)),)))
    await world.broker.publish(outgoing("b", "lost on purpose", exchange="events"))
    await world.broker.publish(outgoing("a", "kept", exchange="events"))
    assert ids(await drain(world.broker, "q", 1)) == ["kept"]
    assert (await figures(world.broker, "q")).ready == 0


async def test_a_message_that_is_too_large_is_refused_before_anything_is_sent(world: World) -> None:
    await with_queues(world.broker, "q")
    too_large = Outgoing("big", b"x" * (MESSAGE_BYTES_MAX + 1), "q")
    with pytest.raises(MessageTooLarge, match="big") as refusal:
        await world.broker.publish([*outgoing("q", "small"), too_large])
    assert not refusal.value.retry
    with pytest.raises(MessageTooLarge):
        world.broker.outbox([too_large])
    await world.broker.publish([Outgoing("just fits", b"x" * MESSAGE_BYTES_MAX, "q")])
    assert ids(await world.broker.peek("q", 5)) == ["just fits"]


async def test_ids_headers_and_bodies_come_back_as_they_were(world: World) -> None:
    await with_queues(world.broker, "q")
    headers = {"ce-type": "billing.credit.approved", "name": 'Zoë "Ω" \\ \n', "empty": ""}
    sent = [Outgoing("id with spaces/and:more", bytes(range(256)), "q", headers=headers), Outgoing("bare", b"", "q")]
    await world.broker.publish(sent)
    got = await drain(world.broker, "q", 2)
    assert [(d.message_id, d.body, d.headers, d.queue) for d in got] == [
        (m.message_id, m.body, m.headers, "q") for m in sent
    ]
    assert not got[0].redelivered


async def test_the_same_business_id_may_be_in_flight_twice(world: World) -> None:
    await with_queues(world.broker, "one", "two")
    async with anyio.create_task_group() as tasks:
        for queue in ("one", "two", "one"):
            tasks.start_soon(world.broker.publish, outgoing(queue, "same"))
    assert ids(await drain(world.broker, "one", 2)) == ["same", "same"]
    assert ids(await drain(world.broker, "two", 1)) == ["same"]


async def test_publishing_nothing_is_allowed(world: World) -> None:
    await world.broker.publish([])


async def test_deliveries_come_in_the_order_of_publishing(world: World) -> None:
    await with_queues(world.broker, "q")
    for start in range(0, 60, 20):
        await world.broker.publish(outgoing("q", *(f"m{n}" for n in range(start, start + 20))))
    async with world.broker.subscribe(["q"], prefetch=100) as subscription:
        assert ids(await take(subscription, 60)) == [f"m{n}" for n in range(60)]


async def test_outbox_rows_are_published_when_their_transaction_commits(world: World) -> None:
    await world.broker.declare(Topology(("events",), (Queue("q", (("events", "a"),)), Queue("direct"))))
    rows = world.broker.outbox([*outgoing("a", "first", exchange="events"), *outgoing("direct", "second")])
    await world.store.commit(Unit(1, items=list(rows)))
    assert ids(await drain(world.broker, "q", 1)) == ["first"]
    assert ids(await drain(world.broker, "direct", 1)) == ["second"]


async def test_outbox_rows_of_a_transaction_that_fails_are_never_published(world: World) -> None:
    await with_queues(world.broker, "q")
    doomed = Unit(1, items=list(world.broker.outbox(outgoing("q", "doomed"))), handled=[Handled("unknown", 1, "done")])
    with pytest.raises(Conflict):
        await world.store.commit(doomed)
    await world.store.commit(Unit(1, items=list(world.broker.outbox(outgoing("q", "good")))))
    assert ids(await drain(world.broker, "q", 1)) == ["good"]


async def test_an_outbox_row_for_a_queue_that_is_not_there_is_refused_before_the_transaction(world: World) -> None:
    with pytest.raises(Unroutable, match="nowhere"):
        world.broker.outbox(outgoing("nowhere", "m"))
