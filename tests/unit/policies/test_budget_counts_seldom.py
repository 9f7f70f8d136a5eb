"""Where a budget knows without counting that a call fits, counting would have said the same."""

from hypothesis import given
from hypothesis import strategies as st

from policies.budget import Ask, Budget, ConcurrencyLimit, ExecutionLimit, Lease, RateLimit

SECOND = 1_000_000_000
LIMITS = (
    RateLimit(5, SECOND, "5/1s"),
    RateLimit(12, 4 * SECOND, "12/4s"),
    RateLimit(900, 2 * SECOND, "900 bytes", unit="bytes"),
    RateLimit(2, SECOND, "2/1s per object", per_object=True),
    ExecutionLimit(2, 3 * SECOND, "2 s/3s"),
    ConcurrencyLimit(4),
)
STEPS = st.tuples(
    st.sampled_from(["admit", "admit", "admit", "end", "abandon", "forget", "resize", "back"]),
    st.integers(0, SECOND),
    st.integers(0, 5),
    st.integers(1, 400),
)


@given(st.lists(STEPS, max_size=80), st.sets(st.integers(0, 5), min_size=1))
def test_a_budget_that_has_counted_before_answers_as_one_that_counts_anew(steps, chosen) -> None:
    limits = [LIMITS[place] for place in sorted(chosen)]
    budget, now, flying, late = Budget(limits), 0, list[Lease](), list[Lease]()
    for what, after_ns, place, size in steps:
        now += after_ns
        if what == "admit":
            ask = Ask("post", f"object-{place}", size, size * 1_000_000)
            told = budget.obstacle(now, 1 + place // 3, ask)
            assert told == Budget.from_snapshot(budget.snapshot()).obstacle(now, 1 + place // 3, ask)
            if told is None:
                lease = budget.admit(now, 1 + place // 3, ask)
                assert isinstance(lease, Lease)
                flying.append(lease)
        elif what == "resize":
            budget.resize(limits[: 1 + place % len(limits)], now)
        elif what == "back":
            earlier = now - after_ns
            assert budget.obstacle(earlier) == Budget.from_snapshot(budget.snapshot()).obstacle(earlier)
        elif what == "end" and late and place == 0:
            budget.ended(late.pop(), now, ended_ns=now)
        elif flying:
            lease = flying.pop(place % len(flying))
            if what == "end":
                budget.ended(lease, now, ended_ns=now, free_at_ns=now + size if place == 1 else None)
            elif what == "abandon":
                budget.abandoned(lease, now + size * 1_000_000)
                late.append(lease)
            else:
                budget.forget(lease)


def test_which_of_ours_a_call_is_counts_only_limits_of_its_operation() -> None:
    budget = Budget([*LIMITS, RateLimit(9, SECOND, "find: 9/1s", operation="find")])
    budget.admit(0, ask=Ask("post", "A", 7, SECOND + 1))
    assert budget.counted(1, "post") == {"5/1s": 1, "12/4s": 1, "900 bytes": 7, "2 s/3s": 2, "concurrent": 1}
    assert budget.counted(1, "find")["find: 9/1s"] == 0
