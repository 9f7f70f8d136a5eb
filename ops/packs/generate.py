"""The one door to the packs: a name, a size, a seed; the same three give the same bytes."""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from types import MappingProxyType

from ops.packs.commands import BILLING_CYCLE, RENEWAL, commands
from ops.packs.incident import incident
from ops.packs.message import PackMessage

Generator = Callable[[int, int, Random], Iterator[PackMessage]]

PACKS: Mapping[str, Generator] = MappingProxyType(
    {
        "incident": incident,
        "billing-cycle": lambda cases, seed, random: commands(BILLING_CYCLE, cases, seed, random),
        "renewal": lambda cases, seed, random: commands(RENEWAL, cases, seed, random),
    }
)


class UnknownPack(ValueError):
    """There is no pack of that name, or the size makes none."""


def generate(pack: str, cases: int, seed: int) -> Iterator[PackMessage]:
    """The messages of a pack in send order.

    cases: distinct business cases, 0 or more; the pack `incident` adds about 3% duplicates.
    Raises UnknownPack for a name that is not in PACKS or a negative number of cases.
    """
    if pack not in PACKS:
        raise UnknownPack(f"pack {pack!r} is not known; choose one of {', '.join(PACKS)}")
    if cases < 0:
        raise UnknownPack(f"{cases} cases asked for; expected 0 or more")
    return PACKS[pack](cases, seed, Random(f"{pack}:{seed}"))
