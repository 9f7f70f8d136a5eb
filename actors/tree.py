"""The supervision tree, and nothing else. Children start in this order and stop in reverse.

tidegate (rest for one: what stands below relies on what stands above)
├── store-writer      the one writer of the store
├── audit (one for one)
│   └── anchors           what the audit has come to, in a file outside the database
├── broker-link       connection and topology
├── relay             outbox -> broker (RabbitMQ only)
├── deciders (one for one)
│   ├── credit-policy     support.case.opened -> credit, adjustment request
│   ├── erp-requests      erp.adjustment.request -> call
│   ├── incident-exposure process.request -> process.start (with billing only)
│   └── workflow          refunds, credits, corrections, amendments, step by step (with billing only)
├── callers (one for one)
│   ├── erp-poster        calls -> gate -> ERP
│   ├── billing-caller    the same for each system that is connected
│   ├── support-caller
│   ├── crm-caller
│   └── revenue-caller
├── services (one for one)
│   ├── timers            messages at their moment
│   ├── orders            standing orders begin and end in time
│   ├── waves             cases of approved incidents, let through in order (with billing only)
│   ├── housekeeping      a short write-ahead log
│   ├── dead-letters      what the broker gave up on -> exceptions (RabbitMQ only)
│   ├── reconciler        the ledger held against the systems
│   └── watchdog          replaces the silent
└── doors (one for one)
    ├── http              messages in, status out, operator verbs
    └── amqp              messages in (RabbitMQ only)
"""

from __future__ import annotations

from collections.abc import Callable

from actors.runtime.actor import Actor
from actors.runtime.supervisor import ChildSpec, Strategy, SupervisorSpec
from policies.restarts import RestartLimit

_MINUTE_NS = 60_000_000_000

Make = Callable[[], Actor]


def tree(actors: dict[str, Make]) -> SupervisorSpec:
    """The tree over the makers of its leaves, by name."""

    def leaf(name: str, **patience: float) -> ChildSpec:
        return ChildSpec(name, actors[name], **patience)

    def optional(name: str) -> tuple[ChildSpec, ...]:
        return (leaf(name),) if name in actors else ()

    beside = ("billing-caller", "support-caller", "crm-caller", "revenue-caller")
    callers = (leaf(name, stop_seconds=25.0) for name in beside if name in actors)
    return SupervisorSpec(
        "tidegate",
        strategy=Strategy.REST_FOR_ONE,
        limit=RestartLimit(count=5, period_ns=_MINUTE_NS),
        children=(
            leaf("store-writer"),
            SupervisorSpec("audit", (leaf("anchors"),)),
            leaf("broker-link", start_seconds=60.0),
            *optional("relay"),
            SupervisorSpec(
                "deciders",
                (leaf("credit-policy"), leaf("erp-requests"), *optional("incident-exposure"), *optional("workflow")),
            ),
            SupervisorSpec("callers", (leaf("erp-poster", stop_seconds=25.0), *callers)),
            SupervisorSpec(
                "services",
                (
                    leaf("timers"),
                    leaf("orders"),
                    *optional("waves"),
                    leaf("housekeeping"),
                    *optional("dead-letters"),
                    leaf("reconciler"),
                    leaf("watchdog"),
                ),
            ),
            SupervisorSpec("doors", (leaf("http"), *optional("amqp"))),
        ),
    )
