"""What the actors of one daemon share: the one place that knows who is who at run time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors.caller.poster import Poster
from actors.controls import Controls
from actors.decider import DeciderActor
from actors.doors.desk import Desk
from actors.onlooker import Onlooker
from actors.operator_clock import Pace
from actors.operator_settings import LiveSettings
from actors.processes_results import ProcessTeller
from actors.reconciler import Reconciler
from actors.runtime.clock import Clock, microseconds
from actors.runtime.entropy import Entropy
from actors.runtime.supervisor import Supervisor
from broker.port import Broker, BrokerError, QueueStatistics
from broker.store.store import Store
from contracts.registry import Registry


@dataclass(slots=True)
class House:
    """Filled by the tree; actors that are restarted replace their entry."""

    store: Store
    broker: Broker
    controls: Controls
    desk: Desk
    clock: Clock
    entropy: Entropy
    registry: Registry
    system: str
    caller_domain: str
    onlooker: Onlooker
    consumed: dict[str, list[str]]
    """Queues that each domain must be consuming for the daemon to be ready."""
    live: LiveSettings
    partitions: int
    root: Supervisor | None = None
    poster: Poster | None = None
    posters: dict[str, Poster] = field(default_factory=dict)
    """The caller of each system, the ERP's among them."""
    deciders: dict[str, DeciderActor] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    reconciler: Reconciler | None = None
    teller: ProcessTeller | None = None
    restarts: int = 0
    broker_problem: str | None = None
    recent: list[dict[str, Any]] = field(default_factory=list)
    """The last supervision events, newest last."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        return microseconds(self.clock.now())

    async def is_ready(self) -> bool:
        """Every child is up, the store writes, and the broker itself says that every queue is consumed by us."""
        if self.root is None or any(child.state != "up" for child in self.root.census()):
            return False
        consumers = {row.queue: row.consumers for row in await self.queues()}
        wanted = [queue for queues in self.consumed.values() for queue in queues]
        return self.store.writer.failure is None and all(consumers.get(queue, 0) > 0 for queue in wanted)

    def reconciling(self) -> dict[str, str]:
        """Systems that nothing is posted to before they were looked at after a restore, and why."""
        closed = {name: poster.first_looks.closed for name, poster in self.posters.items()}
        return {name: why.reason for name, why in closed.items() if why is not None}

    async def queues(self) -> list[QueueStatistics]:
        """What the broker says of its queues; nothing while it is away."""
        try:
            return await self.broker.statistics()
        except BrokerError as problem:
            self.broker_problem = str(problem)
            return []

    def actors(self) -> list[dict[str, Any]]:
        """The census: each place in the tree with its state, starts and last crash."""
        if self.root is None:
            return []
        return [
            {"path": child.path, "state": child.state, "starts": child.starts, "last_crash": child.last_crash}
            for child in self.root.census()
        ]
