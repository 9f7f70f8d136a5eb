"""Messages of processes: refunds, credits, corrections and amendments on their way through several systems."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Literal

from msgspec import Meta

from contracts.contract import Contract, OnStuck
from contracts.money import Money
from contracts.records import Command, Event, PolicyVersion, PositiveMoney
from contracts.text import Id, LongText, ShortText

Kind = Literal["credit", "refund", "correction", "amendment"]
ON_STUCK: Mapping[Kind, OnStuck] = {"credit": "pass", "refund": "pass", "correction": "hold", "amendment": "hold"}
"""Whether later calls about the account wait while one of such a process, that moves or undoes anything, is with a
person; behind what it only reads or reports nothing waits."""
Reason = Literal["service_credit", "refund", "correction", "renewal", "invoice"]


class ProcessRequest(Command, frozen=True, kw_only=True):
    """Somebody asks for a refund, a credit, a correction or an amendment. A person must approve it.

    `process_id` is the case, the invoice or the contract that it is about; one of them is processed once.
    """

    process_id: Id
    kind: Kind
    account_id: Id
    amount: PositiveMoney
    reason_code: Reason
    requested_by: Id
    incident_id: Id | None = None
    note: ShortText | None = None


class ProcessJudged(ProcessRequest, frozen=True, kw_only=True):
    """The same, judged by a policy: `verdict` says whether the policy itself approves the amount."""

    verdict: Literal["approved", "approval_required"]
    policy_version: PolicyVersion
    intent_id: Id
    tier: ShortText | None = None


class ProcessStart(ProcessRequest, frozen=True, kw_only=True):
    """A process begins. `exposure`: what its incident has come to, this included."""

    exposure: Money
    judged: bool = False
    policy_version: PolicyVersion | None = None
    intent_id: Id | None = None
    tier: ShortText | None = None


class ProcessGrant(Command, frozen=True, kw_only=True):
    """People have approved a whole incident up to a cap, and this case of it is within.

    `digest` is of the case as it was when the wave met it, `approval` of what the people approved.
    """

    process_id: Id
    account_id: Id
    digest: ShortText
    approval: LongText
    approvers: list[ShortText]
    reason: LongText = ""


class ProcessReplay(Command, frozen=True, kw_only=True):
    """A person sends again what was refused, as it was with this digest; or, turned back altogether, with changes."""

    process_id: Id
    account_id: Id
    who: ShortText
    digest: ShortText
    reason: LongText
    amount: PositiveMoney | None = None
    reason_code: Reason | None = None


class IncidentSwitch(Command, frozen=True, kw_only=True):
    """Whether an incident is held: then what a policy would credit by itself waits for people, too."""

    incident_id: Id
    held: bool


class CallEnded(Command, frozen=True, kw_only=True):
    """A call that a process waits for has ended, as `document` or with a reason."""

    process_id: Id
    account_id: Id
    intent_id: Id
    status: Literal["done", "refused", "exception"]
    document: LongText | None = None
    reason: LongText | None = None


class ProcessVote(Command, frozen=True, kw_only=True):
    """A person approves or rejects what has this digest, for themselves or on behalf of somebody.

    `exposure`: what the incident had come to when they did, if that was looked at.
    """

    process_id: Id
    account_id: Id
    who: ShortText
    verdict: Literal["approve", "reject"]
    digest: ShortText
    behalf: ShortText | None = None
    reason: LongText = ""
    exposure: Money | None = None


class ProcessTimer(Command, frozen=True, kw_only=True):
    """A process has waited for long: `escalate` or `expire`; `round` counts the escalations from 1."""

    process_id: Id
    account_id: Id
    what: Literal["escalate", "expire"]
    round: Annotated[int, Meta(ge=1, le=1_000)] = 1


class ApprovalNeeded(Event, frozen=True, kw_only=True):
    """A process waits for people of a role (or higher)."""

    process_id: Id
    account_id: Id
    kind: Kind
    amount: Money
    exposure: Money
    people: int
    role: ShortText
    why: LongText


class ProcessEnded(Event, frozen=True, kw_only=True):
    """A process has ended. `states` tells the last state of each step, `documents` what was made where."""

    process_id: Id
    account_id: Id
    kind: Kind
    amount: Money
    outcome: Literal["posted", "refused", "compensated", "rejected", "expired"]
    reason: LongText | None = None
    documents: dict[str, str]
    states: dict[str, str]


class SystemRequest(Command, frozen=True, kw_only=True):
    """What billing, support, CRM or revenue reporting is asked to do: the body of a call, never sent as a message.

    `reverses`: the document that this one takes back. `outcome`: how a process ended, for those who are told.
    """

    intent_id: Id
    account_id: Id
    source_document: Id
    kind: ShortText
    amount: Money | None = None
    reason_code: ShortText | None = None
    reverses: LongText | None = None
    outcome: ShortText | None = None
    note: LongText | None = None


def _contract(
    name: str,
    struct: type[Command | Event],
    domain: str,
    summary: str,
    owner: str = "finance-systems",
    kind: Literal["event", "command"] = "command",
    internal: bool = True,
) -> Contract:
    key: Callable[[Any], str] = lambda data: data.process_id  # noqa: E731 - one of two, side by side
    account: Callable[[Any], str] = lambda data: data.account_id  # noqa: E731
    return Contract(
        type=name,
        version=1,
        struct=struct,
        kind=kind,
        owner=owner,
        domain=domain,
        summary=summary,
        opened=date(2026, 1, 1),
        business_key=key,
        partition_key=account,
        internal=internal,
    )


CONTRACTS = (
    Contract(
        type="incident.switch",
        version=1,
        struct=IncidentSwitch,
        kind="command",
        owner="finance-systems",
        domain="incident-exposure",
        summary="An incident is held, or goes on.",
        opened=date(2026, 1, 1),
        business_key=lambda data: data.incident_id,
        partition_key=lambda data: data.incident_id,
        internal=True,
    ),
    _contract(
        "process.request",
        ProcessRequest,
        "incident-exposure",
        "Ask for a refund, a credit, a correction or an amendment; a person must approve it.",
        owner="support-operations",
        internal=False,
    ),
    _contract("process.judged", ProcessJudged, "incident-exposure", "A policy has judged what a case may be credited."),
    _contract("process.start", ProcessStart, "workflow", "A process begins."),
    _contract("process.call.ended", CallEnded, "workflow", "A call that a process waits for has ended."),
    _contract("process.vote", ProcessVote, "workflow", "A person approves or rejects."),
    _contract("process.grant", ProcessGrant, "workflow", "A case is within what people approved of its incident."),
    _contract("process.replay", ProcessReplay, "workflow", "A person sends again what was refused."),
    _contract("process.timer", ProcessTimer, "workflow", "A process has waited for long."),
    _contract(
        "process.approval.needed",
        ApprovalNeeded,
        "workflow",
        "A process waits for people to approve it.",
        kind="event",
        internal=False,
    ),
    _contract("process.ended", ProcessEnded, "workflow", "A process has ended.", kind="event", internal=False),
)
