"""The erp-poster's decider: a checked adjustment request becomes a call that waits for its turn."""

from __future__ import annotations

from datetime import datetime

from broker.effects import Done, Milestone, Outcome, RequestCall
from contracts.envelope import Envelope
from contracts.messages import AdjustmentRequest

DOMAIN = "erp-poster"
SYSTEM = "erp"
OPERATION = "adjustment.create"


class ErpRequestDecider:
    """Remembers nothing: the ledger itself knows every intent."""

    domain = DOMAIN
    handles = frozenset({"erp.adjustment.request"})
    emits: frozenset[str] = frozenset()
    calls = frozenset({SYSTEM})
    state = None

    def state_key(self, envelope: Envelope, data: AdjustmentRequest) -> str:
        """Unused, as there is no state."""
        return data.account_id

    def decide(self, envelope: Envelope, data: AdjustmentRequest, state: None, at: datetime) -> Outcome:
        """One call for one intent, in order with the other calls of the account."""
        facts = {"amount": data.amount.amount, "currency": data.amount.currency, "intent_id": data.intent_id}
        call = RequestCall(
            system=SYSTEM,
            operation=OPERATION,
            intent_id=data.intent_id,
            order_key=data.account_id,
            body=data,
            money=data.amount,
            not_before=data.not_before,
        )
        return Done((Milestone("adjustment", "erp.requested", facts), call))
