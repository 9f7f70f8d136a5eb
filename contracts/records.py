"""What the data of a message is made of: base structs, shared field types, the tag for sensitive ones."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.money import Money


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. Unknown fields pass: a newer sender must not be refused for telling more."""


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to do. Unknown fields are refused: a misspelt wish must not be silently dropped."""


PositiveMoney = Annotated[Money, Meta(extra={"positive": True})]
Email = Annotated[
    str,
    Meta(max_length=254, extra={"sensitive": "pii"}, extra_json_schema={"x-sensitive": "pii"}),
]
PolicyVersion = Annotated[str, Meta(min_length=1, max_length=64)]
Tier = Literal["basic", "standard", "premium"]
