"""From an answer to the next state of a call, row by row: facts in, step out."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from actors.adapters.port import Absent, Answer, Failed, Lost, NotSent, Outcome, Posted
from actors.caller.steps import after_look_up, after_post, in_flight, without_look_up
from policies.recoverability import FailureClass as F
from tests.unit.adapters.test_rest_adapter import a_call

NOW = 1_000_000_000
SECOND = 1_000_000


@dataclass
class System:
    """What the steps ask of an adapter."""

    deduplicates: bool = True
    finds: bool = True
    timeout_seconds: float = 0.0
    lost_seconds: float = 20.0
    late_seconds: float = 0.0
    dedupe_seconds: float | None = None


def failed(kind: F, after: float | None = None) -> Failed:
    """A refusal."""
    return Failed(kind, "a.code", "a reason", after)


# outcome of a post -> status, attempts, sent, open; the call was at its third try
POSTS: list[tuple[Outcome, str, int, int, int]] = [
    (Posted("ADJ-1"), "done", 3, 3, 0),
    (Posted("ADJ-1", replayed=True), "done", 3, 3, 0),
    (NotSent("away"), "waiting", 2, 2, 1),
    (Lost("gone"), "unknown", 3, 3, 1),
    (Absent(), "unknown", 3, 3, 1),
    (failed(F.THROTTLED, 5.0), "waiting", 2, 3, 1),
    (failed(F.TRANSIENT), "waiting", 3, 3, 1),
    (failed(F.AUTH), "waiting", 2, 3, 1),
    (failed(F.CLOSED_PERIOD), "exception", 3, 3, 0),
    (failed(F.DATA_QUALITY), "refused", 3, 3, 0),
    (failed(F.POLICY), "refused", 3, 3, 0),
    (failed(F.POISON), "exception", 3, 3, 0),
    (failed(F.BUG), "exception", 3, 3, 0),
    (failed(F.UNKNOWN_OUTCOME), "unknown", 3, 3, 1),
]


@pytest.mark.parametrize(("outcome", "status", "attempts", "sent", "still_open"), POSTS)
def test_after_a_post(outcome: Outcome, status: str, attempts: int, sent: int, still_open: int) -> None:
    call = a_call(attempts=3, sent=3, requested_at=NOW)
    step = after_post(call, Answer(outcome), System(), NOW, 0.5)  # type: ignore[arg-type]
    found = step.call
    assert (found.status, found.attempts, found.sent, found.open) == (status, attempts, sent, still_open)
    assert found.ready == (status == "waiting")
    assert (found.document == "ADJ-1") == (status == "done")
    assert (step.look_up_after_us is not None) == (status == "unknown")
    assert (step.owner is not None) == (status in ("refused", "exception"))
    assert (step.hold_system is not None) == (outcome == failed(F.AUTH))


def test_only_a_real_failure_waits_for_a_time_of_its_own() -> None:
    call = a_call(attempts=3, sent=3, requested_at=NOW)
    delays = {
        kind: after_post(call, Answer(outcome), System(), NOW, 0.5).call.not_before  # type: ignore[arg-type]
        for kind, outcome in {
            "throttled": failed(F.THROTTLED, 9.0),
            "away": NotSent(""),
            "503": failed(F.TRANSIENT),
        }.items()
    }
    assert delays["throttled"] == delays["away"] == 0
    assert delays["503"] >= NOW + 2 * SECOND


def test_a_503_that_says_when_is_believed() -> None:
    step = after_post(a_call(requested_at=NOW), Answer(failed(F.TRANSIENT, 60.0)), System(), NOW, 0.0)  # type: ignore[arg-type]
    assert step.call.not_before == NOW + 60 * SECOND


def test_patience_with_a_failing_system_ends() -> None:
    step = after_post(a_call(attempts=12, requested_at=NOW), Answer(failed(F.TRANSIENT)), System(), NOW, 0.0)  # type: ignore[arg-type]
    assert (step.call.status, step.owner) == ("exception", "it")


LOOK_UPS: list[tuple[Outcome, dict[str, Any], str]] = [
    (Posted("ADJ-1"), {}, "done"),
    (Absent(), {}, "waiting"),
    (Absent(), {"deduplicates": False}, "unknown"),
    (Absent(), {"deduplicates": False, "lost_seconds": 1.0}, "waiting"),
    (Lost("gone"), {}, "unknown"),
    (NotSent("away"), {}, "unknown"),
    (failed(F.THROTTLED), {}, "unknown"),
    (failed(F.TRANSIENT), {}, "unknown"),
    (failed(F.AUTH), {}, "unknown"),
    (failed(F.DATA_QUALITY), {}, "exception"),
    (failed(F.BUG), {}, "exception"),
    (failed(F.POLICY), {}, "exception"),
]


@pytest.mark.parametrize(("outcome", "system", "status"), LOOK_UPS)
def test_after_a_look_up(outcome: Outcome, system: dict[str, Any], status: str) -> None:
    call = a_call(status="unknown", reason="gone", requested_at=NOW, changed_at=NOW)
    step = after_look_up(call, Answer(outcome), System(**system), NOW + 5 * SECOND, 0.5)  # type: ignore[arg-type]
    assert step.call.status == status
    assert step.call.intent_id == call.intent_id
    assert (step.call.attempts, step.call.sent) == (call.attempts, call.sent), "a look-up is not an attempt"
    assert (step.look_up_after_us is not None) == (status == "unknown")
    assert (step.owner == "finance") == (status == "exception")
    assert (step.hold_system is not None) == (outcome == failed(F.AUTH))


def test_absent_is_believed_once_nothing_can_come_late() -> None:
    call = a_call(status="unknown", changed_at=NOW)
    system = System(deduplicates=False, lost_seconds=20.0)
    step = after_look_up(call, Answer(Absent()), system, NOW + 5 * SECOND, 0.5)  # type: ignore[arg-type]
    assert step.look_up_after_us == 15 * SECOND


def test_a_system_that_cannot_be_asked_leaves_the_unknown_to_a_person() -> None:
    step = after_post(a_call(), Answer(Lost("gone")), System(deduplicates=False, finds=False), NOW, 0.5)  # type: ignore[arg-type]
    assert (step.call.status, step.owner, step.failure) == ("exception", "finance", F.UNKNOWN_OUTCOME)


# what the system states, how long ago the answer was lost, how long ago it was asked for -> sent again after (None: a
# person is told why); times in seconds
UNASKED: list[tuple[dict[str, Any], float, float, float | None]] = [
    ({"late_seconds": 60.0}, 0, 0, 60),
    ({"late_seconds": 60.0}, 45, 50, 15),
    ({"late_seconds": 60.0}, 59.9, 90, 0.75),
    ({"late_seconds": 60.0}, 100, 200, 0.75),
    ({"late_seconds": 0.0}, 0, 0, 0.75),
    ({"late_seconds": 60.0, "dedupe_seconds": 100.0}, 0, 39, 60),
    ({"late_seconds": 60.0, "dedupe_seconds": 100.0}, 0, 40, None),
    ({"late_seconds": 60.0, "dedupe_seconds": 100.0}, 30, 60, 30),
    ({"late_seconds": 60.0, "dedupe_seconds": 100.0, "timeout_seconds": 5.0}, 0, 34, 60),
    ({"late_seconds": 60.0, "dedupe_seconds": 100.0, "timeout_seconds": 5.0}, 0, 35, None),
    ({"late_seconds": 60.0, "deduplicates": False}, 0, 0, None),
]


@pytest.mark.parametrize(("system", "lost_ago", "asked_ago", "again"), UNASKED)
def test_what_cannot_be_asked_for_is_sent_again_once_the_first_cannot_come_any_more(
    system: dict[str, Any], lost_ago: float, asked_ago: float, again: float | None
) -> None:
    lost_at, asked_at = NOW - int(lost_ago * SECOND), NOW - int(asked_ago * SECOND)
    call = a_call(status="unknown", sent=1, attempts=1, reason="gone", requested_at=asked_at, changed_at=lost_at)
    steps = [without_look_up(call, System(finds=False, **system), NOW, 0.5)]  # type: ignore[arg-type]
    if lost_ago == 0:
        flying = msgspec.structs.replace(call, status="in_flight", changed_at=lost_at - 30 * SECOND)
        for outcome in (Lost("gone"), failed(F.UNKNOWN_OUTCOME)):
            steps.append(after_post(flying, Answer(outcome), System(finds=False, **system), NOW, 0.5))  # type: ignore[arg-type]
    for step in steps:
        if again is None:
            assert (step.call.status, step.owner, step.failure) == ("exception", "finance", F.UNKNOWN_OUTCOME)
        else:
            assert (step.call.status, step.call.not_before) == ("waiting", NOW + int(again * SECOND))


def test_before_it_leaves_a_call_counts_its_try() -> None:
    call = in_flight(a_call(status="waiting", attempts=1, sent=2, ready=1, not_before=9, reason="x"), NOW)
    assert (call.status, call.attempts, call.sent, call.ready, call.not_before) == ("in_flight", 2, 3, 0, 0)
    assert (call.changed_at, call.reason) == (NOW, None)


def test_who_never_answers_a_look_up_is_asked_less_and_less_and_then_a_person_is() -> None:
    call = a_call(status="unknown", reason="gone", requested_at=NOW, changed_at=NOW)
    asked, at, delays = 0, NOW, []
    while True:
        step = after_look_up(call, Answer(failed(F.TRANSIENT)), System(), at, 0.5)  # type: ignore[arg-type]
        if step.look_up_after_us is None:
            break
        assert step.call.changed_at == NOW, "since when nobody knows stays"
        asked += 1
        delays.append(step.look_up_after_us)
        at += step.look_up_after_us
    assert (step.call.status, step.owner) == ("exception", "finance")
    assert "no look-up was answered in 24 h" in (step.call.reason or "")
    assert delays == sorted(delays)
    assert asked < 400
