"""Our frames are read by the library as meant, and the library's by us."""

import datetime
from decimal import Decimal
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from broker.rabbitmq import wire

FRAME_MAX = 131_072
short = st.text(max_size=60)
names = st.text(max_size=30)  # the library cuts names of more than 128 bytes
texts = st.dictionaries(
    names.filter(lambda name: not name.startswith(("tidegate-", "content-"))), st.text(max_size=200)
)


def frames(data: bytes) -> list[Any]:
    """All frames in the data, read by the library."""
    found = []
    while data:
        size, _, frame = pamqp.frame.unmarshal(data)
        found.append(frame)
        data = data[size:]
    return found


@given(short, short, st.booleans())
def test_the_library_reads_our_publish(exchange: str, routing_key: str, mandatory: bool) -> None:
    (frame,) = frames(wire.publish_method(7, exchange, routing_key, mandatory))
    assert isinstance(frame, Basic.Publish)
    assert (frame.exchange, frame.routing_key, frame.mandatory) == (exchange, routing_key, mandatory)


@given(st.text(max_size=100), texts, st.binary(max_size=300))
def test_the_library_reads_our_content(message_id: str, headers: dict[str, str], body: bytes) -> None:
    head, *bodies = frames(wire.content(3, b"attempt-1", message_id, headers, body, FRAME_MAX))
    assert head.body_size == len(body)
    assert b"".join(part.value for part in bodies) == body
    assert head.properties.headers == {"tidegate-id": message_id, **headers}
    assert (head.properties.delivery_mode, head.properties.message_id) == (2, "attempt-1")
    assert head.properties.content_type == wire.CLOUDEVENT


@pytest.mark.parametrize("size", [0, 1, 4087, 4088, 4089, 10_000])
def test_a_large_body_is_cut_into_frames_that_fit(size: int) -> None:
    head, *bodies = frames(wire.content(1, b"a", "m", {}, b"x" * size, 4096))
    assert head.body_size == size == sum(len(part.value) for part in bodies)
    assert all(len(part.value) <= 4088 for part in bodies)


def test_the_library_reads_our_settlements() -> None:
    ack, many, nack, dead = frames(
        wire.acknowledge(1, 5, False) + wire.acknowledge(1, 9, True) + wire.give_back(1, 6) + wire.discard(1, 7)
    )
    assert (ack.delivery_tag, ack.multiple, many.delivery_tag, many.multiple) == (5, False, 9, True)
    assert (nack.delivery_tag, nack.multiple, nack.requeue) == (6, False, True)
    assert (dead.delivery_tag, dead.multiple, dead.requeue) == (7, False, False)


def read(properties: Basic.Properties) -> tuple[str, dict[str, str]]:
    """What we read from properties that the library wrote."""
    headers: dict[str, str] = {}
    data = ContentHeader(body_size=1, properties=properties).marshal()
    return wire.properties(data, 12, headers), headers


@given(texts, short.filter(bool))
def test_we_read_texts_as_the_library_writes_them(headers: dict[str, str], message_id: str) -> None:
    assert read(Basic.Properties(headers=dict(headers), message_id=message_id)) == (message_id, headers)


def test_we_skip_what_we_do_not_carry_and_read_what_follows() -> None:
    headers = {
        "nested": {"a": [1, {"b": None}]},
        "when": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "money": Decimal("1.5"),
        "real": 1.5,
        "none": None,
        "raw": bytearray(b"\xff"),
        "small": 1,
        "large": 2**62,
        "no": False,
        "last": "read",
    }
    got = read(Basic.Properties(content_type="a/b", headers=headers, priority=1, correlation_id="c", message_id="m"))
    assert got == ("m", {"content-type": "a/b", "small": "1", "large": str(2**62), "no": "false", "last": "read"})


@given(st.binary(max_size=80))
def test_no_bytes_make_the_reading_of_properties_fail(data: bytes) -> None:
    wire.properties(data, 0, {})


@pytest.mark.parametrize("headers", [{"k": "x" * wire.HEADER_BYTES_MAX}, {"k" * 129: "v"}, {"content-type": "c" * 256}])
def test_headers_over_their_limits_are_malformed(headers: dict[str, str]) -> None:
    with pytest.raises(wire.Malformed):
        wire.content(1, b"a", "m", headers, b"", FRAME_MAX)


def test_an_address_over_its_limit_is_malformed() -> None:
    with pytest.raises(wire.Malformed, match="255"):
        wire.publish_method(1, "", "é" * 128, False)


def test_a_body_frame_of_the_library_is_what_we_expect() -> None:
    assert pamqp.frame.marshal(ContentBody(b"abc"), 2) == b"\x03\x00\x02\x00\x00\x00\x03abc\xce"
