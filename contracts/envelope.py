"""The envelope of every message: a CloudEvents 1.0 event, with our extension attributes named.

Structured mode is one JSON object; binary mode keeps the attributes in headers (CloudEvents HTTP binding
1.0.2, section 3.1). `data` stays the raw bytes that came, so that nothing a newer sender adds is lost.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Meta

from contracts.caps import DEFAULT_CAPS, Caps
from contracts.codec import encode
from contracts.errors import ContractError, pointer
from contracts.explain import explain
from contracts.scan import check_size, scan
from contracts.text import INTEGER_MAX, Id, IdempotencyKey, Moment, check_moment

Lane = Literal["urgent", "standard", "bulk"]
Extension = str | bool | int
_Text256 = Annotated[str, Meta(min_length=1, max_length=256)]
_Text1024 = Annotated[str, Meta(min_length=1, max_length=1024)]

EXTENSIONS_MAX: Final = 16
EXTENSION_BYTES_MAX: Final = 1024
DEFAULT_TENANT: Final = "default"
_HIDDEN: Final = "-extensions"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way. `data` is raw JSON; `extensions` are attributes unknown to us, kept."""

    specversion: Literal["1.0"] = "1.0"
    id: Id
    source: _Text1024
    type: _Text256
    subject: _Text256 | None = None
    time: Moment | None = None
    datacontenttype: _Text256 | None = None
    dataschema: _Text1024 | None = None
    tenant: Id = DEFAULT_TENANT
    region: Id | None = None
    lane: Lane | None = None
    workload: Id | None = None
    deadline: Moment | None = None
    partitionkey: Id | None = None
    correlationid: Id | None = None
    causationid: Id | None = None
    idempotencykey: IdempotencyKey | None = None
    traceparent: _Text256 | None = None
    tracestate: Annotated[str, Meta(max_length=512)] | None = None
    sequence: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    data: msgspec.Raw
    # Not a name that an attribute can have, so that it is never read from the wire.
    extensions: dict[str, Extension] = msgspec.field(default_factory=dict, name=_HIDDEN)


_ATTRIBUTES: Final = tuple(name for name in Envelope.__struct_fields__ if name not in ("data", "extensions"))
_KNOWN: Final = frozenset((*_ATTRIBUTES, "data"))
_NAME: Final = re.compile(r"[a-z0-9]{1,20}", re.ASCII)
_JSON_TYPE: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json(?:\s*;\s*charset=\"?utf-8\"?)?", re.I)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_BAD_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_JSON: Final = "application/json"
_read: Final = msgspec.json.Decoder(Envelope).decode


def decode_envelope(raw: bytes, caps: Caps = DEFAULT_CAPS) -> Envelope:
    """Read one event in structured mode. Attributes that are null count as absent, as CloudEvents says.

    Raises ContractError: body.*, json.*, text.*, id.format, date.format, field.*, envelope.attribute,
    idempotency.format, media.type.
    """
    return _build(scan(raw, caps), raw)


def from_binary(headers: Mapping[str, str], body: bytes, caps: Caps = DEFAULT_CAPS) -> Envelope:
    """Read one event in binary HTTP mode: `ce-*` headers (any case), Content-Type, and the data as body.

    Raises ContractError as `decode_envelope` does; paths of attributes are as in structured mode ("/id").
    """
    attributes = {}
    for header, value in headers.items():
        name = header.lower()
        if name == "content-type":
            attributes["datacontenttype"] = value
        elif name.startswith("ce-"):
            attributes[name[3:]] = _header_text(value, name[3:])
    return from_attributes(attributes, body, caps)


def from_attributes(attributes: Mapping[str, Any], body: bytes, caps: Caps = DEFAULT_CAPS) -> Envelope:
    """Read one event whose attributes were carried beside its data (AMQP binary mode). Raises as above."""
    check_size(body, caps.bytes_max)
    scan(body, caps)
    for name, value in attributes.items():
        if isinstance(value, str) and (control := _CONTROL.search(value)):
            detail = f"The attribute holds U+{ord(control.group()):04X}. Remove it."
            raise ContractError("text.control_character", detail, pointer(name))
        if value is not None and not isinstance(value, str | int):
            raise ContractError("field.type", "An attribute is text, a whole number or a boolean.", pointer(name))
    if "data" in attributes:
        raise ContractError("envelope.attribute", "An attribute cannot be called data.", "/data")
    document = {"specversion": "1.0", **attributes, "data": msgspec.Raw(body)}
    try:
        raw = encode(document)
    except (ValueError, OverflowError):
        raise ContractError("envelope.attribute", "An attribute cannot be written as JSON.") from None
    return _build(document, raw)


def encode_envelope(env: Envelope) -> bytes:
    """The event in structured mode, unknown attributes included. `decode_envelope` gives an equal one."""
    wire: dict[str, Any] = {name: value for name in _ATTRIBUTES if (value := getattr(env, name)) is not None}
    wire.update(env.extensions)
    wire["data"] = env.data
    return encode(wire)


def _build(document: Any, raw: bytes) -> Envelope:
    try:
        env = _read(raw)
    except Exception:  # not only DecodeError; the reason is found below
        return _without_nulls(document)
    if env.time is not None:
        check_moment(env.time, "/time")
    if env.deadline is not None:
        check_moment(env.deadline, "/deadline")
    if env.datacontenttype not in (None, _JSON):
        _check_media_type(env.datacontenttype or "")
    unknown = document.keys() - _KNOWN
    return msgspec.structs.replace(env, extensions=_extensions(document, unknown)) if unknown else env


def _without_nulls(document: Any) -> Envelope:
    if isinstance(document, dict):
        kept = {name: value for name, value in document.items() if value is not None or name == "data"}
        if len(kept) < len(document):
            return _build(kept, encode(kept))
        if "data_base64" in document:
            raise ContractError("media.type", "Binary data is not taken. Send JSON in data.", "/data_base64")
        if _HIDDEN in document:
            _extension(_HIDDEN, document[_HIDDEN])
    explain(document, Envelope)


def _extensions(document: dict[str, Any], names: set[str]) -> dict[str, Extension]:
    if len(names) > EXTENSIONS_MAX:
        detail = f"At most {EXTENSIONS_MAX} extension attributes; got {len(names)}."
        raise ContractError("envelope.attribute", detail, limit=EXTENSIONS_MAX, actual=len(names))
    return {name: _extension(name, value) for name, value in document.items() if name in names and value is not None}


def _extension(name: str, value: Any) -> Extension:
    if not _NAME.fullmatch(name):
        detail = "An attribute's name is 1 to 20 of a-z 0-9. Rename it or move it into data."
        raise ContractError("envelope.attribute", detail, pointer(name))
    if not isinstance(value, str | bool | int):
        raise ContractError("field.type", "An attribute is text, a whole number or a boolean.", pointer(name))
    if isinstance(value, str):
        _check_extension_size(name, value)
    elif abs(value) > INTEGER_MAX:
        raise ContractError("field.range", "Beyond 2^53. Send it as text.", pointer(name), limit=INTEGER_MAX)
    return value


def _check_extension_size(name: str, value: str) -> None:
    actual = len(value.encode())
    if actual > EXTENSION_BYTES_MAX:
        detail = f"At most {EXTENSION_BYTES_MAX} bytes; got {actual}. Move it into data."
        raise ContractError("text.too_long", detail, pointer(name), limit=EXTENSION_BYTES_MAX, actual=actual)


def _check_media_type(media_type: str) -> None:
    if not _JSON_TYPE.fullmatch(media_type):
        raise ContractError("media.type", "Data must be application/json in UTF-8.", "/datacontenttype")


def _header_text(value: str, name: str) -> str:
    """Undo quoting (RFC 7230, 3.2.6), then one round of percent-encoding, as the HTTP binding asks."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    if _BAD_PERCENT.search(value):
        raise ContractError("envelope.attribute", "A % is not followed by two hex digits.", pointer(name))
    if "%" not in value:
        return value
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise ContractError("envelope.attribute", "The percent-encoding is not UTF-8.", pointer(name)) from None
