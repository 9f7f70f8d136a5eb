"""Which partition a key belongs to, for ever, and what its queue is called.

The hash is BLAKE2b (RFC 7693) over the UTF-8 bytes of the key, first eight bytes, big-endian, modulo the
number of partitions: the same on every machine, version and restart (Python's own hash is not). A change of
the number moves keys, so a map has a version, and whoever changes it drains the old one first.
"""

import re
from hashlib import blake2b

from msgspec import Struct

from policies.lanes import LANES

_DOMAIN = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key, 0 to partitions - 1. Raises ValueError if there is less than one partition."""
    if partitions < 1:
        raise ValueError(f"{partitions} partitions, expected at least 1")
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % partitions


def queue_name(domain: str, lane: str, partition: int) -> str:
    """`tidegate.<domain>.<lane>.<partition>`. Raises ValueError for a name that could not be routed."""
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"domain {domain!r}: expected lower case words joined by hyphens, as in erp-poster")
    if lane not in LANES:
        raise ValueError(f"lane {lane!r}: expected one of {', '.join(LANES)}")
    if partition < 0:
        raise ValueError(f"partition {partition}: expected 0 or more")
    return f"tidegate.{domain}.{lane}.{partition}"


def partition_in(queue: str) -> int:
    """The partition that a queue's name ends in; 0 if it ends in none."""
    last = queue.rpartition(".")[2]
    return int(last) if last.isascii() and last.isdigit() else 0


class PartitionMap(Struct, frozen=True):
    """How keys are spread, and the version of that. Raises ValueError for less than one partition."""

    version: int
    partitions: int

    def __post_init__(self) -> None:
        if self.partitions < 1 or self.version < 1:
            raise ValueError(f"version {self.version}, {self.partitions} partitions: expected at least 1 of each")

    def partition_of(self, key: str) -> int:
        """The partition of a key under this map."""
        return partition_of(key, self.partitions)

    def queues(self, domain: str) -> list[str]:
        """The names of all queues of a domain, highest lane first."""
        return [queue_name(domain, lane, number) for lane in LANES for number in range(self.partitions)]
