"""Which queues there are: one for each domain, lane and partition, and the exchanges connectors know."""

from __future__ import annotations

from collections.abc import Sequence

from broker.port import Queue, Topology
from policies.partitions import PartitionMap

IN = "tidegate.in"
OUT = "tidegate.out"
INTAKE = "tidegate.intake"
"""Where messages published to `tidegate.in` wait for the door to accept them."""


def domain_queues(domain: str, partitions: int) -> list[str]:
    """The queues of a domain, most urgent lane first."""
    return PartitionMap(1, partitions).queues(domain)


def build(domains: Sequence[str], partitions: int | PartitionMap) -> Topology:
    """The whole topology of a daemon. A number of partitions stands for a map that never changed."""
    spread = PartitionMap(1, partitions) if isinstance(partitions, int) else partitions
    queues = [Queue(INTAKE, bindings=((IN, "#"),))]
    for domain in domains:
        queues += [Queue(name, single_active=True) for name in spread.queues(domain)]
    return Topology(exchanges=(IN, OUT), queues=tuple(queues))
