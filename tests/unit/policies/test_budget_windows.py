"""Promises of the gate: exact in every window and at every instant, and never idle without a reason."""

from random import Random

import pytest
from gate_world import MS, SECOND, World, judge
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.budget import Budget, ConcurrencyLimit, ExecutionLimit, Lease, RateLimit, Wait

TEN_A_SECOND = RateLimit(10, SECOND, "per second")
PROFILES = [
    (TEN_A_SECOND,),
    (TEN_A_SECOND, ConcurrencyLimit(5)),
    (RateLimit(7, SECOND, "per second"), RateLimit(60, 60 * SECOND, "per minute"), ConcurrencyLimit(5)),
    (
        RateLimit(10, SECOND, "per second"),
        RateLimit(100, 60 * SECOND, "per minute"),
        RateLimit(150, 300 * SECOND, "per 5 minutes"),
        ConcurrencyLimit(3),
    ),
    (ConcurrencyLimit(2),),
]
SEEDS = st.integers(0, 2**32)
ARRIVALS = st.sampled_from(["earliest", "latest", "random"])


def world(limits, seed, **more):
    return World(Budget(limits), limits, Random(seed), **more)


@given(SEEDS, st.sampled_from(PROFILES), ARRIVALS)
@settings(max_examples=60, deadline=None)
def test_no_window_is_ever_over_wherever_in_the_call_it_arrives(seed, limits, arrival):
    assert world(limits, seed, arrival=arrival).run(250) == []


@given(SEEDS, st.sampled_from(PROFILES[:4]), ARRIVALS)
@settings(max_examples=40, deadline=None)
def test_calls_of_different_cost_share_one_exact_window(seed, limits, arrival):
    assert world(limits, seed, arrival=arrival, cost_max=4).run(150) == []


@given(SEEDS, st.sampled_from(PROFILES), ARRIVALS)
@settings(max_examples=60, deadline=None)
def test_calls_that_nobody_waits_for_any_more_keep_their_slots(seed, limits, arrival):
    assert world(limits, seed, arrival=arrival, abandon=0.2, forget=0.1).run(150) == []


@given(SEEDS, st.sampled_from(PROFILES), ARRIVALS)
@settings(max_examples=60, deadline=None)
def test_a_restart_at_any_moment_does_not_widen_the_gate(seed, limits, arrival):
    assert world(limits, seed, arrival=arrival, abandon=0.1, restart=0.05).run(150) == []


@given(SEEDS, ARRIVALS)
@settings(max_examples=60, deadline=None)
def test_old_and_new_limits_both_hold_when_an_operator_changes_them(seed, arrival):
    found = world(PROFILES[1], seed, arrival=arrival, resize_to=PROFILES, resize=0.03, abandon=0.05)
    assert found.run(200) == []


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_everything_at_once_stays_within_every_limit(seed):
    found = world(PROFILES[3], seed, abandon=0.1, forget=0.1, restart=0.03, resize_to=PROFILES, resize=0.02, cost_max=2)
    assert found.run(200) == []


@given(SEEDS, ARRIVALS)
@settings(max_examples=10, deadline=None)
def test_forgetting_old_calls_never_widens_the_gate(seed, arrival):
    limits = (RateLimit(40, SECOND, "per second"), RateLimit(100, 5 * SECOND, "per 5 s"))
    found = World(Budget(limits, history_ns=0), limits, Random(seed), arrival=arrival, abandon=0.02, check_waits=False)
    assert found.run(1500) == []
    assert found.gate.remembers_from_ns is not None
    (meter,) = (meter for meter in found.gate.snapshot().meters if meter.unit == "calls")
    assert len(meter.at) < 800


SHAPES = [
    (TEN_A_SECOND, RateLimit(3, SECOND, "posts", "post"), ConcurrencyLimit(2, "finds", "find")),
    (TEN_A_SECOND, RateLimit(4, 10 * SECOND, "each", per_object=True), ConcurrencyLimit(5)),
    (RateLimit(2, SECOND, "each", "post", True), ConcurrencyLimit(1, "one each", None, True), ConcurrencyLimit(4)),
    (RateLimit(2000, SECOND, "bytes", unit="bytes"), RateLimit(900, SECOND, "bytes posted", "post", False, "bytes")),
]
KINDS = {"operations": ("post", "find", None), "objects": ("A", "B", "C", None), "bytes_max": 400}


@given(SEEDS, st.sampled_from(SHAPES), ARRIVALS)
@settings(max_examples=40, deadline=None)
def test_limits_of_an_operation_or_an_object_hold_beside_those_of_the_system(seed, limits, arrival):
    found = world(limits, seed, arrival=arrival, abandon=0.05, forget=0.05, cost_max=2, restart=0.03, **KINDS)
    assert found.run(150) == []


@example(1417, "random")  # a call of 0 bytes under a new limit of bytes, whose window is full of calls before it
@given(SEEDS, ARRIVALS)
@settings(max_examples=20, deadline=None)
def test_limits_of_every_shape_can_be_changed_while_calls_are_under_way(seed, arrival):
    found = world(SHAPES[0], seed, arrival=arrival, abandon=0.05, resize_to=SHAPES, resize=0.03, **KINDS)
    assert found.run(150) == []


STATED = 20 * SECOND
EXECUTION = [
    (ExecutionLimit(60, 60 * SECOND, "time", call_ns=STATED), ConcurrencyLimit(6)),
    (ExecutionLimit(60, 30 * SECOND, "posting", "post", call_ns=STATED), TEN_A_SECOND),
    (ExecutionLimit(25, 60 * SECOND, "each", None, True, STATED), ConcurrencyLimit(8)),
]


@given(SEEDS, st.sampled_from(EXECUTION), ARRIVALS)
@settings(max_examples=25, deadline=None)
def test_execution_time_stays_within_every_window_though_it_is_known_only_at_the_end(seed, limits, arrival):
    found = world(limits, seed, arrival=arrival, abandon=0.05, restart=0.02, check_waits=False, **KINDS)
    assert found.run(120) == []


def test_the_judge_convicts_a_gate_that_reserves_too_little():
    limits = (ExecutionLimit(8, 60 * SECOND, "time", call_ns=1),)
    assert any("time" in problem for problem in world(limits, 1, check_waits=False).run(100))


class LeakyBucket:
    """What most libraries do: a bucket of N that refills at N per window. Lets nearly 2 N into one window."""

    def __init__(self, limit, window_ns):
        self.limit, self.window_ns, self.level, self.at, self.ids = limit, window_ns, 0.0, 0, 0

    def admit(self, now_ns, cost=1, ask=None):
        self.level = max(0.0, self.level - (now_ns - self.at) * self.limit / self.window_ns)
        self.at = now_ns
        if self.level + cost > self.limit:
            lacking = self.level + cost - self.limit
            return Wait(now_ns + max(1, int(lacking * self.window_ns / self.limit) + 1), "bucket", "full")
        self.level += cost
        self.ids += 1
        return Lease(self.ids, now_ns, cost)

    def ended(self, lease, arrived_by_ns):
        return True


class FixedWindow(LeakyBucket):
    """A counter that starts at zero in every calendar window. Lets 2 N in around an edge."""

    def admit(self, now_ns, cost=1, ask=None):
        if now_ns // self.window_ns != self.at // self.window_ns:
            self.level = 0
        self.at = now_ns
        if self.level + cost > self.limit:
            return Wait((now_ns // self.window_ns + 1) * self.window_ns, "window", "full")
        self.level += cost
        self.ids += 1
        return Lease(self.ids, now_ns, cost)


class CountsStartsOnly(LeakyBucket):
    """Exact over the instants of admission, and blind to when calls arrive."""

    def __init__(self, limit, window_ns):
        super().__init__(limit, window_ns)
        self.starts = []

    def admit(self, now_ns, cost=1, ask=None):
        self.starts = [s for s in self.starts if s + self.window_ns >= now_ns]
        if len(self.starts) >= self.limit:
            return Wait(self.starts[0] + self.window_ns + 1, "starts", "full")
        self.starts.append(now_ns)
        self.ids += 1
        return Lease(self.ids, now_ns, cost)


@pytest.mark.parametrize("naive", [LeakyBucket, FixedWindow, CountsStartsOnly])
def test_the_judge_convicts_gates_that_are_not_exact(naive):
    gate = naive(10, SECOND)
    found = World(gate, (TEN_A_SECOND,), Random(1), check_waits=False, longest=3 * SECOND).run(300)
    assert any("per second" in problem for problem in found)


def test_the_judge_convicts_a_gate_that_forgets_concurrency():
    gate = Budget([TEN_A_SECOND])
    found = World(gate, (TEN_A_SECOND, ConcurrencyLimit(2)), Random(1), check_waits=False).run(200)
    assert any("concurrent" in problem for problem in found)


def test_the_judge_convicts_a_gate_that_idles():
    found = World(Budget([RateLimit(9, SECOND, "per second")]), (TEN_A_SECOND,), Random(1))
    assert any("room is at" in problem for problem in found.run(50))


def test_a_thousand_calls_at_ten_a_second_end_in_ninety_nine_seconds():
    gate, now, admitted = Budget([TEN_A_SECOND], guard_ns=0), 0, 0
    while admitted < 1000:
        answer = gate.admit(now)
        if isinstance(answer, Wait):
            now = answer.until_ns
        else:
            gate.ended(answer, now)
            admitted += 1
    assert now == 99 * SECOND


def test_the_judge_counts_a_window_as_closed_at_both_ends():
    calls = world((TEN_A_SECOND,), 0)
    calls.run(11)
    for number, call in enumerate(calls.calls):
        call.arrived = call.done = SECOND if number == 10 else 0
    assert judge(calls.calls, [(TEN_A_SECOND,)]) == ["per second: 11 of 10 in epoch 0"]


def test_the_guard_keeps_a_millisecond_between_windows():
    gate = Budget([RateLimit(1, SECOND, "one")])
    gate.ended(gate.admit(0), 0)
    assert gate.admit(SECOND).until_ns == SECOND + MS
    assert isinstance(gate.admit(SECOND + MS), Lease)
