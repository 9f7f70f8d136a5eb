"""Who waits behind a call that is with a person, where its workflow has later calls of the key wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from broker.store.operators import OperatorReads
from broker.store.reads import Reads
from broker.store.rows import Call

NAMED_MAX = 5


async def behind(reads: Reads, call: Call) -> str:
    """A sentence about those that wait behind the call, or the empty text.

    Raises:
        TimeoutError: the store took too long to answer.
    """
    if call.status != "exception" or not call.open:
        return ""
    count, keys = await OperatorReads(reads).followers(call, NAMED_MAX)
    return told(count, keys)


def told(count: int, keys: Sequence[str]) -> str:
    """So many wait, the first of them by name."""
    if not count:
        return ""
    more = f" and {count - len(keys)} more" if count > len(keys) else ""
    verb = "waits" if count == 1 else "wait"
    return f" Behind it {verb}, to keep the order of the account: {', '.join(keys)}{more}."
