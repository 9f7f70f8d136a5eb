"""Which queues there are: one for each domain, lane and partition, and the exchanges connectors know."""

from __future__ import annotations

from collections.abc import Sequence

from broker.port import Queue, Topology
from policies.lanes import LANES
from policies.partitions import queue_name

IN = "tidegate.in"
OUT = "tidegate.out"
INTAKE = "tidegate.intake"
"""Where messages published to `tidegate.in` wait for the door to accept them."""


def domain_queues(domain: str, partitions: int) -> list[str]:
    """The queues of a domain, most urgent lane first."""
    return [queue_name(domain, lane, partition) for lane in LANES for partition in range(partitions)]


def build(domains: Sequence[str], partitions: int) -> Topology:
    """The whole topology of a daemon."""
    queues = [Queue(INTAKE, bindings=((IN, "#"),))]
    for domain in domains:
        queues += [Queue(name, single_active=True) for name in domain_queues(domain, partitions)]
    return Topology(exchanges=(IN, OUT), queues=tuple(queues))
