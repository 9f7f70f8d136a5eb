"""The store's questions."""

import asyncio

import pytest
from sqlalchemy import text

from broker.store import reads as reads_module
from broker.store.rows import ControlEnd, ControlRow, MilestoneRow, SpendEnd, SpendRow, SpendSum
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
    found = await store.reads.spends("erp")
    assert [(spend.seq, spend.arrived_by_ns) for spend in found] == [(1, 15), (2, None), (3, None)]
    assert [spend.seq for spend in await store.reads.spends("erp", after=1, limit=1)] == [2]
    assert await store.reads.spends("crm") == []
    assert await store.reads.last_spend() == 3


async def test_old_spends_are_those_of_this_boot_that_had_ended_by_then(store: Store) -> None:
    boots = ((1, "old"), (2, "now"), (3, "now"), (4, "now"))
    rows = [SpendRow(n, "erp", "post", f"i{n}", boot, n * 10, n * 1000) for n, boot in boots]
    await store.commit(Unit(1, spends=rows, spend_ends=[SpendEnd(n, n * 10 + 5, n * 1000 + 500) for n in (1, 2, 3)]))
    assert [spend.seq for spend in await store.reads.old_spends("erp", "now", 100, 10)] == [2, 3]
    assert [spend.seq for spend in await store.reads.old_spends("erp", "now", 30, 10)] == [2]
    assert [spend.seq for spend in await store.reads.old_spends("erp", "now", 100, 1)] == [2]


async def test_spends_and_what_they_add_up_to_change_places_at_once(store: Store) -> None:
    rows = [SpendRow(n, "erp", "post", f"i{n}", "boot", n * 10, n * 1000, "A") for n in (1, 2)]
    await store.commit(Unit(1, spends=rows, spend_ends=[SpendEnd(n, n * 10 + 5, n, 7) for n in (1, 2)]))
    both = SpendSum(2, "erp", "post", "A", "boot", 32, 9, 2, 14)
    assert [spend.execution_ns for spend in await store.reads.spends("erp")] == [7, 7]
    await store.commit(Unit(2, spends_gone=[1, 2], spend_sums=[both]))
    assert (await store.reads.spends("erp"), await store.reads.spend_sums("erp")) == ([], [both])
    assert await store.reads.last_spend() == 2
    later = SpendSum(2, "erp", "post", None, "boot", 99, 9, 3, 15)
    await store.commit(Unit(3, spend_sums_gone=[2], spend_sums=[later]))
    assert await store.reads.spend_sums("erp") == [later]


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
