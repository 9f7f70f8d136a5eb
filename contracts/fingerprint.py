"""Whether two bodies mean the same: the canonical form of JSON and its hash.

The canonical form is in the spirit of RFC 8785: keys sorted, no white space, one spelling for each text and
number. (Keys are sorted by code point here, by UTF-16 unit there; nobody else computes our fingerprints.)
"""

import re
from hashlib import blake2b
from typing import Any, Final

import msgspec

from contracts.codec import encode_canonical

_DIGEST_BYTES: Final = 16
# Where a float may have been written (its whole values must read as the integers they equal): after the colon of a
# key, or in a list. A text that looks like it costs time only; money and times are texts and do not.
_FLOAT: Final = re.compile(rb'(?:":|[\[,])-?[0-9]+(?:\.[0-9]|e)')
_decode: Final = msgspec.json.Decoder().decode


def canonical(raw: bytes) -> bytes:
    """The canonical form of a JSON document that has passed `scan`. Raises msgspec.DecodeError otherwise."""
    document = _decode(raw)
    form = encode_canonical(document)
    return encode_canonical(_whole_floats(document)) if _FLOAT.search(form) else form


def fingerprint(raw_data: bytes, type: str) -> str:
    """32 hex digits: equal for the same message type and data of equal meaning, whatever order or spacing."""
    return blake2b(type.encode() + b"\0" + canonical(raw_data), digest_size=_DIGEST_BYTES).hexdigest()


def _whole_floats(value: Any) -> Any:
    """`value` with floats like 1.0 and -0.0 as ints. Recursion is bounded by the depth cap of the scan."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: _whole_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_floats(item) for item in value]
    return value
