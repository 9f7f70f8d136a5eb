"""Messages of the support domain."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from contracts.contract import Contract
from contracts.envelope import Lane
from contracts.money import Money
from contracts.records import Email, Event, Tier
from contracts.text import Id, Moment


class CaseOpened(Event, frozen=True, kw_only=True):
    """A customer reported an outage; the case may earn a service credit. Outage in whole minutes."""

    case_id: Id
    account_id: Id
    incident_id: Id | None = None
    outage_class: Literal["none", "degraded", "partial", "full"]
    outage_minutes: Annotated[int, Meta(ge=0, le=100_000)]
    tier: Tier
    monthly_fee: Money
    escalated: bool = False
    severity: Literal["low", "normal", "high", "urgent"]
    opened_at: Moment
    contact_email: Email | None = None


def _lane(data: CaseOpened) -> Lane:
    return "urgent" if data.escalated else "standard"


CONTRACTS = (
    Contract(
        type="support.case.opened",
        version=1,
        struct=CaseOpened,
        kind="event",
        owner="support-operations",
        domain="credit-policy",
        summary="A support case about an outage was opened.",
        opened=date(2026, 1, 1),
        business_key=lambda data: data.case_id,
        partition_key=lambda data: data.account_id,
        lane=_lane,
    ),
)
