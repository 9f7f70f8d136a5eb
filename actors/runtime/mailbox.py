"""A bounded mailbox: a full one makes the sender wait, and nothing is ever dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class MailboxStatistics(msgspec.Struct, frozen=True):
    """How full the mailbox is, was at most, and how often a sender had to wait."""

    size: int
    capacity: int
    peak: int
    waits: int


class Mailbox(Generic[T]):
    """First in, first out, for one receiver and any number of senders of one loop."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox holds at least 1 message, not {capacity}")
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._peak = 0
        self._waits = 0

    async def put(self, item: T) -> None:
        """Add, waiting for room. Cancelled while waiting, nothing was added."""
        self._waits += len(self._items) >= self._capacity
        while len(self._items) >= self._capacity:
            self._room.clear()
            await self._room.wait()
        self._add(item)

    def offer(self, item: T) -> bool:
        """Add if there is room at once; whether it was added."""
        if len(self._items) >= self._capacity:
            return False
        self._add(item)
        return True

    def _add(self, item: T) -> None:
        self._items.append(item)
        self._peak = max(self._peak, len(self._items))
        self._filled.set()

    async def get(self) -> T:
        """Take the oldest, waiting for one. Cancelled while waiting, nothing was taken."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        self._room.set()
        return item

    def statistics(self) -> MailboxStatistics:
        """How full it is."""
        return MailboxStatistics(len(self._items), self._capacity, self._peak, self._waits)
