"""Messages to and from the ERP: the adjustment asked for, and its outcome."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from contracts.contract import Contract, OnStuck
from contracts.money import Money
from contracts.records import Command, Event, PositiveMoney
from contracts.text import Id, LongText, Moment


class AdjustmentRequest(Command, frozen=True, kw_only=True):
    """Post an adjustment for an account, not before a moment if one is given."""

    intent_id: Id
    account_id: Id
    amount: PositiveMoney
    reason_code: Literal["service_credit", "refund", "correction", "renewal", "invoice"]
    source_document: Id
    kind: Literal["credit", "debit"]
    not_before: Moment | None = None


class AdjustmentPosted(Event, frozen=True, kw_only=True):
    """The ERP has posted the adjustment as `document_id`."""

    intent_id: Id
    account_id: Id
    amount: Money
    source_document: Id
    document_id: Id
    posted_at: Moment


class AdjustmentRefused(Event, frozen=True, kw_only=True):
    """The ERP has refused the adjustment for good. `code` is stable; `reason` is for people."""

    intent_id: Id
    account_id: Id
    amount: Money
    source_document: Id
    code: Annotated[str, Meta(min_length=1, max_length=64)]
    reason: LongText


def _on_stuck(data: AdjustmentRequest) -> OnStuck:
    """A correction or a renewal builds on what was posted before it; credits and refunds of an account do not."""
    return "hold" if data.reason_code in ("correction", "renewal") else "pass"


def _contract(name: str, struct: type[Command | Event], kind: Literal["event", "command"], summary: str) -> Contract:
    return Contract(
        type=name,
        version=1,
        struct=struct,
        kind=kind,
        owner="finance-systems",
        domain="erp-poster",
        summary=summary,
        opened=date(2026, 1, 1),
        business_key=lambda data: data.source_document,
        partition_key=lambda data: data.account_id,
        on_stuck=_on_stuck if struct is AdjustmentRequest else "pass",
    )


CONTRACTS = (
    _contract("erp.adjustment.request", AdjustmentRequest, "command", "Post an adjustment in the ERP."),
    _contract("erp.adjustment.posted", AdjustmentPosted, "event", "The ERP posted an adjustment."),
    _contract("erp.adjustment.refused", AdjustmentRefused, "event", "The ERP refused an adjustment."),
)
