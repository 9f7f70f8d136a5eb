"""A tap on the socket under aio-pika: frames that carry messages go straight to us, all others to the library.

The library reads each frame with three awaits and a general decoder, then starts a task for every delivery; that is
most of what a message costs. Here one chunk of the socket is split in one loop, without an await.
"""

from __future__ import annotations

import asyncio
from struct import unpack_from
from typing import Protocol

from broker.rabbitmq import wire

_CHUNK_BYTES = 256 * 1024


class Sink(Protocol):
    """Takes frames of one channel."""

    def take(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Take the payload data[start:end] of a frame; False leaves it to the library. Must not raise."""
        ...


class TappedReader:
    """Looks like the `asyncio.StreamReader` that aiormq reads from, minus the frames that a sink took."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._left = bytearray()
        self._rest = b""
        self._started = False
        self.sinks: dict[int, Sink] = {}

    def at_eof(self) -> bool:
        """Whether nothing will come any more."""
        return not self._left and self._reader.at_eof()

    async def readexactly(self, count: int) -> bytes:
        """The library's next bytes.

        Raises:
            asyncio.IncompleteReadError: the peer closed.
        """
        while len(self._left) < count:
            data = await self._reader.read(_CHUNK_BYTES)
            if not data:
                raise asyncio.IncompleteReadError(bytes(self._left), count)
            self._split(data)
        taken = bytes(self._left[:count])
        del self._left[:count]
        return taken

    async def read(self) -> bytes:
        """Everything until the end; aiormq asks for it when the peer does not speak AMQP."""
        return bytes(self._left) + self._rest + await self._reader.read()

    def _split(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        if not self._started:
            if data[:1] == b"A":  # a protocol header: the peer refuses our version
                self._left += data
                return
            self._started = True
        sinks, left, took = self.sinks, self._left, False
        while end - at >= 8:
            kind, channel, size = unpack_from(">BHI", data, at)
            after = at + 8 + size
            if after > end:
                break
            sink = sinks.get(channel)
            if sink is not None and data[after - 1] == wire.FRAME_END and sink.take(kind, data, at + 7, after - 1):
                took = True
            else:
                left += data[at:after]
            at = after
        self._rest = data[at:]
        if took:
            # the library counts any frame as a sign of life, and the broker sends no heartbeat while it sends messages
            left += wire.HEARTBEAT
