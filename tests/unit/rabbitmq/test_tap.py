"""The tap takes whole message frames however the socket cuts them, and leaves everything else untouched."""

import asyncio
import itertools

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.heartbeat import Heartbeat

from broker.rabbitmq import wire
from broker.rabbitmq.tap import TappedReader

pytestmark = pytest.mark.anyio


class Taker:
    """Takes acks and remembers them."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def take(self, kind: int, data: bytes, start: int, end: int) -> bool:
        if kind == wire.METHOD and data[start : start + 4] == b"\x00\x3c\x00\x50":
            self.taken.append(data[start:end])
            return True
        return False


START = pamqp.frame.marshal(commands.Connection.TuneOk(1, 2, 3), 0)
ACKS = [pamqp.frame.marshal(commands.Basic.Ack(tag), 1) for tag in range(1, 6)]
OTHERS = [
    pamqp.frame.marshal(commands.Channel.OpenOk(), 1),
    pamqp.frame.marshal(commands.Basic.Ack(99), 2),  # a channel without a sink
    Heartbeat().marshal(),
    pamqp.frame.marshal(commands.Basic.ConsumeOk("tag"), 1),
]


async def through(data: bytes, cuts: list[int]) -> tuple[list[bytes], bytes]:
    """Feed the data cut at these places; what the sink took and what the library was left."""
    source = asyncio.StreamReader()
    reader = TappedReader(source)
    sink = Taker()
    reader.sinks[1] = sink
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    left = b""
    for start, end in itertools.pairwise(places):
        source.feed_data(data[start:end])
        await asyncio.sleep(0)
        while True:
            pending = asyncio.ensure_future(reader.readexactly(1))
            for _ in range(3):
                await asyncio.sleep(0)
            if not pending.done():
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)
                break
            left += pending.result()
    return sink.taken, left


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_frames_are_split_right_wherever_the_socket_cuts(cuts: list[int]) -> None:
    data = START + ACKS[0] + OTHERS[0] + ACKS[1] + ACKS[2] + OTHERS[1] + OTHERS[2] + ACKS[3] + OTHERS[3] + ACKS[4]
    taken, left = asyncio.run(through(data, cuts))
    assert taken == [ack[7:-1] for ack in ACKS]
    assert left.replace(wire.HEARTBEAT, b"") == START + OTHERS[0] + OTHERS[1] + OTHERS[3]


async def test_the_library_sees_a_sign_of_life_for_what_it_does_not_see() -> None:
    source = asyncio.StreamReader()
    reader = TappedReader(source)
    reader.sinks[1] = Taker()
    source.feed_data(ACKS[0])
    assert await reader.readexactly(8) == wire.HEARTBEAT


async def test_a_frame_with_a_wrong_end_is_left_to_the_library_to_refuse() -> None:
    source = asyncio.StreamReader()
    reader = TappedReader(source)
    sink = Taker()
    reader.sinks[1] = sink
    broken = ACKS[0][:-1] + b"\x00"
    source.feed_data(broken)
    assert await reader.readexactly(len(broken)) == broken
    assert sink.taken == []


async def test_a_peer_of_another_protocol_version_is_left_to_the_library() -> None:
    source = asyncio.StreamReader()
    reader = TappedReader(source)
    source.feed_data(b"AMQP\x00\x01\x00\x00")
    source.feed_eof()
    assert await reader.readexactly(8) == b"AMQP\x00\x01\x00\x00"
    assert reader.at_eof()


async def test_the_end_of_the_stream_is_told_as_the_library_expects() -> None:
    source = asyncio.StreamReader()
    source.feed_data(START[:5])
    source.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await TappedReader(source).readexactly(1)
