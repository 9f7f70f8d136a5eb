"""Limits on what is read at all, before its meaning is looked at."""

import msgspec


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """How much one document, and one batch of them, may hold. Sizes in bytes of UTF-8.

    The digits of a number are all its digits, also those after the point and in the exponent.
    """

    bytes_max: int = 256 * 1024
    depth_max: int = 32
    values_max: int = 20_000
    digits_max: int = 40
    key_characters_max: int = 128
    batch_bytes_max: int = 4 * 1024 * 1024
    batch_events_max: int = 1_000


DEFAULT_CAPS = Caps()
