"""What an operator's order is about: a place, narrowed to a tenant, a lane, a partition, an operation.

Written as parts joined by commas: `erp`, `lane:bulk`, `tenant:acme,lane:bulk`, `credit-policy,partition:3`. An order
covers what all of its parts name; a part that is not given names everything.
"""

from collections.abc import Iterable

from msgspec import Struct

from policies.lanes import LANES

ALL = "all"
PARTS = ("tenant", "lane", "partition", "operation")
"""What narrows a place, in the order in which it is written."""
_PARTITION_DIGITS_MAX = 6


class Subject(Struct, frozen=True):
    """What there is to cover: a call, a queue, or a message at the door. None: it has none, or none of its own.

    `places` are the names under which it stands: its system, its domain, `queue:NAME`.
    """

    places: frozenset[str]
    tenant: str | None = None
    lane: str | None = None
    partition: int | None = None
    operation: str | None = None


class Scope(Struct, frozen=True):
    """What an order covers. `place` is `all`, a domain, a system or `queue:NAME`."""

    place: str = ALL
    tenant: str | None = None
    lane: str | None = None
    partition: int | None = None
    operation: str | None = None

    def __str__(self) -> str:
        """The one way to write it, whatever order its parts were given in."""
        found = {"tenant": self.tenant, "lane": self.lane, "partition": self.partition, "operation": self.operation}
        parts = [f"{name}:{found[name]}" for name in PARTS if found[name] is not None]
        return ",".join([*([self.place] if self.place != ALL or not parts else []), *parts])

    @property
    def narrow(self) -> bool:
        """Whether it is about less than a whole place."""
        return any(part is not None for part in (self.tenant, self.lane, self.partition, self.operation))

    def covers(self, subject: Subject) -> bool:
        """Whether every part names the subject. `operation:adjustment` names `adjustment.create` as well."""
        return (
            (self.place == ALL or self.place in subject.places)
            and (self.tenant is None or self.tenant == subject.tenant)
            and (self.lane is None or self.lane == subject.lane)
            and (self.partition is None or self.partition == subject.partition)
            and (self.operation is None or _names(self.operation, subject.operation))
        )


def _names(wanted: str, operation: str | None) -> bool:
    return operation is not None and (operation == wanted or operation.startswith(wanted + "."))


def parse_scope(text: str) -> Scope:
    """Read a target. Raises ValueError saying what is wrong with which part."""
    place: str | None = None
    found: dict[str, str] = {}
    for part in (piece.strip() for piece in text.split(",")):
        name, colon, value = part.partition(":")
        if not part:
            raise ValueError("a part is empty; write it as in tenant:acme,lane:bulk")
        if colon and name in PARTS:
            if not value:
                raise ValueError(f"{name}: which one? Write it as in {name}:{_EXAMPLES[name]}")
            if name in found:
                raise ValueError(f"{name} is named twice; give an order for each")
            found[name] = value
        elif place is None:
            place = part
        else:
            raise ValueError(f"{place} and {part} are two places; give an order for each")
    return _scope(place or ALL, found)


_EXAMPLES = {"tenant": "acme", "lane": "bulk", "partition": "3", "operation": "adjustment"}


def _scope(place: str, found: dict[str, str]) -> Scope:
    lane, partition = found.get("lane"), found.get("partition")
    if lane is not None and lane not in LANES:
        raise ValueError(f"lane {lane}: expected one of {', '.join(LANES)}")
    if partition is not None and not _is_number(partition):
        raise ValueError(f"partition {partition}: expected a whole number")
    number = None if partition is None else int(partition)
    return Scope(place, found.get("tenant"), lane, number, found.get("operation"))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _PARTITION_DIGITS_MAX


def joined(place: str | None, parts: Iterable[tuple[str, str | None]]) -> str:
    """A target out of options; `all` if nothing was named."""
    named = [f"{name}:{value}" for name, value in parts if value is not None]
    return ",".join([*([place] if place else []), *named]) or ALL
