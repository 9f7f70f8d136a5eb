"""The store's questions."""

import asyncio

import pytest
from sqlalchemy import text

from broker.store import reads as reads_module
from broker.store.rows import ControlEnd, ControlRow, MilestoneRow, SpendEnd, SpendRow
from broker.store.store import Store
from broker.store.unit import Unit
from tests.support.audits import verified
from tests.support.rows import accept, call, step, trouble
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path):
    async with running_store(tmp_path) as opened:
        yield opened


async def test_a_delayed_call_is_not_ready_before_its_moment(store: Store) -> None:
    await store.commit(Unit(1, calls=[call("later", "A-1", not_before=50), call("now", "A-2")]))
    assert [c.intent_id for c in await store.reads.calls_ready("erp", "standard", 10, 49)] == ["now"]
    assert [c.intent_id for c in await store.reads.calls_ready("erp", "standard", 10, 50)] == ["later", "now"]
    assert await store.reads.next_not_before("erp", 1) == 50
    assert await store.reads.next_not_before("erp", 50) is None


async def test_systems_and_lanes_are_apart(store: Store) -> None:
    rows = [call("a", "1"), call("b", "2", lane="urgent"), call("c", "3", system="crm")]
    await store.commit(Unit(1, calls=rows))
    assert [c.intent_id for c in await store.reads.calls_ready("erp", "urgent", 10, 1)] == ["b"]
    assert [c.intent_id for c in await store.reads.calls_ready("crm", "standard", 10, 1)] == ["c"]


async def test_the_blocking_call_is_the_oldest_open_one_before_it(store: Store) -> None:
    await store.commit(Unit(1, calls=[call("first"), call("second"), call("third")]))
    [first], [third] = await store.reads.calls_by_key("first"), await store.reads.calls_by_key("third")
    assert (await store.reads.blocking(third)).intent_id == "first"
    assert await store.reads.blocking(first) is None
    await store.commit(Unit(2, call_changes=[step(first, "in_flight")]))
    assert [c.intent_id for c in await store.reads.calls_unsettled("erp")] == ["first"]


async def test_spends_without_an_end_are_found_again(store: Store) -> None:
    rows = [SpendRow(n, "erp", "post", f"i{n}", "boot", n * 10, n * 1000) for n in (1, 2, 3)]
    await store.commit(Unit(1, spends=rows, spend_ends=[SpendEnd(1, 15, 1500)]))
    found = await store.reads.spends("erp", 1000)
    assert [(spend.seq, spend.arrived_by_ns) for spend in found] == [(1, 15), (2, None), (3, None)]
    assert [spend.seq for spend in await store.reads.spends("erp", 9_000)] == [2, 3]
    ends = [SpendEnd(2, 25, 2500), SpendEnd(3, 35, 3500)]
    await store.commit(Unit(2, spend_ends=ends))
    assert [spend.seq for spend in await store.reads.spends("erp", 2500)] == [3]
    assert await store.reads.last_spend() == 3


async def test_a_jump_of_the_wall_clock_forgets_no_spend_of_this_boot(store: Store) -> None:
    rows = [
        SpendRow(n, "erp", "post", f"i{n}", boot, n * 10, n * 1000) for n, boot in ((1, "old"), (2, "now"), (3, "now"))
    ]
    await store.commit(Unit(1, spends=rows, spend_ends=[SpendEnd(n, n * 10 + 5, n * 1000 + 500) for n in (1, 2, 3)]))
    tomorrow = 86_400_000_000
    assert [spend.seq for spend in await store.reads.spends("erp", tomorrow, "now", 25)] == [3]
    assert [spend.seq for spend in await store.reads.spends("erp", tomorrow, "now", 0)] == [2, 3]


async def test_inbox_marks_milestones_and_exceptions_are_found_by_their_keys(store: Store) -> None:
    passed = MilestoneRow("credit", "CASE-1", "approved", 5, "credit-policy", "m", "{}")
    await store.commit(Unit(1, accepts=[accept("m")], milestones=[passed], exceptions=[trouble("CASE-1")]))
    assert await store.reads.handled(["dedupe of m", "absent"]) == set()
    assert [m.name for m in await store.reads.milestones("CASE-1")] == ["approved"]
    assert await store.reads.exceptions_open() == {("bug", "it"): 1}
    assert await store.reads.exceptions("CASE-2") == []
    assert [m.id for m in await store.reads.messages_by_key("CASE-1")] == ["m"]


async def test_standing_orders_are_audited_when_given_and_when_ended_and_only_then(store: Store) -> None:
    order = ControlRow(verb="pause", target="lane:bulk", who="ana", reason="month end", since=1)
    await store.commit(Unit(1, controls=[order, order]))
    await store.commit(Unit(2, control_ends=[ControlEnd("pause", "lane:urgent", 2, "ana", "never given")]))
    assert len(await store.reads.controls()) == 2
    await store.commit(Unit(3, control_ends=[ControlEnd("pause", "lane:bulk", 3, "bo", "done")]))
    assert await store.reads.controls() == []
    assert verified(store.path) == [("pause", "lane:bulk")] * 2 + [("pause.ended", "lane:bulk")]


async def test_a_query_that_takes_too_long_is_cut_off_and_frees_its_connection(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n")
    monkeypatch.setattr(reads_module, "READ_SECONDS_MAX", 0.05)
    told = await asyncio.gather(*(store.reads.rows(endless) for _ in range(6)), return_exceptions=True)
    assert {type(error) for error in told} == {TimeoutError}
    monkeypatch.undo()
    assert await store.reads.queue_depths() == {}
