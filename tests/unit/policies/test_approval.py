"""Requester, approvers and replayer are different people, whoever votes in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.money import Money
from policies.approval import (
    RANKS,
    UNNAMED,
    Approved,
    Ask,
    Counted,
    Delegation,
    Judgement,
    Need,
    Person,
    Refused,
    Rejected,
    Vote,
    covered,
    escalated,
    judge,
    may_replay,
    need,
    stricter,
)

NAMES = ["ann", "ben", "cid", "dot", "eve"]
names = st.sampled_from(NAMES)
roles = st.sampled_from(sorted(RANKS))
people = st.fixed_dictionaries({name: roles for name in NAMES}).map(
    lambda found: {name: Person(name, role) for name, role in found.items()}
)
votes = st.builds(
    Vote,
    who=st.sampled_from([*NAMES, "stranger"]),
    verdict=st.sampled_from(["approve", "approve", "approve", "reject"]),
    digest=st.sampled_from(["seen", "seen", "seen", "other"]),
    behalf=st.none() | names,
)
delegations = st.sets(st.tuples(names, names)).map(
    lambda pairs: [Delegation(giver, taker, 100) for giver, taker in sorted(pairs) if giver != taker]
)
NOW = 50


def ask(minor: int = 100_00, exposure: int | None = None, currency: str = "EUR", **more: object) -> Ask:
    facts = {"digest": "seen", "requester": "ann", **more}
    return Ask(
        amount=Money(minor, currency), exposure=Money(minor if exposure is None else exposure, currency), **facts
    )  # type: ignore[arg-type]


@given(people, st.lists(votes, max_size=12), delegations, st.integers(1, 3), roles, st.frozensets(names, max_size=2))
def test_no_sequence_of_votes_lets_one_person_act_in_two_duties(
    known: dict[str, Person],
    cast: list[Vote],
    given_to: list[Delegation],
    wanted: int,
    role: str,
    replayers: frozenset[str],
) -> None:
    asked = ask(replayers=replayers)
    needed = Need(wanted, role, "")
    counted: list[Vote] = []
    last: Judgement = Counted(wanted)
    for vote in cast:
        last = judge(asked, needed, counted, vote, known, given_to, NOW)
        if not isinstance(last, Refused):
            counted.append(vote)
        if isinstance(last, Approved | Rejected):
            break
    hands = [vote.who for vote in counted]
    principals = [vote.behalf or vote.who for vote in counted]
    assert len(set(hands)) == len(hands)
    assert len(set(principals)) == len(principals)
    involved = set(hands) | set(principals)
    assert "ann" not in involved
    assert not replayers & involved
    assert "stranger" not in involved
    assert all(vote.digest == "seen" for vote in counted)
    assert all(RANKS[known[name].role] >= max(1, RANKS[role]) for name in principals)
    assert all(RANKS[known[name].role] >= 1 for name in hands), "support approves nothing, not even for somebody"
    for vote in counted:
        if vote.behalf is not None:
            assert any((d.giver, d.taker) == (vote.behalf, vote.who) and d.until > NOW for d in given_to)
    if isinstance(last, Approved):
        assert len(set(principals)) == wanted == len(hands)
        for name in involved | {"ann"}:
            assert may_replay(asked, counted, name) is not None, "who asked or approved must not send it again"


@given(
    st.frozensets(st.sampled_from([*NAMES, UNNAMED]), max_size=3),
    st.frozensets(names, max_size=2),
    st.sampled_from(["seen", "other"]),
    st.booleans(),
)
def test_an_approval_of_the_whole_incident_lets_nobody_act_in_two_duties(
    approvers: frozenset[str], replayers: frozenset[str], digest: str, by_person: bool
) -> None:
    asked = ask(replayers=replayers, asked_by_person=by_person)
    if isinstance(covered(asked, digest, approvers), Approved):
        assert approvers
        assert not approvers & ({"ann"} | replayers)
        assert digest == asked.digest
        assert not (by_person and UNNAMED in approvers)
        votes = [Vote(who=who, verdict="approve", digest="seen") for who in sorted(approvers)]
        for name in approvers | {"ann"}:
            assert may_replay(asked, votes, name) is not None
    else:
        assert digest != "seen" or not approvers or approvers & ({"ann"} | replayers | {UNNAMED})


def test_the_one_token_approves_what_a_policy_asked_for_and_never_what_a_person_did() -> None:
    known = {UNNAMED: Person(UNNAMED, "cfo")}
    vote = Vote(who=UNNAMED, verdict="approve", digest="seen")
    needed = Need(1, "cfo", "")
    assert judge(ask(requester="credit-policy"), needed, [], vote, known, [], NOW) == Approved()
    refused = judge(ask(requester="sam", asked_by_person=True), needed, [], vote, known, [], NOW)
    assert isinstance(refused, Refused)
    assert refused.code == "approval.own"
    assert may_replay(ask(requester="sam", asked_by_person=True), [], UNNAMED) is not None


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.sampled_from(["EUR", "JPY", "CHF"]), st.booleans())
def test_more_money_never_needs_fewer_people_or_a_lower_role(
    minor: int, more: int, currency: str, judged: bool
) -> None:
    less, higher = (
        need(ask(minor, currency=currency, judged=judged)),
        need(ask(minor + more, currency=currency, judged=judged)),
    )
    assert higher.people >= less.people
    assert RANKS[higher.role] >= RANKS[less.role] or less.people == 0


@given(st.integers(1, 10**9), st.integers(0, 10**10), st.sampled_from(["EUR", "JPY", "CHF"]))
def test_what_no_policy_judged_always_needs_a_person(minor: int, exposure: int, currency: str) -> None:
    assert need(ask(minor, max(minor, exposure), currency)).people >= 1


def test_a_small_judged_credit_needs_nobody_until_its_incident_has_become_dear() -> None:
    assert need(ask(90_00, judged=True)).people == 0
    dear = need(ask(90_00, 300_000_00, judged=True))
    assert (dear.people, dear.role) == (1, "finance-manager")
    assert "incident" in dear.why


def test_large_amounts_need_two_and_an_unknown_currency_the_highest() -> None:
    assert need(ask(2_500_00)) == Need(2, "finance-manager", "the amount is 2500.00 EUR")
    assert (need(ask(1, currency="CHF")).people, need(ask(1, currency="CHF")).role) == (2, "cfo")


FINANCE = {name: Person(name, "cfo") for name in NAMES} | {"sam": Person("sam", "support-lead")}
EVERYONE = [Delegation(giver, taker, 100) for giver in FINANCE for taker in FINANCE if giver != taker]
TWO = Need(2, "finance-manager", "")


def refused(*cast: tuple[str, str | None], now: int = NOW, needed: Need = TWO) -> str | None:
    """The code with which the last of these votes (who, for whom) is refused, the others being counted."""
    counted = [Vote(who=who, verdict="approve", digest="seen", behalf=behalf) for who, behalf in cast]
    asked = ask(replayers=frozenset({"eve"}))
    last = judge(asked, needed, counted[:-1], counted[-1], FINANCE, EVERYONE, now)
    return last.code if isinstance(last, Refused) else None


def test_a_delegation_is_no_way_around_the_duties() -> None:
    assert refused(("ben", None)) is None
    assert refused(("ben", "cid")) is None
    assert refused(("ben", "ann")) == "approval.own", "for the one who asked"
    assert refused(("ann", "ben")) == "approval.own", "by the one who asked"
    assert refused(("ben", "eve")) == refused(("eve", "ben")) == "approval.replayer"
    assert refused(("ben", None), ("cid", "ben")) == "approval.twice", "for somebody who voted"
    assert refused(("ben", "cid"), ("cid", None)) == "approval.twice", "somebody for whom was voted"
    assert refused(("ben", "cid"), ("ben", "dot")) == "approval.twice", "for two people"
    assert refused(("ben", "cid"), ("dot", "cid")) == "approval.twice", "two people for one"
    assert refused(("sam", "ben")) == "approval.role", "support stands in for nobody"
    assert refused(("ben", "cid"), now=100) == "approval.delegation", "it has run out"


def test_an_approval_of_what_was_changed_since_is_refused() -> None:
    known = {"ben": Person("ben", "cfo")}
    changed = judge(ask(), Need(1, "cfo", ""), [], Vote(who="ben", verdict="approve", digest="older"), known, [], NOW)
    assert isinstance(changed, Refused)
    assert changed.code == "approval.changed"


def test_nobody_in_time_asks_one_role_higher_and_the_highest_stays() -> None:
    assert escalated(Need(2, "finance-manager", "x")).role == "finance-director"
    assert escalated(Need(2, "cfo", "x")).role == "cfo"


@given(st.integers(0, 3), roles, st.integers(0, 3), roles)
def test_the_stricter_of_two_is_never_easier_than_either(some: int, role: str, others: int, higher: str) -> None:
    one, other = Need(some, role, "one"), Need(others, higher, "other")
    both = stricter(one, other)
    assert both.people == max(some, others)
    assert RANKS[both.role] == max(RANKS[role], RANKS[higher])
    assert both.why in ("one", "other", "one; other")
    assert stricter(one, one) == one
