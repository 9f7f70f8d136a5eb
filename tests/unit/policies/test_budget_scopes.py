"""Promises of the gate about limits and refusals of a part: an operation, an object; and about execution time."""

from policies.budget import (
    Ask,
    Budget,
    ConcurrencyLimit,
    ExecutionLimit,
    Lease,
    RateLimit,
    Spend,
    Wait,
    arrival_bound,
)

SECOND = 1_000_000_000
RATE = RateLimit(3, SECOND, "per second")


def admitted(budget, now, cost=1):
    lease = budget.admit(now, cost)
    assert isinstance(lease, Lease), lease
    return lease


def waits(budget, now, cost=1):
    wait = budget.admit(now, cost)
    assert isinstance(wait, Wait), wait
    return wait


# -- refusals of a part

POST, FIND = Ask("post", "A"), Ask("find")


def test_a_freeze_of_one_operation_lets_the_others_go_on():
    budget = Budget([RateLimit(9, SECOND, "rate"), RateLimit(3, SECOND, "posts", "post")])
    budget.freeze(50, "the ERP refused a post", scope="post")
    assert budget.frozen is None
    assert [(freeze.operation, freeze.until_ns) for freeze in budget.freezes] == [("post", 50)]
    assert budget.admit(10, ask=POST) == Wait(50, "frozen", "the ERP refused a post")
    assert not isinstance(budget.admit(10, ask=FIND), Wait)
    assert budget.obstacle(10) is None
    probe = budget.admit(50, ask=POST)
    assert probe.probe
    assert budget.admit(51, ask=POST).limit_name == "probe"
    assert not budget.admit(51, ask=FIND).probe
    budget.ended(probe, 60)
    assert isinstance(budget.admit(61, ask=POST), Lease)


def test_a_limit_of_one_operation_that_is_named_freezes_that_operation():
    budget = Budget([RateLimit(9, SECOND, "rate"), RateLimit(3, SECOND, "posts", "post")])
    budget.freeze(50, "429", "posts")
    assert budget.admit(10, ask=POST).limit_name == "posts"
    assert isinstance(budget.admit(10, ask=FIND), Lease)
    budget.freeze(90, "429", "rate")
    assert budget.admit(60, ask=FIND).limit_name == "rate"


def test_a_freeze_of_one_object_lets_the_others_go_on():
    budget = Budget([RateLimit(9, SECOND, "each", per_object=True)])
    budget.freeze(50, "too many updates of A", object_="A")
    assert budget.scoped
    assert budget.admit(10, ask=POST).until_ns == 50
    assert isinstance(budget.admit(10, ask=Ask("post", "B")), Lease)
    budget.ended(budget.admit(50, ask=POST), 51)
    flying = [budget.admit(52, ask=POST) for _ in range(3)]
    assert [isinstance(answer, Lease) for answer in flying] == [True, True, False]
    assert flying[2].limit_name == "return"


def test_the_way_back_of_one_operation_counts_its_own_calls_only():
    budget = Budget([RateLimit(100, SECOND, "rate")])
    finds = [budget.admit(0, ask=FIND) for _ in range(30)]
    budget.freeze(5, "429", scope="post")
    budget.ended(budget.admit(5, ask=POST), 6)
    assert len(finds) == 30
    assert [isinstance(budget.admit(7, ask=POST), Lease) for _ in range(3)] == [True, True, False]
    assert isinstance(budget.admit(7, ask=FIND), Lease)


def test_everything_frozen_and_a_part_frozen_are_two_things():
    budget = Budget([RATE])
    budget.freeze(50, "whole")
    budget.freeze(90, "part", scope="post")
    assert budget.admit(49, ask=FIND).reason == "whole"
    assert budget.admit(60, ask=POST).reason == "part"
    probe = budget.admit(60, ask=FIND)
    budget.ended(probe, 61)
    assert budget.frozen is None
    assert len(budget.freezes) == 1


# -- execution time


def test_what_runs_longer_than_its_reserve_counts_at_once():
    budget = Budget([ExecutionLimit(10, 60 * SECOND, "time", call_ns=SECOND)], guard_ns=0)
    lease = admitted(budget, 0)
    assert [usage.used for usage in budget.usage(SECOND // 2)] == [1]
    assert [usage.used for usage in budget.usage(8 * SECOND)] == [8]
    assert waits(budget, 9 * SECOND + 1).limit_name == "time"
    budget.ended(lease, 9 * SECOND, ended_ns=9 * SECOND)
    assert admitted(budget, 9 * SECOND)


def test_what_was_executed_counts_whole_until_its_end_has_left_the_window():
    budget = Budget([ExecutionLimit(10, 10 * SECOND, "time", call_ns=5 * SECOND)], guard_ns=0)
    lease = admitted(budget, 0)
    budget.ended(lease, arrival_bound(0, 8 * SECOND, 8 * SECOND), ended_ns=8 * SECOND)
    assert waits(budget, 11 * SECOND).until_ns == 18 * SECOND
    restored = Budget(budget.limits, guard_ns=0)
    restored.restore([Spend(arrived_by_ns=0, execution_ns=8 * SECOND)], 8 * SECOND)
    assert waits(restored, 11 * SECOND).until_ns == 18 * SECOND


def test_the_reserve_is_learned_and_given_back_at_the_end():
    budget = Budget([ExecutionLimit(60, 60 * SECOND, "time")], guard_ns=0)
    first = [admitted(budget, 0) for _ in range(2)]
    assert waits(budget, 0).until_ns is None
    for lease in first:
        budget.ended(lease, SECOND, ended_ns=SECOND)
    for _ in range(20):
        budget.ended(admitted(budget, SECOND), SECOND, ended_ns=2 * SECOND)
    before = budget.usage(2 * SECOND)[0].used
    admitted(budget, 2 * SECOND)
    assert (before, budget.usage(2 * SECOND)[0].used) == (22, 24)


def test_a_narrow_limit_of_execution_time_is_used_from_the_first_window_on():
    budget, now, calls = Budget([ExecutionLimit(4, 5 * SECOND, "time")]), 0, 0
    while now < 5 * SECOND:
        answer = budget.admit(now)
        if isinstance(answer, Lease):
            calls += 1
            now += SECOND // 5
            budget.ended(answer, now, ended_ns=now)
        else:
            now = answer.until_ns
    assert calls >= 18


def test_a_system_that_reports_its_time_is_believed_and_rounded_up():
    budget = Budget([ExecutionLimit(60, 60 * SECOND, "time")])
    budget.ended(admitted(budget, 0), arrival_bound(0, 9 * SECOND, 2 * SECOND), ended_ns=9 * SECOND)
    assert budget.usage(9 * SECOND)[0].used == 3
    late = Budget([ExecutionLimit(60, 60 * SECOND, "time")])
    late.abandoned(admitted(late, 0), 40 * SECOND)
    assert late.usage(41 * SECOND)[0].used == 40


def test_a_limit_of_a_new_shape_counts_the_calls_before_it():
    budget = Budget([RateLimit(100, SECOND, "rate")])
    flying = admitted(budget, 0)
    for at in range(5):
        lease = budget.admit(at, ask=Ask("post", "A"))
        budget.ended(lease, at, ended_ns=at)
    budget.abandoned(budget.admit(6, ask=Ask("post", "A")), 7 * SECOND)
    budget.resize([RateLimit(9, 60 * SECOND, "each", "post", True), ConcurrencyLimit(9)], 10)
    assert [(usage.used, usage.object) for usage in budget.usage(10)] == [(6, "A"), (2, None)]
    budget.forget(flying)
    assert [usage.used for usage in budget.usage(10)] == [6, 1]
