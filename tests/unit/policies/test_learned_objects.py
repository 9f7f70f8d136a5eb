"""A refusal that names an object freezes and narrows exactly that object; the others never notice."""

from collections import defaultdict
from random import Random

import pytest

from actors.adapters.port import Answer, Failed
from actors.caller.events import gate_rows, restored
from actors.caller.gate import Admission, Closed, Gate
from actors.caller.settle import settle
from actors.runtime.clock import VirtualClock
from broker.store.rows import Call
from ops.virtual.line import Line
from policies.adaptive import Change
from policies.budget import Ask, Budget, RateLimit
from policies.governor import Frozen, Governor
from policies.limit_words import parse_limits
from policies.limits import Lease
from policies.recoverability import FailureClass
from policies.signals import Dimension, Reading, Refusal
from tests.support.rows import call, stored

SECOND = 1_000_000_000
EACH = RateLimit(30, 60 * SECOND, "30/min per object", per_object=True)
ALL = RateLimit(6_000, 60 * SECOND, "6000/min")
TOO_OFTEN = Reading(Refusal(Dimension.OBJECT, "it answered 429: this object is changed too often", scope="object"))


def governor() -> Governor:
    return Governor(Budget([ALL, EACH]), 0)


def admitted(gate: Governor, name: str, now: int) -> Lease:
    lease = gate.budget.admit(now, ask=Ask("post", name))
    assert isinstance(lease, Lease), lease
    gate.admitted(lease, now)
    return lease


def fine(gate: Governor, lease: Lease, now: int) -> None:
    gate.budget.ended(lease, now)
    gate.answered(lease, Reading(), 1, True, now)


def refused(gate: Governor, lease: Lease, now: int, asked: float | None = None) -> None:
    gate.refused_object(lease, TOO_OFTEN, asked, "429", now)
    gate.budget.ended(lease, now, fine=False)


def may(gate: Governor, name: str, now: int) -> bool:
    ask = Ask("post", name)
    return gate.budget.obstacle(now, ask=ask) is None and gate.object_obstacle(ask, now) is None


def calls(gate: Governor, name: str, count: int, now: int) -> None:
    for _ in range(count):
        fine(gate, admitted(gate, name, now), now)


def test_exactly_the_object_that_was_refused_is_frozen_and_narrowed_and_it_is_said() -> None:
    gate = governor()
    calls(gate, "hot", 19, 0)
    refused(gate, admitted(gate, "hot", 0), 0, asked=7.0)
    hot, end = Ask("post", "hot"), 61 * SECOND
    assert gate.budget.obstacle(7 * SECOND - 1, ask=hot) is not None
    assert gate.budget.obstacle(7 * SECOND, ask=hot) is None
    assert may(gate, "cold", 0)
    assert not may(gate, "hot", 9 * SECOND), "the freeze is over, but 20 of 19 are spent"
    probe = admitted(gate, "hot", end)
    assert probe.probe
    assert not may(gate, "hot", end), "one probe goes alone"
    fine(gate, probe, end)
    assert may(gate, "hot", end)
    calls(gate, "cold", 30, end)
    assert {limit.name: limit.limit for limit in gate.budget.limits} == {"6000/min": 6_000, "30/min per object": 30}
    narrow = gate.standings(end)[-1]
    assert (narrow.limit, narrow.effective, narrow.ceiling) == ("30/min per object of hot", 19, 30)
    frozen, change = gate.take_news()
    assert isinstance(frozen, Frozen)
    assert (frozen.object, frozen.until_ns) == ("hot", 7 * SECOND)
    assert isinstance(change, Change)
    assert (change.limit, change.was, change.now) == ("30/min per object of hot", 30, 19)
    assert "changed too often; it was call 20 of ours" in change.why


def test_a_lock_at_the_first_call_narrows_nothing() -> None:
    gate = governor()
    refused(gate, admitted(gate, "hot", 0), 0)
    assert not may(gate, "hot", SECOND - 1)
    assert may(gate, "hot", SECOND)
    assert [one for one in gate.take_news() if isinstance(one, Change)] == []


@pytest.mark.parametrize("seed", range(5))
def test_a_silent_drop_for_one_object_costs_at_most_ten_refusals_and_hardly_any_later(seed: int) -> None:
    gate, random = governor(), Random(seed)
    met: dict[str, list[int]] = defaultdict(list)
    denied: dict[str, list[int]] = defaultdict(list)
    names = ("hot", "warm", "cold")
    for step in range(0, 3 * 3_600 * 4):
        now = step * SECOND // 4
        for name in random.sample(names, 3):
            if not may(gate, name, now):
                continue
            lease = admitted(gate, name, now)
            allowed = 12 if name == "hot" and now >= 300 * SECOND else 30
            if sum(at > now - 60 * SECOND for at in met[name][-30:]) >= allowed:
                denied[name].append(now)
                refused(gate, lease, now)
            else:
                met[name].append(now)
                fine(gate, lease, now)
    assert (denied["warm"], denied["cold"]) == ([], [])
    assert len([at for at in denied["hot"] if at < 900 * SECOND]) <= 10
    later = [at for at in met["hot"] if at >= 900 * SECOND]
    refusals = [at for at in denied["hot"] if at >= 900 * SECOND]
    assert len(refusals) <= max(2, 0.001 * len(later))
    assert len(later) >= 0.9 * 12 * (3 * 60 - 15), "what it allows is used"
    assert len(met["cold"]) >= 0.97 * 30 * 180


def test_an_object_that_allows_all_again_is_forgotten() -> None:
    gate = governor()
    calls(gate, "hot", 19, 0)
    refused(gate, admitted(gate, "hot", 0), 0)
    for second in range(6_000):
        now = second * SECOND
        while may(gate, "hot", now):
            fine(gate, admitted(gate, "hot", now), now)
    assert [one.limit for one in gate.standings(6_000 * SECOND)] == ["6000/min", "30/min per object"]
    assert gate.standings(6_000 * SECOND)[-1].effective == 30


def test_a_restart_goes_on_with_what_was_learned_of_each_object() -> None:
    gate, clock = governor(), VirtualClock()
    now = clock.boot_ns()
    calls(gate, "hot of all", 19, now)
    refused(gate, admitted(gate, "hot of all", now), now, asked=60.0)
    bounds, frozen = restored(gate_rows(gate.take_news(), "erp", clock), clock)
    again = governor()
    again.restore(bounds, frozen, now)
    assert not may(again, "hot of all", now + 59 * SECOND)
    assert may(again, "cold", now)
    assert again.standings(now)[-1].effective == 19
    assert again.standings(now)[-1].limit == "30/min per object of hot of all"


def waiting(seq: int, account: str, lane: str) -> Call:
    return stored(seq, call(f"intent {seq}", f"erp|t|{lane}|{account}", lane=lane))


def test_a_refused_object_holds_back_its_calls_in_every_lane_and_says_why_while_others_go() -> None:
    gate = Gate(parse_limits(["100/1s", "30/10min per object"]), lambda: 0.5)
    line = Line(gate.order, gate.cost)
    calls = [waiting(1, "A-1", "urgent"), waiting(2, "A-1", "standard"), waiting(3, "A-2", "standard")]
    for one in calls:
        line.add(one)
    first = gate.admit(line, 0)
    assert isinstance(first, Admission)
    assert first.call.seq == 1
    locked = Failed(FailureClass.THROTTLED, "lock_timeout", "the account is locked", 4.0)
    settle(gate, first, Answer(locked, None, TOO_OFTEN), 0, 0, 0, 0)
    second = gate.admit(line, 1)
    assert isinstance(second, Admission)
    assert second.call.seq == 3
    told = gate.on_object(calls[1], 1)
    assert told is not None
    assert told.until_ns == 4 * SECOND
    assert told.reason.startswith("calls on A-1: it answered 429")
    assert gate.on_object(calls[2], 1) is None
    assert isinstance(gate.admit(line, 2), Closed)
    probe = gate.admit(line, 4 * SECOND)
    assert isinstance(probe, Admission)
    assert probe.call.seq == 2
