"""A TCP proxy that knows AMQP frames: it cuts, freezes, slices, delays or swallows exactly what a test names.

Frames are told apart by their direction: the same Basic.Ack is `ack` from us and `confirm` from the broker.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_FROM_US = {0x3C0028: "publish", 0x3C0050: "ack", 0x3C0078: "nack"}
_FROM_BROKER = {0x3C0050: "confirm", 0x3C003C: "deliver", 0x3C0032: "return"}
EVENTS = ("publish", "ack", "confirm", "deliver")


@dataclass
class Trap:
    """What happens at a frame: `how` is close, reset or freeze; `sprung` is set when it has happened."""

    event: str
    after: bool = False
    how: str = "close"
    skip: int = 0
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


class Frames:
    """Splits a stream into whole AMQP frames; a protocol header counts as one."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now."""
        data, at, found = self._rest + data, 0, []
        while len(data) - at >= 8:
            size = 8 if data[at : at + 4] == b"AMQP" else 8 + struct.unpack_from(">I", data, at + 3)[0]
            if at + size > len(data):
                break
            found.append(data[at : at + size])
            at += size
        self._rest = data[at:]
        return found


def _event(frame: bytes, names: dict[int, str]) -> str:
    return names.get(struct.unpack_from(">I", frame, 7)[0], "") if frame[0] == 1 and len(frame) >= 11 else ""


class _Pair:
    """One connection of ours with its connection to the broker."""

    def __init__(self, ours: asyncio.StreamWriter, theirs: asyncio.StreamWriter, number: int) -> None:
        self.number = number
        self.ends = (ours, theirs)
        self.frozen = False
        self.open = asyncio.Event()
        self.open.set()
        self.late: dict[asyncio.StreamWriter, deque[bytes]] = {ours: deque(), theirs: deque()}
        self.due = {ours: 0.0, theirs: 0.0}

    def write_late(self, target: asyncio.StreamWriter) -> None:
        """Write the oldest frame that is late: timers of the same instant may go off in any order."""
        target.write(self.late[target].popleft())

    def end(self, how: str) -> None:
        if how == "freeze":
            self.frozen = True
            return
        for writer in self.ends:
            if how == "reset" and (raw := writer.get_extra_info("socket")) is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort() if how == "reset" else writer.close()


class Proxy:
    """Listens on `port`; everything it does applies to connections that are open and to new ones."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._pairs: set[_Pair] = set()
        self._count = 0
        self._pumps: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.trap: Trap | None = None
        self.eaten: set[str] = set()
        """Events whose frames vanish."""
        self._swallowed = 0
        self._robbed = asyncio.Event()
        self.segment_bytes: int | None = None
        """Largest piece written at once."""
        self.latency: Callable[[], float] = lambda: 0.0
        """Seconds that the next frame takes; frames keep their order."""

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Proxy]:
        """Listen for the length of the block."""
        server = await asyncio.start_server(self._accept, host, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.end_all("reset")
            for pump in self._pumps:
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    def set(self, event: str, after: bool = False, how: str = "close", skip: int = 0) -> Trap:
        """Set a trap at the frame after the next `skip` of its kind; it replaces the one before."""
        self.trap = Trap(event, after, how, skip)
        return self.trap

    def end_all(self, how: str) -> None:
        """Close, reset or freeze everything that is open."""
        for pair in tuple(self._pairs):
            pair.end(how)

    @property
    def pairs(self) -> list[_Pair]:
        """The connections, oldest first; `open` of one lets its frames through while it is set."""
        return sorted(self._pairs, key=lambda pair: pair.number)

    def stall(self) -> None:
        """Let nothing through until `flow`."""
        self._open.clear()

    def flow(self) -> None:
        """Let everything through again."""
        self._open.set()

    async def has_swallowed(self, count: int) -> None:
        """Wait until so many frames have vanished."""
        while self._swallowed < count:
            self._robbed.clear()
            await self._robbed.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._count += 1
        pair = _Pair(writer, to_broker, self._count)
        self._pairs.add(pair)
        for source, target, names in ((reader, to_broker, _FROM_US), (from_broker, writer, _FROM_BROKER)):
            pump = asyncio.create_task(self._pump(pair, source, target, names))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, pair: _Pair, source: asyncio.StreamReader, target: asyncio.StreamWriter, names: dict[int, str]
    ) -> None:
        frames = Frames()
        try:
            while data := await source.read(65_536):
                for frame in frames.feed(data):
                    await self._pass(pair, frame, _event(frame, names), target)
        except OSError:
            pass  # one side is gone: so is the other
        finally:
            self._pairs.discard(pair)
            for writer in pair.ends:
                writer.close()

    async def _pass(self, pair: _Pair, frame: bytes, event: str, target: asyncio.StreamWriter) -> None:
        await self._open.wait()
        await pair.open.wait()
        if event in self.eaten:
            self._swallowed += 1
            self._robbed.set()
            return
        trap = self._due(event)
        if trap is not None and not trap.after:
            pair.end(trap.how)
            trap.sprung.set()
        if pair.frozen:
            await asyncio.get_running_loop().create_future()
        if delay := self.latency():
            loop = asyncio.get_running_loop()
            pair.late[target].append(frame)
            pair.due[target] = max(pair.due[target], loop.time() + delay)
            loop.call_at(pair.due[target], pair.write_late, target)
        elif not target.is_closing():
            for at in range(0, len(frame), self.segment_bytes or len(frame)):
                target.write(frame[at : at + (self.segment_bytes or len(frame))])
                await target.drain()
        if trap is not None:
            if trap.after:
                pair.end(trap.how)
            trap.sprung.set()

    def _due(self, event: str) -> Trap | None:
        trap = self.trap
        if trap is None or trap.event != event:
            return None
        trap.skip -= 1
        if trap.skip >= 0:
            return None
        self.trap = None
        return trap
