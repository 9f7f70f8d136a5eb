"""Wire form of the values that msgspec does not know by itself, for every room that encodes or decodes."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from contracts.money import Money

T = TypeVar("T")


def enc_hook(value: Any) -> Any:
    """msgspec `enc_hook`: Money becomes its wire form."""
    if isinstance(value, Money):
        return value.to_wire()
    raise NotImplementedError(f"{type(value).__name__} has no wire form")


def dec_hook(kind: type, value: Any) -> Any:
    """msgspec `dec_hook`: reads Money. Raises ContractError, which msgspec wraps in its ValidationError."""
    if kind is Money:
        return Money.from_wire(value)
    raise NotImplementedError(f"{kind.__name__} has no wire form")


encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder(enc_hook=enc_hook).encode
encode_canonical: Final[Callable[[Any], bytes]] = msgspec.json.Encoder(enc_hook=enc_hook, order="deterministic").encode


def decode(raw: bytes, kind: type[T]) -> T:
    """Strict decode of bytes that we wrote ourselves (store, outbox). Raises msgspec.DecodeError."""
    return msgspec.json.decode(raw, type=kind, dec_hook=dec_hook)


def to_builtins(value: Any) -> Any:
    """`value` as dicts, lists and text, as it would stand on the wire."""
    return msgspec.to_builtins(value, enc_hook=enc_hook)
