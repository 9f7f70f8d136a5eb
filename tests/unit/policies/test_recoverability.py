"""Promises about failures: each class has an owner and one decision, and waiting burns no attempts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.recoverability import (
    Failure,
    FailureClass,
    Hold,
    LookUp,
    OpenException,
    Recovery,
    RecoveryPolicy,
    Refuse,
    RetryAt,
    decide,
)

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
UNIT = st.floats(0, 1, exclude_max=True)
FACTS = st.builds(
    Failure,
    failure_class=st.sampled_from(FailureClass),
    attempts=st.integers(0, 10_000),
    age_ns=st.integers(0, 10**18),
    retry_after_ns=st.none() | st.integers(0, HOUR),
    opens_in_ns=st.none() | st.integers(0, 10**16),
    can_look_up=st.booleans(),
    dedupe_window_ns=st.none() | st.integers(0, 10**15),
    first_try_age_ns=st.integers(0, 10**16),
    late_ns=st.integers(0, 10**15),
)


def failed(kind, attempts=1, age_ns=0, **more):
    return decide(Failure(failure_class=kind, attempts=attempts, age_ns=age_ns, **more), 0.5)


@pytest.mark.parametrize("kind", FailureClass)
def test_every_class_has_one_sentence_and_an_owner_role(kind):
    assert kind.sentence.endswith(".")
    assert kind.owner in {"finance", "revenue", "support", "it"}


@given(FACTS, UNIT)
def test_every_failure_gets_a_decision_that_survives_the_wire(failure, random):
    decision = decide(failure, random)
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Recovery) == decision
    assert decide(failure, random) == decision


@given(FACTS, UNIT)
def test_throttling_never_ends_in_an_exception_and_never_burns_an_attempt(failure, random):
    decision = decide(msgspec.structs.replace(failure, failure_class=FailureClass.THROTTLED), random)
    assert isinstance(decision, RetryAt)
    assert not decision.burns_attempt


@given(FACTS, UNIT)
def test_an_unknown_outcome_is_never_sent_again_blindly(failure, random):
    decision = decide(msgspec.structs.replace(failure, failure_class=FailureClass.UNKNOWN_OUTCOME), random)
    if failure.can_look_up:
        assert isinstance(decision, LookUp)
    elif isinstance(decision, RetryAt):
        assert failure.first_try_age_ns + decision.delay_ns < failure.dedupe_window_ns
        assert decision.delay_ns >= failure.late_ns, "the system may still do the first"
    else:
        assert decision.owner == "finance"


def test_a_throttled_call_comes_back_when_the_system_said():
    assert failed(FailureClass.THROTTLED, retry_after_ns=7 * SECOND) == RetryAt(7 * SECOND, False)


def test_a_transient_failure_is_tried_again_later_and_later_with_jitter():
    delays = [failed(FailureClass.TRANSIENT, attempts=n).delay_ns for n in range(1, 12)]
    assert delays == sorted(delays)
    assert delays[0] == int(0.75 * SECOND)
    assert delays[-1] == 225 * SECOND


def test_a_transient_failure_waits_at_least_as_long_as_the_system_asked():
    assert failed(FailureClass.TRANSIENT, retry_after_ns=600 * SECOND).delay_ns == 600 * SECOND


def test_a_transient_failure_ends_with_a_person_after_enough_tries_or_time():
    assert isinstance(failed(FailureClass.TRANSIENT, attempts=12), OpenException)
    assert isinstance(failed(FailureClass.TRANSIENT, age_ns=24 * HOUR), OpenException)


def test_wrong_data_goes_to_a_person_and_a_rule_that_says_no_is_a_result():
    assert failed(FailureClass.DATA_QUALITY).owner == "revenue"
    assert failed(FailureClass.POLICY) == Refuse("support")


def test_a_refused_credential_stops_the_whole_system_instead_of_locking_the_account():
    assert failed(FailureClass.AUTH) == Hold("it", None, whole_system=True)


def test_work_for_a_closed_period_waits_until_it_opens():
    assert failed(FailureClass.CLOSED_PERIOD, opens_in_ns=5) == Hold("finance", 5, whole_system=False)


def test_our_own_bug_is_tried_a_few_times_and_then_shown():
    assert isinstance(failed(FailureClass.BUG, attempts=2), RetryAt)
    assert isinstance(failed(FailureClass.BUG, attempts=3), OpenException)
    assert isinstance(failed(FailureClass.POISON), OpenException)


def test_patience_is_configuration():
    facts = Failure(failure_class=FailureClass.TRANSIENT, attempts=2, age_ns=0)
    assert isinstance(decide(facts, 0.0, RecoveryPolicy(transient_attempts_max=2)), OpenException)
