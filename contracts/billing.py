"""Messages of the billing domain: what became of a credit."""

from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta

from contracts.contract import Contract
from contracts.money import Money
from contracts.records import Event, PolicyVersion
from contracts.text import Id, ShortText

Decision = Literal["approved", "refused", "approval_required"]


class CreditDecided(Event, frozen=True, kw_only=True):
    """A credit was judged. `reasons` are for people; `inputs` are the facts the policy saw, as text."""

    case_id: Id
    account_id: Id
    decision: Decision
    amount: Money
    policy_version: PolicyVersion
    reasons: Annotated[list[ShortText], Meta(max_length=32)]
    inputs: Annotated[dict[ShortText, Annotated[str, Meta(max_length=1000)]], Meta(max_length=64)]
    intent_id: Id


_SUMMARIES: Final = {
    "billing.credit.evaluated": "The credit policy judged a case.",
    "billing.credit.approved": "A credit was approved and is on its way to the ERP.",
    "billing.credit.refused": "A credit was refused, with reasons.",
}

CONTRACTS = tuple(
    Contract(
        type=name,
        version=1,
        struct=CreditDecided,
        kind="event",
        owner="billing-operations",
        domain="credit-policy",
        summary=summary,
        opened=date(2026, 1, 1),
        business_key=lambda data: data.case_id,
        partition_key=lambda data: data.account_id,
    )
    for name, summary in _SUMMARIES.items()
)
