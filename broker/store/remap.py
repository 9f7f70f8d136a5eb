"""Moving what waits when the number of partitions changes: one transaction, before anything runs.

Order is kept per key, within a domain and lane. A key that moves takes its waiting messages along: their rows name the
new queue from then on, and count as not published, so they are published there, in order. Copies in the old queue are
recognised as duplicates, or bring their predecessors with them (`broker/order.py`).
"""

from __future__ import annotations

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from policies.partitions import PartitionMap

NAME = "partition_map"
_WAITING = text("SELECT seq, dedupe, tenant, partition_key, queue FROM message WHERE handled_at IS NULL")
_MOVE_MESSAGE = "UPDATE message SET queue = ? WHERE seq = ?"
_MOVE_ITEM = (
    "UPDATE queue_item SET queue = ?, published_at = CASE WHEN published_at IS NULL THEN NULL ELSE 0 END "
    "WHERE exchange = '' AND queue = ? AND message_id = ?"
)
_ITEM_INDEX = "CREATE INDEX IF NOT EXISTS queue_item_message ON queue_item (message_id)"


def known(value: str | None, partitions: int) -> PartitionMap:
    """The map that the store knows; a store without one has always had today's number."""
    return msgspec.json.decode(value, type=PartitionMap) if value else PartitionMap(1, partitions, partitions)


async def move(connection: AsyncConnection, spread: PartitionMap) -> int:
    """Lead every message that nobody has handled to its queue under the map; how many moved.

    `seq` keeps the order of acceptance, so they stand in the new queue as they were accepted.
    """
    messages: list[tuple[str, int]] = []
    items: list[tuple[str, str, str]] = []
    for seq, dedupe, tenant, key, queue in (await connection.execute(_WAITING)).all():
        target = spread.moved(queue, f"{tenant}/{key}")
        if target != queue:
            messages.append((target, seq))
            items.append((target, queue, dedupe))
    if messages:
        await connection.exec_driver_sql(_ITEM_INDEX)
        await connection.exec_driver_sql(_MOVE_MESSAGE, messages)
        await connection.exec_driver_sql(_MOVE_ITEM, items)
    return len(messages)
