"""How a process ended, in words: who would not have it, and what was done."""

from __future__ import annotations

import pytest

from actors.processes_explain import ending
from tests.unit.test_processes_are_sent_again import Replays
from tests.unit.test_processes_wait import start


@pytest.mark.parametrize(("reason", "words"), [
    ("period.closed", "The ERP refused it; what was done before was undone (erp: period.closed): "),
    ("operator.cancelled: cancelled by dana: asked for twice", "Its adjustment.create was cancelled; what was done "),
])  # fmt: skip
def test_what_a_person_has_cancelled_was_not_refused_by_the_erp(reason: str, words: str) -> None:
    desk = Replays()
    desk.begin(start())
    desk.vote("anna")
    desk.vote("tom")
    desk.ends("credit.create", "done")
    desk.ends("case.update", "done")
    desk.ends("adjustment.create", "refused", reason=reason)
    desk.ends("credit.void", "done")
    desk.told()
    assert ending(desk.record).startswith(words)
