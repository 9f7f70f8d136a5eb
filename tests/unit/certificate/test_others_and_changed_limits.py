"""Documents of other producers, every value of a limit that changed, and what a restart may begin anew."""

from typing import Any

import pytest

from ops.certificate import Terms
from ops.certificate.limits import LimitTrack
from ops.certificate.model import Certificate, Check
from ops.certificate.present import plain_lines
from ops.certificate.windows import worst_execution
from tests.unit.certificate.logs import SECOND, Certify, accepted, header, post

RATE = ({"kind": "rate", "limit": 10, "seconds": 1},)


def check_of(certificate: Certificate, name: str) -> Check:
    return next(one for one in certificate.checks if one.name == name)


def other(number: int, accepted_ns: int = 0, **more: Any) -> dict[str, Any]:
    row = {"event": "other", "id": f"theirs-{number}", "key": f"case-{number}", "accepted_ns": accepted_ns}
    return {**row, "outcome": "posted", "reference": f"ref-{number}", "amount": "12.50", "currency": "EUR", **more}


# other producers ------------------------------------------------------------------------------------------------


def test_a_document_that_somebody_else_asked_for_is_accounted_for_and_told(certified: Certify) -> None:
    certificate = certified([header(RATE), post(1, SECOND), post(2, 2 * SECOND)], [accepted(1), other(2)])
    assert certificate.verdict == "PASS"
    assert any(note.startswith("1 documents answer messages of other producers") for note in certificate.notes)


def test_a_document_that_nobody_asked_for_is_found_beside_others(certified: Certify) -> None:
    log = [header(RATE), post(1, SECOND), post(2, 2 * SECOND), post(3, 3 * SECOND)]
    certificate = certified(log, [accepted(1), other(2)])
    assert [one.key for one in check_of(certificate, "unrequested-document").examples] == ["case-3"]


def test_a_document_from_before_anybody_else_asked_is_not_theirs(certified: Certify) -> None:
    certificate = certified([header(RATE), post(1, SECOND), post(2, 2 * SECOND)], [accepted(1), other(2, 3 * SECOND)])
    assert check_of(certificate, "unrequested-document").holds is False


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        ({"amount": "99.00"}, "document-differs"),
        ({"outcome": "refused"}, "refused-with-document"),
        ({"outcome": "approval"}, "unapproved-document"),
        ({"key": "case-9", "reference": "ref-9"}, "posted-without-document"),
    ],
)
def test_what_others_were_told_has_to_agree_with_the_books(
    certified: Certify, told: dict[str, str], broken: str
) -> None:
    certificate = certified([header(RATE), post(1, SECOND), post(2, 2 * SECOND)], [accepted(1), other(2, **told)])
    assert check_of(certificate, broken).holds is False


def test_what_others_still_wait_for_is_not_our_business(certified: Certify) -> None:
    rows = [accepted(1), other(2, outcome="pending", reference=None, amount=None, currency=None)]
    assert certified([header(RATE), post(1, SECOND)], rows).verdict == "PASS"


# changed limits -------------------------------------------------------------------------------------------------


def changed(at_ns: int, note: str = "", **limits: int) -> dict[str, Any]:
    line: dict[str, Any] = {"event": "limits", "at_ns": at_ns, "limits": []}
    if "rate" in limits:
        line["limits"].append({"kind": "rate", "limit": limits["rate"], "seconds": 1})
    if "slots" in limits:
        line["limits"].append({"kind": "concurrent", "limit": limits["slots"]})
    return {**line, "note": note} if note else line


def test_every_value_that_a_limit_had_has_its_worst_window(certified: Certify) -> None:
    log = [header(RATE)]
    log += [post(1 + n, n) for n in range(9)]
    log += [changed(2 * SECOND, rate=4), *(post(10 + n, 2 * SECOND + n) for n in range(3))]
    log += [changed(4 * SECOND, rate=20), *(post(13 + n, 4 * SECOND + n) for n in range(20))]
    (finding,) = certified(log).limits
    assert [(one.limit, one.worst, one.margin, one.violations) for one in finding.regimes] == [
        (10, 9, 1, 0),
        (4, 3, 1, 0),
        (20, 20, 0, 0),
    ]
    assert finding.regimes[0].until_at == finding.regimes[1].from_at == "2026-03-02T08:00:02Z"
    assert any("from 08:00:02 to 08:00:04" in line for line in plain_lines(certified(log)))


def test_a_value_that_was_broken_says_so_itself(certified: Certify) -> None:
    log = [header(RATE), *(post(1 + n, n) for n in range(9))]
    log += [changed(2 * SECOND, rate=4), *(post(10 + n, 2 * SECOND + n) for n in range(5))]
    certificate = certified(log)
    assert [one.violations for one in certificate.limits[0].regimes] == [0, 1]
    assert certificate.verdict == "FAIL"


def test_a_limit_that_never_changed_has_no_rows_of_its_own(certified: Certify) -> None:
    log = [header(RATE), post(1, 0), changed(SECOND, rate=10, slots=2), post(2, 2 * SECOND)]
    findings = {one.kind: one for one in certified(log).limits}
    assert findings["rate"].regimes == []
    assert [one.limit for one in findings["concurrent"].regimes] == [2]


def test_what_the_erp_says_of_a_change_is_repeated(certified: Certify) -> None:
    log = [header(RATE), post(1, 0), changed(SECOND, "windows shortened for this run", rate=5), post(2, 2 * SECOND)]
    assert "the ERP's log says at line 3: windows shortened for this run" in certified(log).notes


def test_execution_time_is_held_to_the_limit_at_the_last_call_of_its_window() -> None:
    track = LimitTrack("execution", 10)
    track.change(-1, 8)
    track.change(20 * SECOND, 3)
    before = worst_execution([12 * SECOND], [19 * SECOND], track)
    assert (before.violations, before.allowed) == (0, 8 * SECOND)
    after = worst_execution([12 * SECOND, 20 * SECOND], [19 * SECOND, 21 * SECOND], track)
    assert after.violations > 0
    assert after.allowed == 3 * SECOND


# restarts -------------------------------------------------------------------------------------------------------


def line_of(tenants: list[str], lanes: list[str] | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One call every tenth of a second, all accepted at the beginning."""
    step_ns = SECOND // 10
    log = [header(({"kind": "rate", "limit": 1000, "seconds": 1},))]
    log += [post(1 + n, (n + 1) * step_ns, account=f"acc-{n}") for n in range(len(tenants))]
    waiting = zip(tenants, lanes or ["standard"] * len(tenants), strict=True)
    rows = [accepted(1 + n, tenant=tenant, lane=lane, account=f"acc-{n}") for n, (tenant, lane) in enumerate(waiting)]
    return log, rows


def away(from_ns: int, to_ns: int) -> dict[str, Any]:
    return {"event": "away", "from_ns": from_ns, "to_ns": to_ns, "why": "killed"}


def test_after_a_restart_a_turn_may_be_counted_anew_once(certified: Certify) -> None:
    terms = Terms(turn_rounds=1.0, turn_calls=1)
    log, rows = line_of(["b", "a", "a", "a", "a", "b"])
    assert check_of(certified(log, rows, terms=terms), "rounds").holds is False
    killed = away(SECOND // 4, SECOND // 4 + 1)
    assert check_of(certified(log, [*rows, killed], terms=terms), "rounds").holds is True
    log, rows = line_of(["b", "a", "a", "a", "a", "a", "b"])
    assert check_of(certified(log, [*rows, killed], terms=terms), "rounds").holds is False


def test_after_a_restart_a_floor_may_be_counted_anew_once(certified: Certify) -> None:
    terms = Terms(floors_percent={"bulk": 25})
    lanes = ["bulk", *["urgent"] * 5, "bulk"]
    log, rows = line_of(["a"] * 7, lanes)
    assert check_of(certified(log, rows, terms=terms), "floor").holds is False
    killed = away(SECOND // 4, SECOND // 4 + 1)
    assert check_of(certified(log, [*rows, killed], terms=terms), "floor").holds is True


def test_room_that_nobody_was_told_of_yet_is_not_idleness(certified: Certify) -> None:
    log = [header(RATE), post(1, 0), post(2, 2 * SECOND, account="acc-2")]
    rows = [accepted(1), accepted(2, account="acc-2")]
    terms = Terms(idle_percent_max=20.0)
    assert check_of(certified(log, rows, terms=terms), "work-conservation").holds is False
    steered = {"event": "steered", "from_ns": 0, "to_ns": 2 * SECOND, "why": "limits up"}
    assert check_of(certified(log, [*rows, steered], terms=terms), "work-conservation").holds is not False


def test_after_a_hold_a_call_is_expected_as_soon_as_after_acceptance(certified: Certify) -> None:
    log, rows = line_of(["a", "a", "a", "b"])
    held = {"event": "held", "from_ns": 0, "to_ns": SECOND // 10, "tenant": "b", "why": "a pause"}
    at_once, soon = Terms(turn_rounds=1.0, turn_calls=0), Terms(turn_rounds=1.0, turn_calls=0, ready_seconds=0.25)
    assert check_of(certified(log, [*rows, held], terms=at_once), "rounds").holds is False
    assert check_of(certified(log, [*rows, held], terms=soon), "rounds").holds is True
