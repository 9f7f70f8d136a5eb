"""Each system's refusals have their class; what does not come from the system is never taken for its word."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.failure_tables import MANNERS, manner_of
from policies.failures import ADDRESS, BY_STATUS, hear, judge
from policies.recoverability import FailureClass
from policies.vendors import VENDORS
from tests.unit.policies.failure_samples import PAGE, SAMPLES, body_of

F = FailureClass
SURE = {F.DATA_QUALITY, F.POLICY, F.BUG, F.CLOSED_PERIOD}
"""Classes after which a call is closed, or a person has to look at it: never on a stranger's word."""


@pytest.mark.parametrize(("system", "status", "body", "means"), SAMPLES)
def test_a_refusal_has_its_class(system: str, status: int, body: Any, means: FailureClass | None) -> None:
    manner = MANNERS[system]
    assert judge(manner, status, hear(manner, body_of(body))).failure == means


def test_every_table_is_of_a_system_that_the_settings_can_name_and_has_samples() -> None:
    assert set(MANNERS) <= set(VENDORS)
    assert {system for system, *_ in SAMPLES} == set(MANNERS)
    assert manner_of("oracle-fusion") is MANNERS["generic"]


@pytest.mark.parametrize("system", MANNERS)
@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 413, 415, 421, 422, 431])
@pytest.mark.parametrize("body", [b"", PAGE.encode(), b"404 page not found\n", b"{}", b"[]", b'{"ok":true}'])
def test_a_stranger_s_no_is_about_the_address_and_never_about_the_call(system: str, status: int, body: bytes) -> None:
    verdict = judge(MANNERS[system], status, hear(MANNERS[system], body))
    if system == "zuora" and status == 409:  # by the status alone: the key is in use
        assert verdict.failure is F.UNKNOWN_OUTCOME
        return
    assert (verdict.failure, verdict.code, verdict.foreign) == (F.AUTH, ADDRESS, True)


@pytest.mark.parametrize("system", MANNERS)
@pytest.mark.parametrize(("status", "failure"), [(401, F.AUTH), (407, F.AUTH), (429, F.THROTTLED), (503, F.TRANSIENT)])
def test_some_statuses_mean_the_same_whoever_says_them(system: str, status: int, failure: FailureClass) -> None:
    assert judge(MANNERS[system], status, hear(MANNERS[system], PAGE.encode())).failure is failure


@pytest.mark.parametrize("status", [302, 303, 402, 408, 418, 425, 451, 499, 500, 501, 502, 504, 599])
@pytest.mark.parametrize("body", [b"", PAGE.encode(), b'{"code":"something.else"}'])
def test_whatever_does_not_promise_that_nothing_was_done_is_open(status: int, body: bytes) -> None:
    assert judge(MANNERS["generic"], status, hear(MANNERS["generic"], body)).failure is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_question_that_is_sent_elsewhere_is_at_the_wrong_address(status: int) -> None:
    verdict = judge(MANNERS["generic"], status, hear(MANNERS["generic"], PAGE.encode()), reads=True)
    assert (verdict.failure, verdict.foreign) == (F.AUTH, True)


@pytest.mark.parametrize(("system", "status", "body", "means"), [s for s in SAMPLES if s[1] == 200])
def test_an_error_under_200_is_believed_only_in_the_system_s_own_manner(
    system: str, status: int, body: Any, means: FailureClass | None
) -> None:
    generic = MANNERS["generic"]
    assert judge(generic, status, hear(generic, body_of(body))).failure is None


def test_only_statuses_that_promise_it_are_in_the_table() -> None:
    assert {status for status in BY_STATUS if status >= 500} == {503}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "code", "0", "reasons"]), inner)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(MANNERS)), st.integers(200, 599), st.binary(max_size=64) | JSON.map(json.dumps))
def test_whatever_comes_is_judged_and_a_server_error_is_never_a_sure_no(
    system: str, status: int, body: bytes | str
) -> None:
    manner = MANNERS[system]
    verdict = judge(manner, status, hear(manner, body.encode() if isinstance(body, str) else body))
    assert verdict.code
    if status >= 500 and status != 503:
        assert verdict.failure is None
    if verdict.foreign:
        assert verdict.failure not in SURE
