"""Promises of the credit policy: never above cap or fee, more minutes never give less, reasons told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.money import Money
from policies.credit import POLICY_VERSION, SENTENCES, CreditFacts, CreditPolicy, evaluate

POLICY = CreditPolicy()
TIERS = st.sampled_from(["basic", "standard", "premium", "gold"])
CLASSES = st.sampled_from(["degraded", "partial", "full", "odd"])


@st.composite
def facts(draw):
    currency = draw(st.sampled_from(["EUR", "JPY", "KWD"]))
    return CreditFacts(
        tier=draw(TIERS),
        outage_class=draw(CLASSES),
        minutes=draw(st.integers(-10, 100_000)),
        monthly_fee=Money(draw(st.integers(-5, 10**9)), currency),
        granted=Money(draw(st.integers(-5, 10**9)), draw(st.sampled_from([currency, currency, "USD"]))),
        case_credited=draw(st.booleans()),
    )


def outage(**more):
    base = CreditFacts(
        tier="standard",
        outage_class="full",
        minutes=120,
        monthly_fee=Money(100_000, "EUR"),
        granted=Money(0, "EUR"),
    )
    return replace(base, **more)


@given(facts(), st.integers(0, 10_000))
def test_a_credit_never_exceeds_the_fee_or_what_the_cap_leaves(case, cap_bp):
    decision = evaluate(case, CreditPolicy(cap_bp=cap_bp))
    amount, fee = decision.amount.minor, case.monthly_fee.minor
    if decision.verdict == "refused":
        assert amount == 0
    else:
        assert 0 < amount <= fee
        assert 10_000 * (amount + max(0, case.granted.minor)) <= fee * cap_bp


@given(facts(), st.integers(0, 5_000))
def test_more_minutes_never_give_less(case, more):
    longer = replace(case, minutes=case.minutes + more)
    assert evaluate(case).amount <= evaluate(longer).amount


@given(facts())
def test_the_same_facts_give_the_same_decision_with_reason_version_and_inputs(case):
    decision = evaluate(case)
    assert decision == evaluate(case)
    assert decision.policy_version == POLICY_VERSION == "credit-policy/1"
    assert decision.reasons[0] == SENTENCES[decision.code]
    assert all(reason.endswith(".") for reason in decision.reasons)
    assert all(isinstance(value, str) for value in decision.inputs.values())
    assert decision.amount.currency == case.monthly_fee.currency


@given(facts())
def test_a_credit_above_the_threshold_is_never_approved_without_a_person(case):
    decision = evaluate(case)
    if decision.verdict == "approved":
        assert decision.amount.minor <= POLICY.auto_max_minor[case.monthly_fee.currency]


def test_a_credit_is_the_rate_for_the_hours_of_the_outage():
    decision = evaluate(outage())
    assert (decision.verdict, decision.amount) == ("approved", Money(6_000, "EUR"))


def test_halves_are_rounded_to_even_once():
    # 300 bp per hour for 60 minutes: 3 % of 50 minor units is 1.5, of 150 it is 4.5
    for fee, credit in [(50, 2), (150, 4)]:
        assert evaluate(outage(minutes=60, monthly_fee=Money(fee, "EUR"))).amount == Money(credit, "EUR")


def test_a_credit_is_cut_to_what_the_cap_leaves_and_says_so():
    decision = evaluate(outage(granted=Money(29_000, "EUR")))
    assert decision.amount == Money(1_000, "EUR")
    assert "Cut from 60.00 EUR to 10.00 EUR" in decision.reasons[1]


def test_a_large_credit_needs_a_person():
    decision = evaluate(outage(minutes=300))
    assert (decision.verdict, decision.amount.minor) == ("approval_required", 15_000)
    assert "above 100.00 EUR" in decision.reasons[1]


def test_a_currency_without_a_threshold_needs_a_person():
    fee = Money(100_000, "CHF")
    assert evaluate(outage(monthly_fee=fee, granted=Money(0, "CHF"))).verdict == "approval_required"


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (outage(case_credited=True), "credit.case_already_credited"),
        (outage(tier="gold"), "credit.tier_unknown"),
        (outage(outage_class="odd"), "credit.outage_class_unknown"),
        (outage(granted=Money(0, "USD")), "credit.currency_mismatch"),
        (outage(monthly_fee=Money(0, "EUR")), "credit.no_fee"),
        (outage(minutes=29), "credit.minutes_below_minimum"),
        (outage(tier="basic", outage_class="degraded"), "credit.no_rate"),
        (outage(granted=Money(30_000, "EUR")), "credit.cap_reached"),
        (outage(monthly_fee=Money(3, "EUR")), "credit.rounds_to_zero"),
    ],
)
def test_every_refusal_has_its_own_stable_code(case, code):
    decision = evaluate(case)
    assert (decision.verdict, decision.code, decision.amount.minor) == ("refused", code, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"cap_bp": 10_001}, {"cap_bp": -1}, {"minutes_min": {}}, {"rates_bp": {"basic": {"full": -1}}}],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"cap_bp|minutes_min|below 0"):
        CreditPolicy(**wrong)
