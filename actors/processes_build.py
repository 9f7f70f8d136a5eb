"""The parts of the workflow, from settings: which systems are connected, their callers, the deciders."""

from __future__ import annotations

from pathlib import Path

from actors.adapters.credential import Credential
from actors.adapters.saas import SaasAdapter
from actors.caller.gate import Gate
from actors.caller.numbers import SpendNumbers
from actors.caller.poster import Poster
from actors.caller.results import Results
from actors.house import House
from actors.processes import WorkflowDecider
from actors.processes_incident import ExposureDecider
from actors.processes_results import ProcessTeller
from actors.settings import SYSTEMS, Saas, Settings
from broker.life import Decider
from policies.approval import ApprovalPolicy
from policies.approval_words import everybody, read_delegations
from policies.limit_words import parse_limits
from policies.vendors import VENDORS


def connected(settings: Settings) -> tuple[str, ...]:
    """The systems beside the ERP that have a URL; with billing among them there is a workflow, else none."""
    return tuple(name for name in SYSTEMS if getattr(settings, name).url)


def caller_name(system: str) -> str:
    """The place of a system's caller in the tree."""
    return f"{system}-caller"


def approval_policy(settings: Settings) -> ApprovalPolicy:
    """The thresholds of the house, with the patience that is set."""
    approval = settings.approval
    return ApprovalPolicy(
        escalate_seconds=int(approval.escalate_hours * 3_600),
        expire_seconds=int(approval.expire_hours * 3_600),
        fresh_seconds=int(approval.fresh_hours * 3_600),
    )


def deciders(settings: Settings) -> dict[str, Decider]:
    """The deciders of the workflow; none when billing is not connected."""
    systems = connected(settings)
    if not systems:
        return {}
    approval = settings.approval
    workflow = WorkflowDecider(
        frozenset({"erp", *systems}),
        everybody(approval.people, settings.operators.named),
        read_delegations(approval.delegations),
        approval_policy(settings),
    )
    return {"incident-exposure": ExposureDecider(), "workflow": workflow}


def caller(system: str, settings: Settings, house: House, teller: ProcessTeller, numbers: SpendNumbers) -> Poster:
    """The caller of one system, with a budget and a gate of its own.

    Raises OSError when its token file cannot be read.
    """
    saas: Saas = getattr(settings, system)
    flow = settings.flow
    name = caller_name(system)
    credential = Credential(Path(saas.token_file) if saas.token_file else None)
    vendor = VENDORS[saas.signals]
    adapter = SaasAdapter(
        system, saas.url, house.clock, saas.timeout_seconds, saas.lost_seconds, credential, vendor=vendor
    )
    floors = {"standard": flow.standard_floor_percent, "bulk": flow.bulk_floor_percent}
    shares = flow.tenant_shares(), flow.workload_shares()
    gate = Gate(parse_limits(saas.limits), house.entropy.random, floors, *shares)
    results = Results(house.broker, house.registry, name, teller)
    return Poster(
        house.store,
        adapter,
        gate,
        results,
        house.controls,
        name,
        numbers,
        share_percent=settings.reconcile.share_percent,
    )
