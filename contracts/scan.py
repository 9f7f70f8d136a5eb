"""The look at the bytes before anything is built from them.

msgspec has no limit on size, depth or count, takes the last of duplicate keys and explains little
(its issues 1033 and 1073: deep input on a small thread stack ends the process). So every document
passes here first. Two passes share the work: this module runs at C speed and only ever finds that a
document is surely fine or that it does not know; `contracts.exact` walks the tokens then, and says what
is wrong, where, and at which byte. Neither recurses on the input.
"""

import re
from typing import Any, Final

import msgspec

from contracts import exact
from contracts.caps import DEFAULT_CAPS, Caps
from contracts.errors import ContractError

# Always matches from a quote on, closed or not: a pattern that could fail would be tried again at every
# later quote, which is quadratic on `"\"\"\"...`.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?:?', re.DOTALL)
_TO_BRACE: Final = bytes.maketrans(b"[]", b"{}")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_NUMBER_TO_ZERO: Final = bytes.maketrans(b"123456789.+-eE", b"0" * 14)
# In msgspec's own compact output: an escape that is not \n \t \" \\, DEL, or U+0080..U+009F.
_CONTROL: Final = re.compile(rb"\\[^nt\"\\]|\x7f|\xc2[\x80-\x9f]")
_BATCH_COMMAS_MAX: Final = 100_000
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode
_split: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def scan(body: bytes, caps: Caps = DEFAULT_CAPS) -> Any:
    """Decode one JSON document into builtins after every check of this room on bytes.

    Accepts only what every strict JSON parser reads the same way, within `caps` (sizes in bytes).
    Raises ContractError: body.empty, body.too_large, json.*, text.control_character, field.unknown.
    """
    check_size(body, caps.bytes_max)
    if _small(body, caps):
        try:
            document = _decode(body)
        except Exception:  # a RecursionError is no DecodeError; the exact pass explains
            pass
        else:
            if _plain(body, _encode(document), caps.key_characters_max):
                return document
    exact.check(body, caps)
    return _decode(body)


def split_batch(body: bytes, caps: Caps = DEFAULT_CAPS) -> list[bytes]:
    """The raw bytes of each event of a JSON array of events; each still has to pass `scan` on its own.

    At most `caps.batch_bytes_max` bytes and `caps.batch_events_max` events, at least one.
    Raises ContractError: body.*, json.*, field.type, batch.count. The caller puts /N before an event's paths.
    """
    check_size(body, caps.batch_bytes_max)
    if body.count(b",") <= _BATCH_COMMAS_MAX and _shallow(body, caps.depth_max + 1):
        try:
            parts = [bytes(part) for part in _split(body)]
        except Exception:  # the exact pass explains
            parts = []
        if 0 < len(parts) <= caps.batch_events_max:
            return parts
    return exact.split(body, caps)


def check_size(body: bytes, bytes_max: int) -> None:
    """Raise ContractError body.empty or body.too_large; `bytes_max` in bytes."""
    if not body:
        raise ContractError("body.empty", "The request has no body. Send one JSON document.")
    if len(body) > bytes_max:
        raise ContractError(
            "body.too_large",
            f"The body has {len(body)} bytes; at most {bytes_max} are taken. Send less at a time.",
            limit=bytes_max,
            actual=len(body),
        )


def _small(body: bytes, caps: Caps) -> bool:
    """Whether depth, count and digits are surely within `caps`, so that decoding is safe."""
    few = len(body) <= caps.values_max or sum(map(body.count, (b",", b":", b"[", b"{"))) < caps.values_max
    return (
        few and b"0" * (caps.digits_max + 1) not in body.translate(_NUMBER_TO_ZERO) and _shallow(body, caps.depth_max)
    )


def _shallow(body: bytes, depth_max: int) -> bool:
    """Whether nesting is surely at most `depth_max` levels: each round strips the innermost one."""
    if body.count(b"{") + body.count(b"[") <= depth_max:
        return True
    brackets = _STRING.sub(b"", body).translate(_TO_BRACE, _NOT_BRACKETS)
    for _ in range(depth_max):
        inner = brackets.replace(b"{}", b"")
        if len(inner) == len(brackets):
            break
        brackets = inner
    return not brackets


def _plain(body: bytes, compact: bytes, key_bytes_max: int) -> bool:
    """Whether a document that msgspec took, and wrote again as `compact`, is surely without other faults.

    A duplicate key is lost in `compact`, and its colon with it; nothing else changes the number of colons
    but an escaped one.
    """
    return (
        body.count(b":") == compact.count(b":")
        and b"\\u003" not in body
        and _CONTROL.search(compact) is None
        and b'"":' not in compact
        and b'"__proto__":' not in compact
        and (max(map(len, compact.split(b'":'))) <= key_bytes_max or _short_keys(compact, key_bytes_max))
    )


def _short_keys(compact: bytes, key_bytes_max: int) -> bool:
    keys = (len(text) for text in _STRING.findall(compact) if text.endswith(b":"))
    return max(keys, default=0) <= key_bytes_max + len('"":')
