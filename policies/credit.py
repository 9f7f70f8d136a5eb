"""Service credit for an outage, version 1: facts in, decision with amount, reasons and inputs out.

The credit is the monthly fee x the rate of (tier, outage class) per hour x the minutes / 60, rounded once,
half to even, to whole minor units. It never exceeds the fee, nor what the cap leaves after the credits
already granted in the period. Same facts and same policy give the same decision, always; more minutes never
give less.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Literal, TypeAlias

from msgspec import Struct, field

from contracts.money import Money

POLICY_VERSION = "credit-policy/1"
_ALL_BP = 10_000

Verdict: TypeAlias = Literal["approved", "refused", "approval_required"]

# Basis points of the monthly fee per hour of outage. Ours; a contract with other terms sets its own table.
_RATES_BP: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "basic": MappingProxyType({"degraded": 0, "partial": 50, "full": 150}),
        "standard": MappingProxyType({"degraded": 25, "partial": 100, "full": 300}),
        "premium": MappingProxyType({"degraded": 50, "partial": 200, "full": 500}),
    }
)
_MINUTES_MIN: Mapping[str, int] = MappingProxyType({"basic": 60, "standard": 30, "premium": 15})
_AUTO_MAX: Mapping[str, int] = MappingProxyType({"EUR": 10_000, "USD": 10_000, "GBP": 10_000, "JPY": 10_000})

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "credit.approved": "The credit is within every limit and is approved.",
        "credit.approval_required": "The credit needs the approval of a person.",
        "credit.case_already_credited": "This case was credited before; one case gets one credit.",
        "credit.tier_unknown": "The service tier is not one that the policy knows.",
        "credit.outage_class_unknown": "The outage class is not one that the policy knows.",
        "credit.currency_mismatch": "The fee and the credits already granted are in different currencies.",
        "credit.no_fee": "There is no monthly fee to credit.",
        "credit.minutes_below_minimum": "The outage was shorter than the tier's minimum.",
        "credit.no_rate": "The tier has no credit for this class of outage.",
        "credit.cap_reached": "The credits of this period have reached the cap of the account.",
        "credit.rounds_to_zero": "The credit is less than half of the smallest unit of the currency.",
    }
)
"""Every reason code with its sentence. Codes are stable: they stand in messages, exceptions and reports."""


class CreditPolicy(Struct, frozen=True, kw_only=True):
    """The parameters. Rates and cap in basis points of the monthly fee; `auto_max_minor` in minor units.

    A currency without an `auto_max_minor` is never approved without a person. Raises ValueError for a rate,
    a cap or a minimum below 0, a cap above the whole fee, or a tier without a minimum.
    """

    rates_bp: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: _RATES_BP)
    minutes_min: Mapping[str, int] = field(default_factory=lambda: _MINUTES_MIN)
    auto_max_minor: Mapping[str, int] = field(default_factory=lambda: _AUTO_MAX)
    cap_bp: int = 3_000
    version: str = POLICY_VERSION

    def __post_init__(self) -> None:
        if not 0 <= self.cap_bp <= _ALL_BP:
            raise ValueError(f"cap_bp is {self.cap_bp}, expected 0 to {_ALL_BP}")
        for tier, rates in self.rates_bp.items():
            if self.minutes_min.get(tier, -1) < 0:
                raise ValueError(f"tier {tier!r} has rates but no minutes_min of 0 or more")
            if any(rate < 0 for rate in rates.values()):
                raise ValueError(f"tier {tier!r} has a rate below 0")


class CreditFacts(Struct, frozen=True, kw_only=True):
    """What is known about one case. `granted` is the sum of the account's credits in the period so far."""

    tier: str
    outage_class: str
    minutes: int
    monthly_fee: Money
    granted: Money
    case_credited: bool = False


class CreditDecision(Struct, frozen=True, kw_only=True):
    """The decision: `code` is the stable reason, `reasons` are sentences, `inputs` the facts as text.

    `amount` is what may be granted (approved), what is asked of a person (approval_required), or zero
    (refused).
    """

    verdict: Verdict
    code: str
    amount: Money
    policy_version: str
    reasons: list[str]
    inputs: dict[str, str]


DEFAULT_POLICY = CreditPolicy()


def evaluate(facts: CreditFacts, policy: CreditPolicy = DEFAULT_POLICY) -> CreditDecision:
    """Decide on one case. Facts that are merely wrong never raise: they are refused, with a code."""
    code = _refusal(facts, policy)
    if code is not None:
        return _decision(facts, policy, "refused", code, 0, [])
    full = _full_credit(facts, policy)
    room = _room(facts, policy)
    if full <= 0:
        return _decision(facts, policy, "refused", "credit.rounds_to_zero", 0, [])
    if room <= 0:
        return _decision(facts, policy, "refused", "credit.cap_reached", 0, [])
    minor = min(full, room)
    notes = [_cut_note(facts, full, minor)] if minor < full else []
    auto_max = policy.auto_max_minor.get(facts.monthly_fee.currency)
    if auto_max is None or minor > auto_max:
        notes.append(_threshold_note(facts, auto_max))
        return _decision(facts, policy, "approval_required", "credit.approval_required", minor, notes)
    return _decision(facts, policy, "approved", "credit.approved", minor, notes)


def _refusal(facts: CreditFacts, policy: CreditPolicy) -> str | None:
    """The first reason for which no amount needs to be computed, in the order in which people ask."""
    rates = policy.rates_bp.get(facts.tier)
    if facts.case_credited:
        return "credit.case_already_credited"
    if rates is None:
        return "credit.tier_unknown"
    if facts.outage_class not in rates:
        return "credit.outage_class_unknown"
    if facts.monthly_fee.currency != facts.granted.currency:
        return "credit.currency_mismatch"
    if facts.monthly_fee.minor <= 0:
        return "credit.no_fee"
    if facts.minutes < max(1, policy.minutes_min[facts.tier]):
        return "credit.minutes_below_minimum"
    return "credit.no_rate" if rates[facts.outage_class] == 0 else None


def _full_credit(facts: CreditFacts, policy: CreditPolicy) -> int:
    """The credit before the cap, in minor units, at most the fee."""
    rate = policy.rates_bp[facts.tier][facts.outage_class]
    share = min(Fraction(rate * facts.minutes, _ALL_BP * 60), Fraction(1))
    return facts.monthly_fee.percent_of(share).minor


def _room(facts: CreditFacts, policy: CreditPolicy) -> int:
    """What the cap leaves, in minor units. The cap is rounded down: a cap is never exceeded by rounding."""
    return facts.monthly_fee.minor * policy.cap_bp // _ALL_BP - max(0, facts.granted.minor)


def _decision(
    facts: CreditFacts, policy: CreditPolicy, verdict: Verdict, code: str, minor: int, notes: list[str]
) -> CreditDecision:
    return CreditDecision(
        verdict=verdict,
        code=code,
        amount=Money(minor, facts.monthly_fee.currency),
        policy_version=policy.version,
        reasons=[SENTENCES[code], *notes],
        inputs=_inputs(facts, policy),
    )


def _inputs(facts: CreditFacts, policy: CreditPolicy) -> dict[str, str]:
    """Everything the decision was made from, so that it can be made again."""
    auto_max = policy.auto_max_minor.get(facts.monthly_fee.currency)
    return {
        "tier": facts.tier,
        "outage_class": facts.outage_class,
        "minutes": str(facts.minutes),
        "monthly_fee": str(facts.monthly_fee),
        "granted": str(facts.granted),
        "case_credited": "yes" if facts.case_credited else "no",
        "rate_bp_per_hour": str(policy.rates_bp.get(facts.tier, {}).get(facts.outage_class, "none")),
        "minutes_min": str(policy.minutes_min.get(facts.tier, "none")),
        "cap_bp": str(policy.cap_bp),
        "auto_max_minor": "none" if auto_max is None else str(auto_max),
    }


def _cut_note(facts: CreditFacts, full: int, minor: int) -> str:
    currency = facts.monthly_fee.currency
    cut = f"Cut from {Money(full, currency)} to {Money(minor, currency)}"
    return f"{cut}: more would exceed the cap of the period."


def _threshold_note(facts: CreditFacts, auto_max: int | None) -> str:
    currency = facts.monthly_fee.currency
    if auto_max is None:
        return f"There is no amount in {currency} up to which a credit is approved without a person."
    return f"It is above {Money(auto_max, currency)}, up to which a credit is approved without a person."
