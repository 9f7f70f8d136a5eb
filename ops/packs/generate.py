"""The one door to the packs: a name, a size, a seed; the same three give the same bytes."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from heapq import merge
from random import Random
from types import MappingProxyType

from ops.packs.commands import BILLING_CYCLE, MONTH_END, RENEWAL, commands
from ops.packs.day import DAY_HOURS
from ops.packs.incident import incident
from ops.packs.message import PackMessage

Generator = Callable[[int, int, Random, float], Iterator[PackMessage]]

_SINGLE: Mapping[str, Generator] = MappingProxyType(
    {
        "incident": incident,
        **{pack.name: partial(commands, pack) for pack in (BILLING_CYCLE, RENEWAL, MONTH_END)},
    }
)
SHARES_PERCENT: Mapping[str, int] = MappingProxyType(
    {"incident": 40, "billing-cycle": 30, "renewal": 15, "month-end": 15}
)
"""What the pack `all` is made of: the worst day of the year, on which everything happens."""
PACKS = (*_SINGLE, "all")


class UnknownPack(ValueError):
    """There is no pack of that name, or the size makes none."""


def generate(pack: str, cases: int, seed: int, hours: float = DAY_HOURS) -> Iterator[PackMessage]:
    """The messages of a pack in send order.

    cases: distinct business cases, 0 or more; the incident adds about 3% duplicates. hours: how long the business
    day is into which `offset_ms` and the times of the events are spread. Raises UnknownPack for a name that is not
    in PACKS, a negative number of cases, or a day without length.
    """
    if pack not in PACKS:
        raise UnknownPack(f"pack {pack!r} is not known; choose one of {', '.join(PACKS)}")
    if cases < 0:
        raise UnknownPack(f"{cases} cases asked for; expected 0 or more")
    if not hours > 0:
        raise UnknownPack(f"a day of {hours:g} hours; expected more than 0")
    if pack != "all":
        return _SINGLE[pack](cases, seed, Random(f"{pack}:{seed}"), hours)
    parts = [generate(name, count, seed, hours) for name, count in shared_out(cases).items()]
    return merge(*parts, key=lambda message: message.offset_ms)


def shared_out(cases: int) -> dict[str, int]:
    """How many cases of `all` each pack has; what does not divide goes to the first."""
    counts = {name: cases * percent // 100 for name, percent in SHARES_PERCENT.items()}
    counts["incident"] += cases - sum(counts.values())
    return counts
