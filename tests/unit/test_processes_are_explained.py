"""How a process ended, in words: who would not have it, and what was done; and since when people are asked."""

from __future__ import annotations

import msgspec
import pytest

from actors.processes_explain import ending, waits
from actors.processes_record import Record
from broker.effects import StartTimer
from contracts.codec import decode
from contracts.messages import ProcessReplay
from tests.unit.test_processes_are_sent_again import Replays
from tests.unit.test_processes_wait import DAY, NOW, of, start, timer


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


def test_what_is_approved_again_waits_since_it_was_sent_again_also_after_a_step_up() -> None:
    desk = Replays()
    desk.turned_back()
    again = {"account_id": "ACC-1", "who": "dora", "digest": desk.record.digest, "reason": "it is mended"}
    timers = of(StartTimer, desk.take(ProcessReplay(process_id="CASE-1", **again), NOW + 5 * DAY))
    assert "since 2026-03-07T09:00:00Z" in waits(desk.record)[1]
    timer(desk, next(one for one in timers if one.name.startswith("escalate")))
    assert desk.record.escalations == 1
    assert "since 2026-03-07T09:00:00Z" in waits(desk.record)[1]


def test_a_checkpoint_of_before_waits_since_it_was_opened() -> None:
    desk = Replays()
    desk.begin(start())
    assert desk.kept is not None
    kept = msgspec.json.decode(desk.kept)
    del kept["asked_at"]
    record = decode(msgspec.json.encode(kept), Record)
    assert "since 2026-03-02T09:00:00Z" in waits(record)[1]
