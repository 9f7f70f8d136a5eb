"""Who must approve, and whether a vote counts: thresholds, roles, segregation of duties.

Requester, approvers and whoever sends a refused thing again are different people. An approval is bound to the digest of
what was approved; what has changed since needs a new one. A delegate acts for somebody else and with that person's
role, is a person of their own for all other rules, and never stands for two.
Our own thresholds; a house sets its own.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

from contracts.money import Money

POLICY_VERSION: Final = "approval/1"
RANKS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "support-agent": 0,
        "support-lead": 0,
        "finance-clerk": 1,
        "finance-manager": 2,
        "finance-director": 3,
        "cfo": 4,
    }
)
"""Roles by what they may approve; rank 0 approves nothing, not even for somebody else."""
UNNAMED: Final = "operator"
"""Whoever holds the one token of a set-up in which nobody has one of their own. Not told from anybody else, so what
a person asked for is taken as asked for by this one."""
_LADDER: Final = tuple(role for role, rank in RANKS.items() if rank > 0)
_DAY_SECONDS: Final = 86_400


class Threshold(Struct, frozen=True):
    """Amounts above `above_minor` (minor units) need so many people of at least this role."""

    above_minor: int
    people: int
    role: str


_AMOUNTS: Final = (
    Threshold(0, 1, "finance-clerk"),
    Threshold(50_000, 1, "finance-manager"),
    Threshold(200_000, 2, "finance-manager"),
    Threshold(2_000_000, 2, "finance-director"),
)
_EXPOSURES: Final = (Threshold(25_000_000, 1, "finance-manager"), Threshold(100_000_000, 2, "finance-director"))


class ApprovalPolicy(Struct, frozen=True, kw_only=True):
    """The parameters. `amounts` and `exposures` by currency, rising; `exposures` count a whole incident.

    A currency without thresholds needs two people of the highest role. `automatic_minor`: up to here what another
    policy has judged needs nobody. `fresh_seconds`: what was read of the customer longer before the approval is read
    again.
    """

    amounts: Mapping[str, tuple[Threshold, ...]] = field(
        default_factory=lambda: dict.fromkeys(("EUR", "USD", "GBP"), _AMOUNTS)
    )
    exposures: Mapping[str, tuple[Threshold, ...]] = field(
        default_factory=lambda: dict.fromkeys(("EUR", "USD", "GBP"), _EXPOSURES)
    )
    automatic_minor: Mapping[str, int] = field(
        default_factory=lambda: dict.fromkeys(("EUR", "USD", "GBP", "JPY"), 10_000)
    )
    escalate_seconds: int = 3 * _DAY_SECONDS
    expire_seconds: int = 21 * _DAY_SECONDS
    fresh_seconds: int = _DAY_SECONDS
    version: str = POLICY_VERSION


class Ask(Struct, frozen=True, kw_only=True):
    """What is to be approved. `exposure`: the incident so far, this included. `judged`: a policy approved it.

    `asked_by_person`: `requester` is a person and not a policy.
    """

    digest: str
    amount: Money
    exposure: Money
    requester: str
    judged: bool = False
    asked_by_person: bool = False
    replayers: frozenset[str] = frozenset()


class Need(Struct, frozen=True):
    """How many people of at least which role; `people` 0: nobody."""

    people: int
    role: str
    why: str


class Person(Struct, frozen=True):
    """Somebody we know, and their role."""

    name: str
    role: str


class Delegation(Struct, frozen=True):
    """`taker` may vote for `giver` until a moment (microseconds since the epoch)."""

    giver: str
    taker: str
    until: int


class Vote(Struct, frozen=True, kw_only=True):
    """What a person says, about the thing with this digest. `behalf`: for whom, if not for themselves."""

    who: str
    verdict: Literal["approve", "reject"]
    digest: str
    behalf: str | None = None
    reason: str = ""


class Refused(Struct, frozen=True, tag=True):
    """The vote does not count. `code` is stable, `sentence` says why and what to do."""

    code: str
    sentence: str


class Counted(Struct, frozen=True, tag=True):
    """It counts; so many more are needed."""

    left: int


class Approved(Struct, frozen=True, tag=True):
    """That was the last one needed."""


class Rejected(Struct, frozen=True, tag=True):
    """Somebody entitled said no."""


Judgement: TypeAlias = Refused | Counted | Approved | Rejected

DEFAULT_POLICY: Final = ApprovalPolicy()
_CANNOT_READ: Final = Threshold(0, 2, _LADDER[-1])


def need(ask: Ask, policy: ApprovalPolicy = DEFAULT_POLICY) -> Need:
    """Who must approve. Same facts, same answer; more money never needs fewer people or a lower role."""
    currency, minor = ask.amount.currency, ask.amount.minor
    reasons: list[str] = []
    needed = Threshold(0, 0, _LADDER[0])
    if not (ask.judged and minor <= policy.automatic_minor.get(currency, -1)):
        needed = _of(policy.amounts, currency, minor) or Threshold(0, 1, _LADDER[0])
        reasons.append(f"the amount is {ask.amount}")
    exposed = _of(policy.exposures, currency, ask.exposure.minor) if ask.exposure.currency == currency else _CANNOT_READ
    if exposed is not None:
        higher = max(needed.role, exposed.role, key=RANKS.__getitem__)
        needed = Threshold(0, max(needed.people, exposed.people), higher)
        reasons.append(f"the incident has cost {ask.exposure} with this one")
    return Need(needed.people, needed.role, " and ".join(reasons) or "a policy has judged it, within every limit")


def _of(table: Mapping[str, tuple[Threshold, ...]], currency: str, minor: int) -> Threshold | None:
    """The last threshold that is passed; a currency that nobody set limits for is treated as the worst case."""
    if currency not in table:
        return _CANNOT_READ
    return next((one for one in reversed(table[currency]) if minor > one.above_minor), None)


def escalated(needed: Need) -> Need:
    """The same number of people, one role higher; the highest stays."""
    place = _LADDER.index(needed.role)
    return Need(needed.people, _LADDER[min(place + 1, len(_LADDER) - 1)], f"{needed.why}; nobody answered in time")


def stricter(one: Need, other: Need) -> Need:
    """Both at once: the more people and the higher role. Why is told of the first, if it needs no less."""
    both = max(one.people, other.people), max(one.role, other.role, key=RANKS.__getitem__)
    for need in (one, other):
        if both == (need.people, need.role):
            return need
    return Need(*both, f"{one.why}; {other.why}")


def judge(
    ask: Ask,
    needed: Need,
    votes: Sequence[Vote],
    vote: Vote,
    people: Mapping[str, Person],
    delegations: Sequence[Delegation],
    now: int,
) -> Judgement:
    """Whether a vote counts, after the votes that counted before. `now` in microseconds since the epoch."""
    refused = _refusal(ask, needed, votes, vote, people, delegations, now)
    if refused is not None:
        return refused
    if vote.verdict == "reject":
        return Rejected()
    left = needed.people - sum(one.verdict == "approve" for one in votes) - 1
    return Counted(left) if left > 0 else Approved()


def _refusal(
    ask: Ask,
    needed: Need,
    votes: Sequence[Vote],
    vote: Vote,
    people: Mapping[str, Person],
    delegations: Sequence[Delegation],
    now: int,
) -> Refused | None:
    principal = vote.behalf or vote.who
    both = {vote.who, principal}
    unknown = sorted(both - people.keys())
    if unknown:
        return Refused(
            "approval.person", f"{unknown[0]} is not among the people who may approve. Add them, with a role."
        )
    if vote.digest != ask.digest:
        return Refused(
            "approval.changed", "It is not what you saw: it was changed, or this is another one. Look again."
        )
    if ask.requester in both:
        return Refused("approval.own", f"{ask.requester} asked for it, so somebody else must approve it.")
    if UNNAMED in both and ask.asked_by_person:
        why = "The one token cannot be told from who asked. Give people tokens of their own (operators.named)."
        return Refused("approval.own", why)
    if ask.replayers & both:
        return Refused("approval.replayer", "Whoever sent it again must not approve it. Somebody else must.")
    if both & {name for one in votes for name in (one.who, one.behalf or one.who)}:
        return Refused("approval.twice", f"{vote.who} (or {principal}) has voted already; another person is needed.")
    if vote.behalf is not None and not _may_stand_in(vote, delegations, now):
        return Refused("approval.delegation", f"{vote.who} has no delegation of {vote.behalf} that is in force.")
    low = next((name for name in sorted(both) if RANKS.get(people[name].role, 0) < 1), None)
    if low is not None:
        return Refused("approval.role", f"{low} is a {people[low].role}: that role approves nothing.")
    if RANKS[people[principal].role] < RANKS[needed.role]:
        return Refused(
            "approval.role", f"It needs a {needed.role} or higher; {principal} is a {people[principal].role}."
        )
    return None


def covered(ask: Ask, digest: str, approvers: Collection[str]) -> Refused | Approved:
    """Whether an approval of its whole incident by these people is one of this case, as it was with this digest."""
    if digest != ask.digest:
        return Refused("approval.changed", "It was changed since its incident was approved.")
    if ask.requester in approvers or not approvers:
        return Refused("approval.own", f"{ask.requester} asked for it, so somebody else must approve it.")
    if ask.replayers & set(approvers):
        return Refused("approval.replayer", "Whoever sent it again must not approve it. Somebody else must.")
    if UNNAMED in approvers and ask.asked_by_person:
        return Refused("approval.own", "The one token cannot be told from who asked.")
    return Approved()


def _may_stand_in(vote: Vote, delegations: Sequence[Delegation], now: int) -> bool:
    return any((d.giver, d.taker) == (vote.behalf, vote.who) and now < d.until for d in delegations)


def may_replay(ask: Ask, votes: Sequence[Vote], who: str) -> Refused | None:
    """Whether this person may send a refused thing again: neither who asked for it nor who approved it."""
    if who == ask.requester or (who == UNNAMED and ask.asked_by_person):
        return Refused("approval.own", f"{who} asked for it, so somebody else must send it again.")
    if who in {name for one in votes for name in (one.who, one.behalf or one.who)}:
        return Refused("approval.replayer", f"{who} approved it, so somebody else must send it again.")
    return None
