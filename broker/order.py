"""Order of a key over a broker that does not keep it.

A quorum queue puts returned messages behind those that were returned before, so after a restart the messages of a key
can come in any order. But every message that is not handled yet still has its outbox row here, with its number: what
should have come first is taken from the store, and the copy that the broker delivers later is a duplicate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from broker.port import Delivery
from broker.store.reads import QueueRecord, Reads

ITEM_HEADER = "tidegate-item"
"""Number of the outbox row, in the headers of its message."""
EARLIER_MAX = 1_000
"""Messages of one queue that are taken from the store at once."""
_headers = msgspec.json.Decoder(dict[str, str])


def item_of(delivery: Delivery) -> int | None:
    """The number of the message's outbox row, if it has one."""
    text = delivery.headers.get(ITEM_HEADER, "")
    return int(text) if text.isdecimal() else None


async def in_order(
    reads: Reads, deliveries: Sequence[tuple[Delivery, str, str]]
) -> tuple[list[Delivery], list[Delivery]]:
    """Deliveries in the order of acceptance, with what is missing before them.

    Each comes with its partition key and the queue in which that key is at home: after a change of the number of
    partitions a message may still come from another one.

    The second list holds deliveries that have to wait for another round, because too much stands before them.

    Raises:
        TimeoutError: the store took too long to answer.
    """
    queues: dict[str, list[tuple[Delivery, str]]] = defaultdict(list)
    for delivery, key, home in deliveries:
        queues[home].append((delivery, key))
    ordered: list[Delivery] = []
    waiting: list[Delivery] = []
    for queue, entries in queues.items():
        mine = sorted((delivery for delivery, _ in entries), key=lambda delivery: item_of(delivery) or 0)
        present = {delivery.message_id for delivery in mine}
        keys = {key for _, key in entries}
        found = await reads.earlier_items(queue, keys, item_of(mine[-1]) or 0, EARLIER_MAX)
        missing = [_from_store(record) for record in found if record.message_id not in present]
        if len(found) == EARLIER_MAX:
            ordered += missing
            waiting += mine
        else:
            ordered += sorted((*missing, *mine), key=lambda delivery: item_of(delivery) or 0)
    return ordered, waiting


def _from_store(record: QueueRecord) -> Delivery:
    headers = {**_headers.decode(record.headers), ITEM_HEADER: str(record.seq)}
    return Delivery(record.queue, 0, record.message_id, record.body, headers, redelivered=True, generation=-1)
