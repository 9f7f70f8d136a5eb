"""An incident approved as a whole: never beyond the cap, never by who asked, and stopped by what does not fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from policies.approval import RANKS, UNNAMED, Vote
from policies.wave import (
    DEFAULT_RULES,
    Cap,
    Case,
    Hold,
    Proposal,
    Release,
    Seen,
    Stop,
    Wait,
    Wave,
    digest_of,
    digest_of_cases,
    granted,
    held,
    judge_case,
    look,
    met,
    resumed,
    room,
    stalled,
    until_of,
    wave_ask,
    wave_need,
)

MINUTE = 60_000_000
SEEN = Seen(1_000, 50, "cases", {"EUR": 500_000}, {"EUR": 10_000}, {"EUR": 50}, {"EUR": 20_000})
APPROVERS = (Vote(who="anna", verdict="approve", digest="d"), Vote(who="tom", verdict="approve", digest="d"))


def wave(minor: int = 1_000_000, most: int = 100, per_account: int = 1, **seen: object) -> Wave:
    """One that runs, approved by anna and tom at the beginning of time."""
    cap = Cap({"EUR": minor}, most, per_account)
    looked = Seen(**{name: seen.get(name, getattr(SEEN, name)) for name in SEEN.__struct_fields__})  # type: ignore[arg-type]
    proposal = Proposal(cap, looked, "d", wave_need(cap, {}), APPROVERS)
    return granted(Wave(tenant="acme", incident="INC-1"), proposal, {"EUR": 500_000}, 0)


def case(name: str = "CASE-1", minor: int = 10_000, **more: str) -> Case:
    facts = {"account": f"of {name}", "currency": "EUR", "requester": "credit-policy", "digest": "c", **more}
    return Case(process=f"acme/{name}", key=name, minor=minor, **facts)


cases = st.builds(
    case,
    st.uuids().map(str),
    st.integers(1, 300_000),
    account=st.sampled_from([f"acc-{n}" for n in range(8)]),
    currency=st.sampled_from(["EUR", "EUR", "EUR", "USD"]),
    requester=st.sampled_from(["credit-policy", "credit-policy", "anna", "sam"]),
)


@given(st.lists(cases, max_size=60), st.integers(1, 2_000_000), st.integers(1, 20), st.integers(1, 3))
def test_no_order_of_cases_lets_through_more_than_was_approved(
    asked: list[Case], minor: int, most: int, of_account: int
) -> None:
    running = wave(minor, most, of_account)
    had: dict[str, int] = {}
    through: list[Case] = []
    for one in asked:
        verdict = judge_case(running, one, had.get(one.account, 0))
        running = met(running, one, verdict)
        if isinstance(verdict, Release):
            through.append(one)
            had[one.account] = had.get(one.account, 0) + 1
    assert sum(one.minor for one in through) <= minor
    assert len(through) <= most
    assert {one.currency for one in through} <= {"EUR"}
    assert not {one.requester for one in through} & {"anna", "tom"}, "nobody approves what they asked for"
    assert max(had.values(), default=0) <= of_account
    assert running.cases == len(through)
    assert running.used.get("EUR", 0) == sum(one.minor for one in through)
    assert running.places == len(asked)


def test_the_case_that_would_exceed_the_cap_waits_and_a_smaller_one_goes_on() -> None:
    running = met(wave(minor=25_000), case("a", 20_000), Release())
    assert judge_case(running, case("b", 5_001), 0) == Wait("with 50.01 EUR it would exceed the cap of 250.00 EUR")
    assert judge_case(running, case("c", 5_000), 0) == Release()


def test_nothing_goes_through_a_wave_that_is_held_or_not_approved() -> None:
    stopped = held(wave(), Hold("dora", "it looks wrong", 5))
    assert isinstance(judge_case(stopped, case(), 0), Wait)
    assert isinstance(judge_case(Wave(tenant="acme", incident="INC-1"), case(), 0), Wait)
    assert judge_case(resumed(stopped, {}, 9), case(), 0) == Release()
    assert resumed(held(Wave(tenant="t", incident="i"), Hold("x", "y", 1)), {}, 9).phase == "open"


def test_an_amount_far_beyond_what_was_seen_stops_it() -> None:
    assert judge_case(wave(), case(minor=200_000), 0) == Release()
    verdict = judge_case(wave(), case(minor=200_001), 0)
    assert isinstance(verdict, Stop)
    assert (verdict.rule, "20 times the usual 100.00 EUR" in verdict.why) == ("outlier", True)
    shown = wave(largest={"EUR": 300_000})
    assert judge_case(shown, case(minor=300_000), 0) == Release(), "the people have seen one as large"
    assert isinstance(judge_case(shown, case(minor=300_001), 0), Stop)
    few = wave(known={"EUR": DEFAULT_RULES.known_least - 1})
    assert judge_case(few, case(minor=200_001), 0) == Release(), "the usual amount of a few cases is nobody's"


def test_an_account_that_asks_more_often_than_was_approved_stops_it() -> None:
    verdict = judge_case(wave(per_account=2), case(account="acc-1"), 2)
    assert isinstance(verdict, Stop)
    assert (verdict.rule, "acc-1" in verdict.why) == ("account", True)
    assert judge_case(wave(per_account=2), case(account="acc-1"), 1) == Release()


@pytest.mark.parametrize(("posted", "refused", "stops"), [
    (95, 5, False), (94, 6, True), (200, 0, False), (14, 4, False), (15, 5, True), (4, 4, False), (0, 20, True),
])  # fmt: skip
def test_more_than_a_twentieth_of_the_last_ends_refused_stops_it(posted: int, refused: int, stops: bool) -> None:
    _, stop = look(wave(), [True] * posted + [False] * refused, {"EUR": 500_000}, MINUTE)
    assert (stop is not None and stop.rule == "refused") == stops


@pytest.mark.parametrize(
    ("posted", "returned", "stops"), [(0, 20, True), (95, 5, False), (94, 6, True), (0, 19, False)]
)
def test_cases_that_their_own_process_refused_count_as_refused(posted: int, returned: int, stops: bool) -> None:
    _, stop = look(wave(), [True] * posted, {"EUR": 500_000}, MINUTE, returned=returned)
    assert (stop is not None and f"{returned} of them are with people again" in stop.why) == stops


def test_what_is_let_through_and_not_taken_up_is_an_anomaly_after_a_while() -> None:
    assert stalled(20, DEFAULT_RULES.stall_seconds - 1) is None
    stop = stalled(20, DEFAULT_RULES.stall_seconds)
    assert stop is not None
    assert stop.rule == "stalled"


@pytest.mark.parametrize(("by", "facts", "goes"), [
    ("anna", {"requester": "anna"}, False), ("anna", {"replayers": frozenset({"anna"})}, False),
    ("anna", {"replayers": frozenset({"dora"})}, True), ("anna", {"asked_by_person": True}, True),
    (UNNAMED, {"asked_by_person": True}, False), (UNNAMED, {}, True),
])  # fmt: skip
def test_a_case_that_its_own_process_would_refuse_is_left_and_the_wave_goes_on(
    by: str, facts: dict[str, Any], goes: bool
) -> None:
    running = wave()
    assert running.grant is not None
    vote = Vote(who=by, verdict="approve", digest="d")
    verdict = judge_case(replace(running, grant=replace(running.grant, votes=(vote,))), replace(case(), **facts), 0)
    assert isinstance(verdict, Release if goes else Wait)


def test_what_is_asked_may_grow_slowly_and_not_by_half_the_cap_within_a_minute() -> None:
    running = wave(minor=1_000_000)
    same, stop = look(running, [], {"EUR": 1_000_000}, MINUTE - 1)
    assert stop is None
    _, stop = look(same, [], {"EUR": 1_000_001}, MINUTE - 1)
    assert stop is not None
    assert stop.rule == "jump"
    later, stop = look(running, [], {"EUR": 1_000_000}, MINUTE)
    assert stop is None
    assert look(later, [], {"EUR": 1_500_000}, MINUTE + 1)[1] is None, "it is measured from a minute ago"
    few = wave(minor=1_000_000, cases=DEFAULT_RULES.known_least - 1)
    assert look(few, [], {"EUR": 9_000_000}, MINUTE - 1)[1] is None, "a few cases are no measure"
    assert look(resumed(running, {"EUR": 9_000_000}, 5), [], {"EUR": 9_000_000}, 6)[1] is None, "it is known now"


@given(st.integers(1, 10**8), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_larger_cap_or_exposure_never_needs_fewer_or_lower_people(minor: int, more: int, exposure: int) -> None:
    less = wave_need(Cap({"EUR": minor}, 1), {"EUR": exposure})
    larger = wave_need(Cap({"EUR": minor + more, "USD": 1}, 9), {"EUR": exposure + more})
    assert larger.people >= less.people
    assert RANKS[larger.role] >= RANKS[less.role]
    assert less.people >= 1, "a cap is approved by people"


def test_a_large_cap_needs_two_and_an_unknown_currency_the_highest() -> None:
    assert (wave_need(Cap({"EUR": 25_000_000}, 1), {}).people, wave_need(Cap({"CHF": 1}, 1), {}).role) == (2, "cfo")


@given(st.text(), st.text(), st.integers(0, 10**12), st.integers(1, 10**9), st.integers(1, 10**6))
def test_an_approval_is_bound_to_the_incident_the_cap_and_what_was_seen(
    tenant: str, incident: str, until: int, minor: int, count: int
) -> None:
    cap, seen = Cap({"EUR": minor}, count), Seen(until, 2, "x", {}, {}, {})
    mine = digest_of(tenant, incident, cap, seen)
    assert until_of(mine) == until
    others = [
        digest_of(tenant + "x", incident, cap, seen),
        digest_of(tenant, incident + "x", cap, seen),
        digest_of(tenant, incident, Cap({"EUR": minor + 1}, count), seen),
        digest_of(tenant, incident, Cap({"EUR": minor, "USD": 1}, count), seen),
        digest_of(tenant, incident, Cap({"EUR": minor}, count + 1), seen),
        digest_of(tenant, incident, Cap({"EUR": minor}, count, 2), seen),
        digest_of(tenant, incident, cap, Seen(until, 2, "y", {}, {}, {})),
        digest_of(tenant, incident, cap, Seen(until + 1, 2, "x", {}, {}, {})),
    ]
    assert mine not in others
    assert wave_ask(Proposal(cap, seen, mine, wave_need(cap, {}))).digest == mine


def test_cases_that_changed_have_another_digest() -> None:
    assert digest_of_cases([("a", "1"), ("b", "2")]) == digest_of_cases([("a", "1"), ("b", "2")])
    assert digest_of_cases([("a", "1")]) != digest_of_cases([("a", "2")])
    assert digest_of_cases([("a", "1b")]) != digest_of_cases([("a", "1"), ("b", "")])


@pytest.mark.parametrize("words", ["", "w", "w12", "w-x", "x12-3", "w1x-3", "w١-3", "w" + "9" * 30 + "-1", "w12-"])
def test_what_is_no_digest_of_ours_tells_no_moment(words: str) -> None:
    assert until_of(words) is None


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_no_more_is_under_way_than_the_erp_takes_in_the_lead(under_way: int, per_lead: int) -> None:
    free = room(under_way, per_lead)
    assert 0 <= free <= 500
    assert free == 0 or under_way + free <= max(per_lead, 20)
