"""The ledger against the documents: every difference is named, nothing else is, however the two are cut into pages."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.reconcile import OWNERS, Difference, Intent, OutOfOrder, Paper, Tally, compare, every_ns, whole

STILL = 1_000
"""What changed later may have changed between the two readings."""
STATUSES = ("waiting", "in_flight", "unknown", "done", "refused", "exception")


def intent(number: int, status: str, changed_at: int = 1, reason: str | None = "account.blocked: no") -> Intent:
    document = f"ADJ-{number}" if status == "done" else None
    name = f"INT-{number:03d}"
    return Intent(name, f"CASE-{number}", status, "12.50", "EUR", f"acc-{number}", document, reason, changed_at)


def paper(number: int, **other: str) -> Paper:
    facts = {"reference": f"INT-{number:03d}", "document_id": f"ADJ-{number}", "account": f"acc-{number}"}
    return Paper(**{**facts, "amount": "12.50", "currency": "EUR", **other})


def kinds(ours: list[Intent], theirs: list[Paper]) -> list[str]:
    return [one.kind for one in compare(ours, theirs, STILL, Tally())]


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ([intent(1, "done")], [paper(1)], []),
        ([intent(1, "refused")], [], []),
        ([intent(1, "waiting"), intent(2, "in_flight"), intent(3, "unknown"), intent(4, "exception")], [], []),
        ([intent(1, "done")], [], ["document.missing"]),
        ([intent(1, "done", changed_at=STILL + 1)], [], []),
        ([intent(1, "done")], [paper(1), paper(1, document_id="ADJ-9")], ["document.twice"]),
        ([intent(1, "done")], [paper(1, document_id="ADJ-9")], ["document.other"]),
        ([intent(1, "done")], [paper(1, amount="12.51")], ["amount.differs"]),
        ([intent(1, "done")], [paper(1, currency="USD")], ["amount.differs"]),
        ([intent(1, "done")], [paper(1, account="acc-2")], ["account.differs"]),
        ([intent(1, "refused")], [paper(1)], ["refused.posted"]),
        ([intent(1, "refused", reason=None)], [], ["refused.unstated"]),
        ([intent(1, "exception")], [paper(1)], ["exception.posted"]),
        ([intent(1, "unknown")], [paper(1)], ["unknown.posted"]),
        ([intent(1, "in_flight")], [paper(1)], ["unknown.posted"]),
        ([intent(1, "in_flight", changed_at=STILL + 1)], [paper(1)], []),
        ([intent(1, "waiting")], [paper(1)], ["waiting.posted"]),
        ([], [paper(1)], ["document.unexplained"]),
        ([], [paper(1), paper(1, document_id="ADJ-9")], ["document.unexplained"] * 2),
    ],
)
def test_each_difference_has_its_name(ours: list[Intent], theirs: list[Paper], found: list[str]) -> None:
    assert kinds(ours, theirs) == found


def test_each_difference_says_whose_it_is_and_what_to_do() -> None:
    (one,) = compare([intent(1, "done")], [], STILL, Tally())
    assert one.sentence == "INT-001: expected document ADJ-1; found none"
    assert one.owner == "finance"
    assert "does not post it again by itself" in one.advice
    assert all(owner in ("finance", "it") and advice for owner, advice in OWNERS.values())


class World(msgspec.Struct):
    """A ledger and a system that may disagree, both in order, and which differences were planted."""

    ours: list[Intent]
    theirs: list[Paper]
    planted: Counter[tuple[str, str]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    ours: list[Intent] = []
    theirs: list[Paper] = []
    planted: Counter[tuple[str, str]] = Counter()
    for number in range(draw(st.integers(0, 30))):
        fault = draw(st.sampled_from(("none", "none", "lost", "twice", "amount", "account", "other", "posted", "ours")))
        one = intent(number, draw(st.sampled_from(STATUSES)) if fault in ("none", "posted") else "done")
        papers = [paper(number)] if one.status == "done" else []
        if fault == "lost":
            papers = []
            planted["document.missing", one.intent_id] += 1
        elif fault == "twice":
            papers.append(paper(number, document_id=f"ADJ-{number}-2"))
            planted["document.twice", one.intent_id] += 1
        elif fault == "amount":
            papers = [paper(number, amount="99.00")]
            planted["amount.differs", one.intent_id] += 1
        elif fault == "account":
            papers = [paper(number, account="somebody else")]
            planted["account.differs", one.intent_id] += 1
        elif fault == "other":
            papers = [paper(number, document_id="ADJ-x")]
            planted["document.other", one.intent_id] += 1
        elif fault == "posted" and one.status != "done":
            papers = [paper(number)]
            name = {"in_flight": "unknown"}.get(one.status, one.status)
            planted[f"{name}.posted", one.intent_id] += 1
        elif fault == "ours":
            planted["document.unexplained", one.intent_id] += 1
        ours += [one] if fault != "ours" else []
        theirs += papers
    return World(ours, theirs, planted)


def found_in(differences: list[Difference]) -> Counter[tuple[str, str]]:
    return Counter((one.kind, one.intent_id) for one in differences)


@given(worlds())
def test_what_was_planted_is_found_and_nothing_else(world: World) -> None:
    tally = Tally()
    assert found_in(compare(world.ours, world.theirs, STILL, tally)) == world.planted
    assert (tally.intents, tally.documents) == (len(world.ours), len(world.theirs))


@given(worlds(), st.integers(1, 7), st.integers(1, 7))
def test_however_both_sides_are_cut_into_pages_the_same_is_found(world: World, page: int, ours_page: int) -> None:
    tally = Tally()
    found = paged(world, page, ours_page, tally)
    assert found_in(found) == world.planted
    assert (tally.intents, tally.documents) == (len(world.ours), len(world.theirs))


def paged(world: World, page: int, ours_page: int, tally: Tally) -> list[Difference]:
    """As the reconciler does it: a page of theirs, then ours up to where theirs is whole."""
    found: list[Difference] = []
    after, kept, place = "", (), 0
    while True:
        theirs = [*kept, *world.theirs[place : place + page]]
        place += page
        last = place >= len(world.theirs)
        ready, kept, until = whole(theirs, after, last)
        ours = [one for one in world.ours if one.intent_id > after and (last or one.intent_id <= until)]
        low, papers = after, list(ready)
        for start in range(0, len(ours), ours_page):
            part = ours[start : start + ours_page]
            high = part[-1].intent_id
            found += compare(part, [one for one in papers if low < one.reference <= high], STILL, tally)
            papers, low = [one for one in papers if one.reference > high], high
        found += compare([], papers, STILL, tally)
        if last:
            return found
        after = until


def test_a_listing_that_is_not_in_order_is_refused() -> None:
    with pytest.raises(OutOfOrder, match="'INT-001' comes after 'INT-002'"):
        whole([paper(2), paper(1)], "", False)
    with pytest.raises(OutOfOrder, match="'INT-001' comes after 'INT-005'"):
        whole([paper(1)], "INT-005", True)


def test_documents_of_one_intent_are_never_torn_apart_by_a_page() -> None:
    same = [paper(1), paper(2), paper(2, document_id="ADJ-9")]
    assert whole(same, "", False) == (same[:1], same[1:], "INT-001")
    assert whole(same[1:], "INT-001", False) == ([], same[1:], "INT-001")
    assert whole(same, "", True) == (same, (), "INT-002")


@given(st.floats(0.01, 1_000), st.integers(0, 10**10), st.integers(1, 100))
def test_no_more_than_its_share_of_the_rate_and_of_the_time_is_used(rate: float, took_ns: int, share: int) -> None:
    pause_ns = every_ns([rate, rate * 3], took_ns, share)
    assert 1e9 / pause_ns <= rate * share / 100 * 1.000001
    assert took_ns * 100 <= pause_ns * share + share
    assert every_ns([], took_ns, share) == took_ns * 100 // share
