"""What an ERP's status and code stand for, row by row."""

import pytest

from actors.adapters.classify import BY_CODE, BY_STATUS, classify
from actors.adapters.port import Failed, Lost
from policies.recoverability import FailureClass as F

ROWS = [
    (400, None, F.DATA_QUALITY),
    (401, None, F.AUTH),
    (403, "auth.invalid", F.AUTH),
    (404, None, F.DATA_QUALITY),
    (409, None, F.DATA_QUALITY),
    (413, "body.too_large", F.DATA_QUALITY),
    (415, None, F.BUG),
    (422, "account.blocked", F.DATA_QUALITY),
    (422, "period_closed", F.CLOSED_PERIOD),
    (422, "idempotency.mismatch", F.BUG),
    (429, "rate.exceeded", F.THROTTLED),
    (429, None, F.THROTTLED),
    (400, "concurrency.exceeded", F.THROTTLED),
    (503, "unavailable", F.TRANSIENT),
    (503, "rate.exceeded", F.THROTTLED),
]


@pytest.mark.parametrize(("status", "code", "failure"), ROWS)
def test_a_refusal_that_surely_did_nothing_has_its_class(status: int, code: str | None, failure: F) -> None:
    found = classify(status, code, "why", 3.0)
    assert found == Failed(failure, code or f"http.{status}", "why", 3.0)


@pytest.mark.parametrize("status", [300, 302, 304, 402, 405, 408, 418, 425, 451, 499, 500, 501, 502, 504, 599])
@pytest.mark.parametrize("code", [None, "something.else"])
def test_whatever_does_not_promise_that_nothing_was_done_is_lost(status: int, code: str | None) -> None:
    assert isinstance(classify(status, code, "why", None), Lost)


@pytest.mark.parametrize("status", [500, 502, 504])
@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_no_code_makes_a_server_error_a_sure_failure(status: int, code: str) -> None:
    assert isinstance(classify(status, code, "why", None), Lost)


def test_only_statuses_that_promise_it_are_in_the_table() -> None:
    assert {status for status in BY_STATUS if status >= 500} == {503}
