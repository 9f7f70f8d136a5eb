"""Losses, duplicates and differences, each convicted by name."""

from typing import Any

import pytest

from ops.certificate.model import Certificate
from tests.unit.certificate.logs import SECOND, Certify, accepted, arrival, found, header, post


def broken(certificate: Certificate) -> set[str]:
    return {check.name for check in certificate.checks if check.holds is False}


def test_every_accepted_case_with_its_one_document_passes(certified: Certify) -> None:
    certificate = certified([header(), post(1, SECOND), post(2, 2 * SECOND)], [accepted(1), accepted(2)])
    assert certificate.verdict == "PASS"
    assert all(check.holds or check.worst for check in certificate.checks)


def test_a_lost_document_fails(certified: Certify) -> None:
    assert broken(certified([header(), post(1, 0)], [accepted(1), accepted(2)])) == {"posted-without-document"}


def test_a_second_document_for_one_source_document_fails(certified: Certify) -> None:
    twin = post(2, SECOND, source_document="case-1")
    assert "duplicate-source" in broken(certified([header(), post(1, 0), twin], [accepted(1)]))


def test_a_second_document_for_one_reference_fails_without_any_accepted_list(certified: Certify) -> None:
    twin = post(2, SECOND, source_document="case-9", reference="ref-1")
    assert broken(certified([header(), post(1, 0), twin])) == {"duplicate-reference"}


def test_a_second_document_is_seen_though_only_a_look_up_shows_it(certified: Certify) -> None:
    log = [header(), post(1, 0), found(2, SECOND, "ref-1", "ADJ-77")]
    assert broken(certified(log)) == {"duplicate-reference"}


def test_a_replay_is_no_duplicate(certified: Certify) -> None:
    replay = post(2, SECOND, reference="ref-1", source_document="case-1", document="ADJ-1", verdict="replayed")
    assert certified([header(), post(1, 0), replay], [accepted(1)]).verdict == "PASS"


def test_a_document_whose_creating_call_has_no_end_is_known_by_its_look_up(certified: Certify) -> None:
    log = [header(), arrival(1, 0), header(), found(2, SECOND, "ref-1", "ADJ-1")]
    certificate = certified(log, [accepted(1)])
    assert certificate.verdict == "PASS"
    assert certificate.calls.unfinished == 1


def test_a_created_document_with_a_lost_answer_still_counts(certified: Certify) -> None:
    lost = post(1, 0, answer="lost", status=None)
    certificate = certified([header(), lost], [accepted(1)])
    assert (certificate.verdict, certificate.calls.unanswered) == ("PASS", 1)


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"outcome": None}, "no-outcome"),
        ({"outcome": "pending"}, "unknown"),
        ({"outcome": "refused"}, "refused-with-document"),
        ({"outcome": "approval"}, "unapproved-document"),
        ({"amount": "12.51"}, "document-differs"),
        ({"currency": "USD"}, "document-differs"),
        ({"account": "other"}, "document-differs"),
        ({"reference": "other"}, "document-differs"),
        ({"expected": "refuse"}, "against-expectation"),
    ],
)
def test_what_the_client_was_told_and_what_the_erp_has_must_agree(
    certified: Certify, row: dict[str, Any], name: str
) -> None:
    assert broken(certified([header(), post(1, 0)], [accepted(1, **row)])) == {name}


def test_a_clear_case_that_was_refused_fails(certified: Certify) -> None:
    row = accepted(2, outcome="refused", expected="post", reference=None)
    assert broken(certified([header(), post(1, 0)], [accepted(1), row])) == {"against-expectation"}


def test_a_document_that_nobody_asked_for_fails(certified: Certify) -> None:
    log = [header(), post(1, 0), post(2, SECOND)]
    assert broken(certified(log, [accepted(1)])) == {"unrequested-document"}


def test_the_same_amount_in_other_digits_is_the_same_amount(certified: Certify) -> None:
    assert certified([header(), post(1, 0)], [accepted(1, amount="12.5")]).verdict == "PASS"


def test_a_run_in_progress_may_have_pending_outcomes_when_told_so(certified: Certify) -> None:
    rows = [accepted(1), accepted(2, outcome="pending", reference=None)]
    certificate = certified([header(), post(1, 0)], rows, allow_pending=True)
    assert certificate.verdict == "PASS"
    assert any("pending" in note for note in certificate.notes)


def test_the_answer_to_a_duplicate_message_moves_only_the_outcome(certified: Certify) -> None:
    rows = [accepted(1, outcome="pending"), accepted(1, accepted_ns=SECOND, outcome="posted")]
    certificate = certified([header(), post(1, 2 * SECOND)], rows)
    assert certificate.verdict == "PASS"
    assert certificate.waits[0].max_seconds == 2


def test_without_an_accepted_list_losses_are_called_unexamined(certified: Certify) -> None:
    certificate = certified([header(), post(1, 0)])
    assert {check.holds for check in certificate.checks if "duplicate" not in check.name} == {None}


def test_an_order_inversion_within_an_account_and_lane_fails(certified: Certify) -> None:
    log = [header(), post(2, 0), post(3, 10), post(1, SECOND)]
    certificate = certified(log, [accepted(1), accepted(2), accepted(3)])
    assert broken(certificate) == {"order"}
    assert "case-2 (sequence 2)" in certificate.reasons[0]


@pytest.mark.parametrize("other", [{"account": "acc-2"}, {"lane": "urgent"}, {"tenant": "t2"}])
def test_other_accounts_lanes_and_tenants_may_overtake(certified: Certify, other: dict[str, Any]) -> None:
    account = other.get("account", "acc")
    log = [header(), post(2, 0, account=account), post(1, SECOND)]
    assert certified(log, [accepted(1), accepted(2, **other)]).verdict == "PASS"


def test_waits_are_told_per_lane_by_nearest_rank(certified: Certify) -> None:
    log = [header(), *(post(i, i * SECOND) for i in range(1, 101))]
    certificate = certified(log, [accepted(i) for i in range(1, 101)])
    (wait,) = certificate.waits
    assert (wait.lane, wait.count) == ("standard", 100)
    assert (wait.p50_seconds, wait.p99_seconds, wait.max_seconds) == (50, 99, 100)


def test_documents_older_than_the_list_are_not_held_against_it_and_it_is_said(certified: Certify) -> None:
    log = [header(), post(1, SECOND), post(2, 3 * SECOND)]
    assert certified(log, [accepted(2)]).verdict == "FAIL"
    certificate = certified(log, [accepted(2)], since_ns=2 * SECOND)
    assert certificate.verdict == "PASS"
    assert any(note.startswith("1 documents are older") for note in certificate.notes)


def test_a_newer_document_that_nobody_asked_for_still_fails(certified: Certify) -> None:
    log = [header(), post(1, SECOND), post(2, 3 * SECOND)]
    assert certified(log, [accepted(1)], since_ns=2 * SECOND).verdict == "FAIL"
