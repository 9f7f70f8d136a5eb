"""Instants of earlier boots on the clock of this one, whatever the wall clock did.

Within a boot the boot clock tells all distances. Only how long the machine was off, from the last thing known of one
boot to the first of the next, has to be taken from the wall clock; time that seems to have gone back counts as none, so
that nothing looks older than it is. A wall clock that jumps forward while the machine is off cannot be told from a
machine that was off for so long.
"""

from collections.abc import Sequence

from msgspec import Struct


class Boot(Struct, frozen=True):
    """The first and the last thing known of a boot, by its own clock (ns) and by the wall's (microseconds)."""

    id: str
    first_ns: int
    first_at: int
    last_ns: int
    last_at: int


def shifts(boots: Sequence[Boot], now: Boot) -> dict[str, int]:
    """What has to be added to an instant of each boot to have it on the clock of `now`.

    `boots` are in the order in which they were; the one that `now` belongs to may be among them. `now.first_*` are the
    first thing known of it, `now.last_*` the present.
    """
    found = {now.id: 0}
    later = next((boot for boot in boots if boot.id == now.id), now)
    first_ns, first_at = min(later.first_ns, now.first_ns), later.first_at
    for boot in reversed(boots):
        if boot.id == now.id:
            continue
        off_ns = max(first_at - boot.last_at, 0) * 1_000
        found[boot.id] = first_ns - off_ns - boot.last_ns
        first_ns, first_at = boot.first_ns + found[boot.id], boot.first_at
    return found
