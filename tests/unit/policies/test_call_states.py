"""The machine of a call: every pair of states, and what must be known for a step."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.call_states import FINAL, NEXT, STATES, wrong_step

FACTS = {"sent": 1, "document": None, "reason": "a reason"}


def problem(was: str, now: str, **facts: object) -> str | None:
    """What is wrong with the step, other facts being as they should."""
    fine = {**FACTS, "document": "ADJ-1" if now == "done" else None}
    if was == "waiting" and now == "refused":
        fine["sent"] = 0
    return wrong_step(was, now, **{**fine, **facts})


@pytest.mark.parametrize("was", STATES)
@pytest.mark.parametrize("now", STATES)
def test_exactly_the_listed_steps_may_be_taken(was: str, now: str) -> None:
    found = problem(was, now)
    assert (found is None) == (now in NEXT[was])
    assert found is None or found.startswith(f"{was} to {now}: ")


@pytest.mark.parametrize("final", sorted(FINAL))
def test_nothing_follows_what_is_final(final: str) -> None:
    assert all(problem(final, now) for now in STATES)


def test_the_words_are_a_closed_set() -> None:
    assert "'posted'" in (problem("in_flight", "posted") or "")
    assert problem("nowhere", "waiting")


@pytest.mark.parametrize(
    ("was", "now", "facts", "word"),
    [
        ("in_flight", "done", {"document": None}, "document"),
        ("unknown", "waiting", {"document": "ADJ-1"}, "so it is done"),
        ("in_flight", "refused", {"reason": None}, "reason"),
        ("in_flight", "unknown", {"reason": ""}, "reason"),
        ("waiting", "in_flight", {"sent": 0}, "not counted"),
        ("waiting", "refused", {"sent": 1}, "only the system may say"),
    ],
)
def test_a_step_without_its_facts_is_refused(was: str, now: str, facts: dict[str, object], word: str) -> None:
    assert word in (problem(was, now, **facts) or "")


@given(st.lists(st.sampled_from(STATES), max_size=30))
def test_no_life_posts_twice_or_refuses_what_nobody_knows(wishes: list[str]) -> None:
    """However it is pushed, a call leaves `unknown` by knowledge only, and is done or refused at most once."""
    life = ["waiting"]
    for wish in wishes:
        if problem(life[-1], wish) is None:
            life.append(wish)
    assert sum(state in FINAL for state in life) <= 1
    assert ("unknown", "refused") not in set(pairwise(life))
    assert ("unknown", "in_flight") not in set(pairwise(life)), "never sent again blindly"
