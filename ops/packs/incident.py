"""The incident pack: one outage, thousands of support cases, some escalated, some sent twice, some out of order.

Accounts get their cases by Zipf's law: a few have very many. Every case carries the facts of its account
(tier, fee), so the same credit policy that the daemon runs tells here what must come of it.
"""

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random
from typing import Any, get_args

import msgspec
from msgspec import Struct

from contracts.money import Money
from contracts.records import Tier
from ops.packs.day import OUTAGE
from ops.packs.message import Expected, Lane, PackMessage, at, cloud_event, tenant_of
from policies.credit import DEFAULT_POLICY, CreditDecision, CreditFacts, evaluate

EVENT = "support.case.opened"
WORKLOAD = "incident"
URGENT_SHARE = 0.05
BULK_SHARE = 0.10
DUPLICATE_SHARE = 0.03
CASES_PER_ACCOUNT = 2.5
ZIPF_EXPONENT = 0.65
SHUFFLE_WINDOW = 12
DUPLICATE_DELAY_MAX = 200
DAY_MS = 86_400_000
MINUTES_MAX = 480

# A tier that the contract does not allow cannot be sent; one that the policy does not rate earns nothing.
TIERS = tuple(tier for tier in get_args(Tier) if tier in DEFAULT_POLICY.rates_bp)
TIER_WEIGHTS = (50, 35, 15)
FEE_RANGES = ((4_900, 24_900), (19_900, 79_900), (59_900, 149_900))  # cents of EUR a month
CLASSES = ("none", "degraded", "partial", "full")
CLASS_WEIGHTS = (8, 12, 42, 38)
SEVERITIES = ("low", "normal", "high")
SEVERITY_WEIGHTS = (20, 55, 25)


class Account(Struct, frozen=True):
    """The facts that all cases of an account share."""

    number: int
    tier: str
    fee: Money

    @property
    def id(self) -> str:
        return f"acc-{self.number:05d}"


class Case(Struct, frozen=True):
    """One case before it has a place in the line."""

    number: int
    account: Account
    incident: int
    outage_class: str
    minutes: int
    lane: Lane
    severity: str
    backdated_ms: int

    def decision(self) -> CreditDecision:
        """What the policy says of the case alone, with nothing granted to the account before."""
        facts = CreditFacts(
            tier=self.account.tier,
            outage_class=self.outage_class,
            minutes=self.minutes,
            monthly_fee=self.account.fee,
            granted=Money(0, self.account.fee.currency),
        )
        return evaluate(facts)


def incident(cases: int, seed: int, random: Random, hours: float) -> Iterator[PackMessage]:
    """All messages in send order, over a day of so many hours. Memory: one small object a case."""
    made = _shuffled_nearby(list(_cases(cases, random)), random)
    expected = _expectations(made)
    messages = list(_messages(made, expected, seed, hours))
    return iter(_with_duplicates(messages, random))


def _cases(cases: int, random: Random) -> Iterator[Case]:
    accounts = [_account(number, random) for number in range(max(1, int(cases / CASES_PER_ACCOUNT)))]
    reach = list(accumulate((rank + 1) ** -ZIPF_EXPONENT for rank in range(len(accounts))))
    for number in range(cases):
        account = accounts[min(bisect(reach, random.random() * reach[-1]), len(accounts) - 1)]
        yield _case(number, account, random)


def _account(number: int, random: Random) -> Account:
    place = random.choices(range(len(TIERS)), _fitted(TIER_WEIGHTS, len(TIERS)))[0]
    low, high = FEE_RANGES[min(place, len(FEE_RANGES) - 1)]
    # Fees end in .00 or .90, as price lists do.
    return Account(number, TIERS[place], Money(random.randint(low, high) // 100 * 100 - random.choice((0, 10)), "EUR"))


def _fitted(weights: Sequence[int], count: int) -> list[int]:
    return [weights[min(place, len(weights) - 1)] for place in range(count)]


def _case(number: int, account: Account, random: Random) -> Case:
    lane = _lane(random)
    severity = random.choices(SEVERITIES, SEVERITY_WEIGHTS)[0]
    outage_class = random.choices(CLASSES, CLASS_WEIGHTS)[0]
    minutes = min(MINUTES_MAX, 15 + int(random.expovariate(1 / 110)))
    return Case(
        number=number,
        account=account,
        incident=random.choices((1, 2, 3), (80, 15, 5))[0],
        outage_class=outage_class,
        minutes=0 if outage_class == "none" else minutes,
        lane=lane,
        severity="urgent" if lane == "urgent" else severity,
        backdated_ms=random.randrange(DAY_MS, 30 * DAY_MS) if lane == "bulk" else 0,
    )


def _lane(random: Random) -> Lane:
    """Escalated cases are urgent; cases that somebody enters late, for days gone by, are bulk."""
    draw = random.random()
    if draw < URGENT_SHARE:
        return "urgent"
    return "bulk" if draw < URGENT_SHARE + BULK_SHARE else "standard"


def _shuffled_nearby(cases: list[Case], random: Random) -> list[Case]:
    """Connectors deliver a little out of order: nothing moves by more than the window."""
    return sorted(cases, key=lambda case: case.number + random.random() * SHUFFLE_WINDOW)


def _expectations(cases: Sequence[Case]) -> dict[int, Expected]:
    """By case number. A case must be posted when even all credits of its account together stay under the cap."""
    decisions = {case.number: case.decision() for case in cases}
    wanted: dict[int, int] = defaultdict(int)
    for case in cases:
        wanted[case.account.number] += decisions[case.number].amount.minor
    expected: dict[int, Expected] = {}
    for case in cases:
        verdict = decisions[case.number].verdict
        room = case.account.fee.minor * DEFAULT_POLICY.cap_bp // 10_000
        if verdict == "refused":
            expected[case.number] = "refuse"
        elif verdict == "approved" and wanted[case.account.number] <= room:
            expected[case.number] = "post"
        else:
            expected[case.number] = "either"
    return expected


def _messages(cases: Sequence[Case], expected: dict[int, Expected], seed: int, hours: float) -> Iterator[PackMessage]:
    sequences: Counter[tuple[int, Lane]] = Counter()
    for place, case in enumerate(cases):
        sequences[case.account.number, case.lane] += 1
        offset_ms = OUTAGE.at_ms(place / len(cases), hours)
        yield PackMessage(
            event=_event(case, seed, offset_ms),
            account=case.account.id,
            tenant=tenant_of(case.account.number),
            workload=WORKLOAD,
            key=f"case-{seed}-{case.number:06d}",
            lane=case.lane,
            sequence=sequences[case.account.number, case.lane],
            offset_ms=offset_ms,
            expected=expected[case.number],
        )


def _event(case: Case, seed: int, offset_ms: int) -> dict[str, Any]:
    case_id = f"case-{seed}-{case.number:06d}"
    tenant = tenant_of(case.account.number)
    extensions = {"tenant": tenant, "workload": WORKLOAD, "partitionkey": case.account.id}
    if case.lane == "bulk":
        extensions["lane"] = "bulk"
    data = {
        "case_id": case_id,
        "account_id": case.account.id,
        "incident_id": f"inc-{seed}-{case.incident}",
        "outage_class": case.outage_class,
        "outage_minutes": case.minutes,
        "tier": case.account.tier,
        "monthly_fee": case.account.fee.to_wire(),
        "escalated": case.lane == "urgent",
        "severity": case.severity,
        "opened_at": at(offset_ms - case.backdated_ms),
    }
    return cloud_event(EVENT, f"evt-{case_id}", "urn:pack:incident", case_id, offset_ms, data, **extensions)


def _with_duplicates(messages: Sequence[PackMessage], random: Random) -> list[PackMessage]:
    """Send some events again, unchanged, a while after the first time."""
    late: dict[int, list[PackMessage]] = defaultdict(list)
    for place, message in enumerate(messages):
        if random.random() < DUPLICATE_SHARE:
            after = min(place + 1 + random.randrange(DUPLICATE_DELAY_MAX), len(messages) - 1)
            late[after].append(message)
    sent: list[PackMessage] = []
    for place, message in enumerate(messages):
        sent.append(message)
        sent += [msgspec.structs.replace(again, offset_ms=message.offset_ms, duplicate=True) for again in late[place]]
    return sent
