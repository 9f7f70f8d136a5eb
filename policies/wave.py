"""An incident approved as a whole: what a cap lets through, what waits for a person, and what stops everything.

People approve a cap (amounts by currency, how many cases, how many of one account) after looking at what an incident
has come to. A case within it needs no approval of its own; one that is not within waits for a person. Some things do
not fit what the people looked at; then the whole wave is held, until somebody who may approve it lets it go on.
Our own rules and numbers.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.money import Money
from policies.approval import DEFAULT_POLICY, RANKS, ApprovalPolicy, Ask, Need, Refused, Vote, covered, need

Phase = Literal["open", "running", "held"]
SECOND_US: Final = 1_000_000


class Cap(Struct, frozen=True):
    """What a wave may come to: minor units by currency, cases, and cases of one account."""

    minor: dict[str, int]
    cases: int
    per_account: int = 1


class Seen(Struct, frozen=True):
    """What the people looked at: every case that needs people and was there at `until` (microseconds).

    `digest` is of the cases with their own digests. `asked`: minor units by currency; `median`, `largest` and `known`
    (how many they are of) likewise.
    """

    until: int
    cases: int
    digest: str
    asked: dict[str, int]
    median: dict[str, int]
    known: dict[str, int]
    largest: dict[str, int] = {}


class Proposal(Struct, frozen=True):
    """A cap that people are asked to approve, or have approved. `digest` binds it to what they looked at."""

    cap: Cap
    seen: Seen
    digest: str
    need: Need
    votes: tuple[Vote, ...] = ()

    @property
    def approvers(self) -> frozenset[str]:
        """Everybody who took part."""
        return frozenset(name for vote in self.votes for name in (vote.who, vote.behalf or vote.who))


class Hold(Struct, frozen=True):
    """Why nothing more is let through, who said so, and since when (microseconds). `rule`: empty for a person's."""

    who: str
    reason: str
    at: int
    rule: str = ""


class Wave(Struct, frozen=True, kw_only=True):
    """Where the approval of an incident stands. `used`: minor units by currency that were let through, over all caps.

    `since`: ends of processes before this moment no longer count against it. `mark`: what had been asked at `mark_at`.
    `places`: how many cases were met.
    """

    tenant: str
    incident: str
    phase: Phase = "open"
    proposal: Proposal | None = None
    grant: Proposal | None = None
    used: dict[str, int] = {}
    cases: int = 0
    places: int = 0
    hold: Hold | None = None
    since: int = 0
    mark_at: int = 0
    mark: dict[str, int] = {}

    @property
    def id(self) -> str:
        """Its name in the store."""
        return f"{self.tenant}/{self.incident}"


class Case(Struct, frozen=True, kw_only=True):
    """A case that waits for people. `asked_by_person` and `replayers` as in `approval.Ask`."""

    process: str
    key: str
    account: str
    minor: int
    currency: str
    requester: str
    digest: str
    asked_by_person: bool = False
    replayers: frozenset[str] = frozenset()


class Rules(Struct, frozen=True, kw_only=True):
    """When a wave stops by itself.

    More than `refused_percent` of the last ends were not posted (of at least `ends_least`, and `refused_least` of
    them); an amount is larger than any that was seen and more than `outlier_times` their median; more than
    `jump_percent` of the cap was asked anew within `jump_seconds`. The last two need `known_least` cases that were
    seen: fewer tell nothing. And when for `stall_seconds` nothing that was let through was taken up, while others wait.
    """

    refused_percent: int = 5
    refused_least: int = 5
    ends_least: int = 20
    outlier_times: int = 20
    known_least: int = 20
    jump_percent: int = 50
    jump_seconds: int = 60
    stall_seconds: int = 900


DEFAULT_RULES: Final = Rules()


class Release(Struct, frozen=True, tag=True):
    """It goes on, without an approval of its own."""


class Wait(Struct, frozen=True, tag=True):
    """It waits for a person, and the wave goes on."""

    why: str


class Stop(Struct, frozen=True, tag=True):
    """The wave is held. A case that stops it waits for a person, also when the wave goes on."""

    rule: str
    why: str


Verdict: TypeAlias = Release | Wait | Stop


# approving ---------------------------------------------------------------------------------------------------


def digest_of_cases(cases: Iterable[tuple[str, str]]) -> str:
    """Stands for cases and what each of them asks: keys with their digests, in order of the keys."""
    found = hashlib.sha256()
    for key, digest in cases:
        found.update(f"{len(key)}:{key}{len(digest)}:{digest}".encode())
    return found.hexdigest()


def digest_of(tenant: str, incident: str, cap: Cap, seen: Seen) -> str:
    """What an approval is bound to: the incident, the cap, and what was looked at, until when."""
    amounts = ",".join(f"{currency}={minor}" for currency, minor in sorted(cap.minor.items()))
    parts = (tenant, incident, amounts, str(cap.cases), str(cap.per_account), str(seen.cases), seen.digest)
    whole = "".join(f"{len(part)}:{part}" for part in parts)
    return f"w{seen.until}-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


def until_of(digest: str) -> int | None:
    """Until when the people looked who name this digest; None when it is none of ours."""
    head, sign, tail = digest.partition("-")
    number = head.removeprefix("w")
    fits = head.startswith("w") and sign and tail and number.isascii() and number.isdigit() and len(number) < 18
    return int(number) if fits else None


def wave_need(cap: Cap, exposure: Mapping[str, int], policy: ApprovalPolicy = DEFAULT_POLICY) -> Need:
    """Who must approve a cap: whoever would have to approve it as one amount, in the currency that needs most."""
    needs = [
        need(_asked(minor, max(minor, exposure.get(currency, 0)), currency), policy)
        for currency, minor in sorted(cap.minor.items())
    ]
    first = max(needs, key=lambda one: (one.people, RANKS[one.role]))
    role = max((one.role for one in needs), key=RANKS.__getitem__)
    return replace(first, role=role)


def _asked(minor: int, exposure: int, currency: str) -> Ask:
    return Ask(digest="", amount=Money(minor, currency), exposure=Money(exposure, currency), requester="")


def wave_ask(proposal: Proposal) -> Ask:
    """What is to be approved, for the policy that judges votes. Nobody asked for it: whoever votes sets the cap."""
    currency, minor = max(proposal.cap.minor.items(), key=lambda item: item[1])
    return replace(_asked(minor, minor, currency), digest=proposal.digest)


def granted(wave: Wave, proposal: Proposal, asked: Mapping[str, int], now: int) -> Wave:
    """The wave runs under what was approved; it is judged by what happens from now on."""
    return replace(
        wave, phase="running", grant=proposal, proposal=None, hold=None, since=now, mark_at=now, mark=dict(asked)
    )


def held(wave: Wave, hold: Hold) -> Wave:
    """Nothing more is let through."""
    return replace(wave, phase="held", hold=hold)


def resumed(wave: Wave, asked: Mapping[str, int], now: int) -> Wave:
    """It goes on; what has stopped it is looked upon as known."""
    phase: Phase = "running" if wave.grant is not None else "open"
    return replace(wave, phase=phase, hold=None, since=now, mark_at=now, mark=dict(asked))


# letting through ---------------------------------------------------------------------------------------------


def look(
    wave: Wave,
    ends: Sequence[bool],
    asked: Mapping[str, int],
    now: int,
    rules: Rules = DEFAULT_RULES,
    returned: int = 0,
) -> tuple[Wave, Stop | None]:
    """Whether the incident still is what was approved. `ends`: the last ends since `wave.since`, True for posted.

    `returned`: cases of late that were let through and are with people again, because their process would not go on.
    """
    if wave.grant is None:
        return wave, None
    stop = _refusals(ends, returned, rules) or _jump(wave, wave.grant, asked, rules)
    if now - wave.mark_at >= rules.jump_seconds * SECOND_US:
        wave = replace(wave, mark_at=now, mark=dict(asked))
    return wave, stop


def _refusals(ends: Sequence[bool], returned: int, rules: Rules) -> Stop | None:
    count, bad = len(ends) + returned, sum(not posted for posted in ends) + returned
    if count < rules.ends_least or bad < rules.refused_least or bad * 100 <= rules.refused_percent * count:
        return None
    own = f", {returned} of them are with people again" if returned else ""
    share = f"{bad * 100 / count:.0f}%, more than {rules.refused_percent}%"
    return Stop("refused", f"{bad} of the last {count} credits were refused{own} ({share})")


def _jump(wave: Wave, grant: Proposal, asked: Mapping[str, int], rules: Rules) -> Stop | None:
    if grant.seen.cases < rules.known_least:
        return None
    for currency, minor in sorted(asked.items()):
        more = minor - wave.mark.get(currency, 0)
        limit = grant.cap.minor.get(currency, 0)
        if limit and more * 100 > rules.jump_percent * limit:
            percent = more * 100 // limit
            told = f"{Money(more, currency)} more was asked within {rules.jump_seconds} s"
            return Stop("jump", f"{told}: {percent}% of the cap, more than {rules.jump_percent}%")
    return None


def judge_case(wave: Wave, case: Case, of_account: int, rules: Rules = DEFAULT_RULES) -> Verdict:
    """What becomes of a case. `of_account`: cases of its account that were let through already."""
    grant = wave.grant
    if grant is None or wave.phase != "running":
        return Wait("the wave does not run")
    if isinstance(refused := covered(_ask(case), case.digest, grant.approvers), Refused):
        return Wait(refused.sentence)
    money = Money(case.minor, case.currency)
    median, known = grant.seen.median.get(case.currency, 0), grant.seen.known.get(case.currency, 0)
    usual_minor = max(rules.outlier_times * median, grant.seen.largest.get(case.currency, 0))
    if known >= rules.known_least and case.minor > usual_minor:
        usual = Money(median, case.currency)
        return Stop("outlier", f"{case.key} asks for {money}: more than {rules.outlier_times} times the usual {usual}")
    if of_account >= grant.cap.per_account:
        times = f"{of_account} case{'s' if of_account > 1 else ''} already"
        return Stop("account", f"account {case.account} asks once more with {case.key}; it has had {times}")
    limit = grant.cap.minor.get(case.currency)
    if limit is None:
        return Wait(f"the cap has no {case.currency}")
    if wave.cases >= grant.cap.cases:
        return Wait(f"the cap of {grant.cap.cases} cases is used up")
    used = wave.used.get(case.currency, 0)
    if used + case.minor > limit:
        return Wait(f"with {money} it would exceed the cap of {Money(limit, case.currency)}")
    return Release()


def _ask(case: Case) -> Ask:
    return replace(
        _asked(case.minor, case.minor, case.currency),
        digest=case.digest,
        requester=case.requester,
        asked_by_person=case.asked_by_person,
        replayers=case.replayers,
    )


def met(wave: Wave, case: Case, verdict: Verdict) -> Wave:
    """The wave after a case."""
    wave = replace(wave, places=wave.places + 1)
    if not isinstance(verdict, Release):
        return wave
    used = {**wave.used, case.currency: wave.used.get(case.currency, 0) + case.minor}
    return replace(wave, used=used, cases=wave.cases + 1)


def room(under_way: int, per_lead: int, most: int = 500, least: int = 20) -> int:
    """How many more cases may be let through, so that not more are under way than the ERP takes in a while.

    `per_lead`: calls that it takes in that while. What is stopped is so never more than that.
    """
    return max(0, min(max(per_lead, least) - under_way, most))


def stalled(untaken: int, seconds: float, rules: Rules = DEFAULT_RULES) -> Stop | None:
    """Whether something is wrong with what was let through. `seconds`: how long there has been no room for more, with
    `untaken` cases let through and none of them taken up, while others waited."""
    if seconds < rules.stall_seconds:
        return None
    told = f"{untaken} cases were let through and none of them was taken up for {rules.stall_seconds} s"
    return Stop("stalled", f"{told}, while others wait")
