"""The credit-policy decider: a support case in, a judged credit out, and the ERP adjustment it leads to."""

from __future__ import annotations

from datetime import datetime

import msgspec

from broker.effects import Done, Effect, Emit, Milestone, OpenException, Outcome, SaveState
from contracts.envelope import Envelope
from contracts.ids import intent_id
from contracts.messages import AdjustmentRequest, CaseOpened, CreditDecided, ProcessJudged
from contracts.money import Money
from policies.credit import DEFAULT_POLICY, CreditDecision, CreditFacts, CreditPolicy, evaluate

DOMAIN = "credit-policy"


class AccountCredits(msgspec.Struct, frozen=True):
    """What an account was granted in a period (a calendar month, UTC), and for which cases."""

    period: str
    granted: Money
    cases: frozenset[str] = frozenset()


class CreditPolicyDecider:
    """Judges each case once, against the account's credits of the same month.

    With `workflow`, what it judged becomes a process through all systems; without, an adjustment request to the ERP.
    """

    domain = DOMAIN
    handles = frozenset({"support.case.opened"})
    emits = frozenset(
        {
            "billing.credit.evaluated",
            "billing.credit.approved",
            "billing.credit.refused",
            "erp.adjustment.request",
            "process.judged",
        }
    )
    calls: frozenset[str] = frozenset()
    state = AccountCredits

    def __init__(self, policy: CreditPolicy = DEFAULT_POLICY, workflow: bool = False) -> None:
        self._policy = policy
        self._workflow = workflow

    def state_key(self, envelope: Envelope, data: CaseOpened) -> str:
        """Credits are counted by account."""
        return data.account_id

    def decide(self, envelope: Envelope, data: CaseOpened, state: AccountCredits | None, at: datetime) -> Outcome:
        """Evaluate, record inputs and reasons, and ask for the adjustment when the credit is approved."""
        period = f"{data.opened_at:%Y-%m}"
        if state is None or state.period != period or state.granted.currency != data.monthly_fee.currency:
            state = AccountCredits(period, Money(0, data.monthly_fee.currency))
        facts = CreditFacts(
            tier=data.tier,
            outage_class=data.outage_class,
            minutes=data.outage_minutes,
            monthly_fee=data.monthly_fee,
            granted=state.granted,
            case_credited=data.case_id in state.cases,
        )
        decision = evaluate(facts, self._policy)
        intent = intent_id(envelope.tenant, "service-credit", data.case_id)
        return Done(tuple(self._effects(envelope, data, decision, state, intent)))

    def _effects(
        self, envelope: Envelope, data: CaseOpened, decision: CreditDecision, state: AccountCredits, intent: str
    ) -> list[Effect]:
        judged = _judged(data, decision, intent)
        effects: list[Effect] = [
            Milestone("case", f"credit.{decision.verdict}", _facts(data, decision, intent)),
            Emit("billing.credit.evaluated", judged),
        ]
        granted = AccountCredits(state.period, state.granted + decision.amount, state.cases | {data.case_id})
        if decision.verdict == "approved":
            effects += [SaveState(granted), Emit("billing.credit.approved", judged)]
            if self._workflow:
                effects.append(Emit("process.judged", _process(data, decision, intent)))
            else:
                effects.append(Emit("erp.adjustment.request", _request(data, decision, intent)))
        elif decision.verdict == "refused":
            effects.append(Emit("billing.credit.refused", judged))
        elif self._workflow:  # counted while it waits for people, so that two that wait cannot exceed the cap together
            effects += [SaveState(granted), Emit("process.judged", _process(data, decision, intent))]
        else:
            why = f"{decision.amount} for case {data.case_id} needs approval: {' '.join(decision.reasons)}"
            effects.append(OpenException("policy", "finance", why))
        return effects


def _facts(data: CaseOpened, decision: CreditDecision, intent: str) -> dict[str, str]:
    return {
        "account": data.account_id,
        "amount": decision.amount.amount,
        "currency": decision.amount.currency,
        "code": decision.code,
        "policy_version": decision.policy_version,
        "reasons": " ".join(decision.reasons),
        "intent_id": intent,
        **{f"input.{name}": value for name, value in decision.inputs.items()},
    }


def _judged(data: CaseOpened, decision: CreditDecision, intent: str) -> CreditDecided:
    return CreditDecided(
        case_id=data.case_id,
        account_id=data.account_id,
        decision=decision.verdict,
        amount=decision.amount,
        policy_version=decision.policy_version,
        reasons=decision.reasons,
        inputs=decision.inputs,
        intent_id=intent,
    )


def _process(data: CaseOpened, decision: CreditDecision, intent: str) -> ProcessJudged:
    return ProcessJudged(
        process_id=data.case_id,
        kind="credit",
        account_id=data.account_id,
        amount=decision.amount,
        reason_code="service_credit",
        requested_by=DOMAIN,
        incident_id=data.incident_id,
        verdict="approved" if decision.verdict == "approved" else "approval_required",
        policy_version=decision.policy_version,
        intent_id=intent,
        tier=data.tier,
    )


def _request(data: CaseOpened, decision: CreditDecision, intent: str) -> AdjustmentRequest:
    return AdjustmentRequest(
        intent_id=intent,
        account_id=data.account_id,
        amount=decision.amount,
        reason_code="service_credit",
        source_document=data.case_id,
        kind="credit",
    )
