"""The few AMQP 0-9-1 frames that every message costs, read and written by hand; the rest is aio-pika's.

Source of all numbers: AMQP 0-9-1 specification, sections 2.3 (framing) and 4.2 (formats), and RabbitMQ's errata for
the types in field tables. A frame is type (1), channel (2), size (4), payload, 0xCE; a message is three frames:
method, content header, body.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, error, unpack_from

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = 0xCE
DELIVER, RETURN, ACK, NACK, CANCEL = 0x3C003C, 0x3C0032, 0x3C0050, 0x3C0078, 0x3C001E
BLOCKED, UNBLOCKED, CLOSE = 0x0A003C, 0x0A003D, 0x0A0032
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"

ID_HEADER = "tidegate-id"
CONTENT_TYPE_HEADER = "content-type"
CLOUDEVENT = "application/cloudevents+json"
HEADER_BYTES_MAX = 8 * 1024
"""All headers of a message together. RabbitMQ never splits a header frame: 128 KiB of them close the connection."""

_frame = Struct(">BHI")
_header = Struct(">BHIHHQH")
_settle = Struct(">BHIIQBB")
_long = Struct(">I")
_FLAGS = 0x8000 | 0x2000 | 0x1000 | 0x0080  # content type, headers, delivery mode, message id
_END = b"\xce"
_PERSISTENT = b"\x02"


class Malformed(ValueError):
    """A message that cannot be put on the wire as it is; the text says why. Nothing was sent."""


def _short(text: str, most: int = 255) -> bytes:
    raw = text.encode()
    if len(raw) > most:
        raise Malformed(f"{text[:40]!r}... has {len(raw)} bytes; AMQP allows {most} here")
    return bytes((len(raw),)) + raw


def publish_method(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    """The Basic.Publish frame; the same for every message to one address, so keep it.

    Raises:
        Malformed: exchange or routing key is over 255 bytes.
    """
    payload = b"\x00\x3c\x00\x28\x00\x00" + _short(exchange) + _short(routing_key) + (b"\x01" if mandatory else b"\x00")
    return _frame.pack(METHOD, channel, len(payload)) + payload + _END


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return _short(name, 128) + b"S"


_content_type = lru_cache(maxsize=64)(_short)
_id_key = _key(ID_HEADER)


def content(
    channel: int, attempt: bytes, message_id: str, headers: dict[str, str], body: bytes, size_max: int
) -> bytes:
    """Header and body frames of a persistent message.

    `attempt` is the AMQP message id, new for each attempt; `message_id` is ours and travels as a header.
    `size_max` is the connection's largest frame in bytes.

    Raises:
        Malformed: the headers are over `HEADER_BYTES_MAX`, or one of their names over 128 bytes.
    """
    raw = message_id.encode()
    table = [_id_key, _long.pack(len(raw)), raw]
    kind = CLOUDEVENT
    for name, value in headers.items():
        if name == CONTENT_TYPE_HEADER:
            kind = value
            continue
        raw = value.encode()
        table += (_key(name), _long.pack(len(raw)), raw)
    entries = b"".join(table)
    if len(entries) > HEADER_BYTES_MAX:
        raise Malformed(f"message {message_id} has {len(entries)} bytes of headers; {HEADER_BYTES_MAX} is the most")
    properties = b"".join(
        (_content_type(kind), _long.pack(len(entries)), entries, _PERSISTENT, bytes((len(attempt),)), attempt, _END)
    )
    head = _header.pack(HEADER, channel, len(properties) + 13, 60, 0, len(body), _FLAGS)
    room = size_max - 8
    if len(body) <= room:
        return (
            b"".join((head, properties, _frame.pack(BODY, channel, len(body)), body, _END))
            if body
            else head + properties
        )
    parts = [head, properties]
    for start in range(0, len(body), room):
        part = body[start : start + room]
        parts += (_frame.pack(BODY, channel, len(part)), part, _END)
    return b"".join(parts)


def acknowledge(channel: int, tag: int, multiple: bool) -> bytes:
    """Basic.Ack: this delivery, or every one up to it."""
    return _settle.pack(METHOD, channel, 13, ACK, tag, multiple, FRAME_END)


def give_back(channel: int, tag: int) -> bytes:
    """Basic.Nack with requeue."""
    return _settle.pack(METHOD, channel, 13, NACK, tag, 2, FRAME_END)


def discard(channel: int, tag: int) -> bytes:
    """Basic.Nack without requeue: the queue dead-letters the message."""
    return _settle.pack(METHOD, channel, 13, NACK, tag, 0, FRAME_END)


# reading -----------------------------------------------------------------------------------------------------


def short_text(data: bytes, at: int) -> tuple[str, int]:
    """A short string and the position behind it."""
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "replace"), end


def properties(data: bytes, at: int, headers: dict[str, str]) -> str:
    """Read the properties of a content header from its flags on: fills `headers`, returns the AMQP message id.

    Never raises: a value of a kind that we do not carry is left out, and what cannot be read ends the reading.
    (The library's own decoder raises on some values that RabbitMQ accepts, which would cost the connection.)
    """
    try:
        return _properties(data, at, headers)
    except (error, IndexError):
        return ""


def _properties(data: bytes, at: int, headers: dict[str, str]) -> str:
    flags = data[at] << 8 | data[at + 1]
    at += 2
    if flags & 0x8000:
        kind, at = short_text(data, at)
        if kind != CLOUDEVENT:
            headers[CONTENT_TYPE_HEADER] = kind
    if flags & 0x4000:
        headers["content-encoding"], at = short_text(data, at)
    if flags & 0x2000:
        end = at + 4 + unpack_from(">I", data, at)[0]
        _table(data, at + 4, end, headers)
        at = end
    at += bool(flags & 0x1000) + bool(flags & 0x0800)  # delivery mode, priority
    for flag in (0x0400, 0x0200, 0x0100):  # correlation id, reply to, expiration
        if flags & flag:
            at += 1 + data[at]
    return short_text(data, at)[0] if flags & 0x0080 else ""


_WIDTHS = {
    b: Struct(f)
    for b, f in zip(b"bBsuIilLfd", (">b", ">B", ">h", ">H", ">i", ">I", ">q", ">q", ">f", ">d"), strict=True)
}
_LENGTHS = {ord("T"): 8, ord("D"): 5, ord("V"): 0}
_WITH_LENGTH = b"SxFA"


def _table(data: bytes, at: int, end: int, headers: dict[str, str]) -> None:
    """Texts and whole numbers of a field table; everything else is skipped by its length."""
    while at < end:
        name, at = short_text(data, at)
        kind = data[at]
        at += 1
        if kind in _WITH_LENGTH:
            size = unpack_from(">I", data, at)[0]
            if kind == 0x53:
                headers[name] = data[at + 4 : at + 4 + size].decode("utf-8", "replace")
            at += 4 + size
        elif kind == 0x74:
            headers[name] = "true" if data[at] else "false"
            at += 1
        elif (number := _WIDTHS.get(kind)) is not None:
            if kind not in b"fd":
                headers[name] = str(number.unpack_from(data, at)[0])
            at += number.size
        elif kind in _LENGTHS:
            at += _LENGTHS[kind]
        else:
            return  # a kind that is not in RabbitMQ's list: its length is unknown
