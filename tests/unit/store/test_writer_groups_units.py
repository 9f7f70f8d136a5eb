"""Group commit: many units, one transaction, and each of them whole."""

import asyncio
import random
import sqlite3

import anyio
import pytest

from broker.store.fold import Conflict
from broker.store.rows import AuditRow, Handled, StateRow, TimerRow
from broker.store.store import Store, StoreUnavailable
from broker.store.unit import Committed, Unit
from broker.store.writer import PENDING_ROWS_MAX, UnitRefused
from tests.support.audits import verified
from tests.support.loops import cut_short, steps, until
from tests.support.rows import accept, call, item
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path):
    async with running_store(tmp_path) as opened:
        yield opened


def count(store: Store, table: str) -> int:
    with sqlite3.connect(store.path) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def test_units_that_arrive_together_share_one_transaction(store: Store) -> None:
    await store.commit(Unit(1))
    before = store.writer.groups
    await asyncio.gather(*(store.commit(Unit(1, accepts=[accept(f"m{n}")])) for n in range(500)))
    assert store.writer.groups - before <= 2
    assert count(store, "message") == 500


async def test_a_group_keeps_the_order_of_its_units(store: Store) -> None:
    await asyncio.gather(*(store.commit(Unit(1, items=[item(f"m{n}")])) for n in range(50)))
    assert [row.message_id for row in await store.reads.queue_items("q", 0, 100)] == [f"m{n}" for n in range(50)]


async def test_too_many_units_are_spread_over_several_groups(store: Store) -> None:
    units = [Unit(1, items=[item(f"{n}.{k}") for k in range(999)]) for n in range(8)]
    await asyncio.gather(*(store.commit(unit) for unit in units))
    assert store.writer.groups >= 2
    assert count(store, "queue_item") == 8 * 999


async def test_a_writer_that_is_far_behind_makes_senders_wait(tmp_path) -> None:
    async with Store(tmp_path) as store, anyio.create_task_group() as tasks:
        big = [Unit(1, items=[item("m")] * 9_999) for _ in range(8)]
        for unit in big:
            tasks.start_soon(store.commit, unit)
        await steps(20)
        assert len(store.writer._pending) < 8
        assert store.writer._pending_rows <= PENDING_ROWS_MAX + 10_000
        writing = asyncio.ensure_future(store.writer.run())
        await until(lambda: store.writer.rows == 80_000)
        await store.commit(Unit(1))
        writing.cancel()
        assert count(store, "queue_item") == 8 * 9_999


async def test_a_conflict_takes_only_its_own_unit_along(store: Store) -> None:
    await store.commit(Unit(1, accepts=[accept("m")]))
    mark = Handled("dedupe of m", 1, "done")
    units = [
        Unit(1, items=[item("before")]),
        Unit(1, items=[item("winner")], handled=[mark]),
        Unit(1, items=[item("loser")], handled=[mark], audits=[AuditRow(1, "test", "lost", "m", {})]),
        Unit(1, items=[item("after")], audits=[AuditRow(1, "test", "kept", "m", {})]),
    ]
    answers = await asyncio.gather(*(store.commit(unit) for unit in units), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Committed, Committed, Conflict, Committed]
    found = [row.message_id for row in await store.reads.queue_items("q", 0, 10)]
    assert found == ["dedupe of m", "before", "winner", "after"]
    assert verified(store.path) == [("kept", "m")]


@pytest.mark.parametrize(
    "poison",
    [
        Unit(2**64, accepts=[accept("poison", accepted_at=2**64)]),
        Unit(1, accepts=[accept("poison", key="lone surrogate \ud800")]),
        Unit(1, calls=[call("poison", currency=None, operation=None)]),
    ],
    ids=["a number of more than 64 bits", "text that is no Unicode", "a field that must not be empty"],
)
async def test_a_unit_that_the_database_cannot_hold_is_refused_alone(store: Store, poison: Unit) -> None:
    good = [Unit(1, items=[item(f"m{n}")]) for n in range(3)]
    answers = await asyncio.gather(*(store.commit(u) for u in [good[0], poison, *good[1:]]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Committed, UnitRefused, Committed, Committed]
    assert store.writer.failure is None
    await store.commit(Unit(1, calls=[call("next")]))
    assert verified(store.path) == [("call.requested", "next")]


@pytest.mark.parametrize("seed", range(4))
async def test_a_cancelled_sender_finds_its_unit_whole_or_absent(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    sure = set()
    for n in range(60):
        unit = Unit(1, accepts=[accept(f"m{n}")], calls=[call(f"i{n}")], items=[item(f"x{n}")])
        finished, _ = await cut_short(store.commit(unit), chance)
        if finished:
            sure.add(f"m{n}")
    await store.commit(Unit(1))
    with sqlite3.connect(store.path) as connection:
        messages = {row[0] for row in connection.execute("SELECT id FROM message")}
        calls = {"m" + row[0][1:] for row in connection.execute("SELECT intent_id FROM call")}
        bare = connection.execute("SELECT message_id FROM queue_item WHERE message_id LIKE 'x%'")
        items = {"m" + row[0][1:] for row in bare}
    assert messages == calls == items
    assert sure <= messages
    assert len(verified(store.path)) == len(calls)


@pytest.mark.parametrize("seed", range(6))
async def test_a_writer_stopped_at_any_instant_leaves_no_half_group_and_goes_on_when_started_again(
    tmp_path, seed: int
) -> None:
    """Both kinds of cancellation: a supervisor's scope, which is shielded off, and a plain one."""
    chance = random.Random(seed)
    told: dict[str, bool] = {}
    watched: list[str] = []

    async def send(store: Store, name: str) -> None:
        try:
            await store.commit(Unit(1, accepts=[accept(name)], calls=[call(name)]))
            told[name] = True
        except StoreUnavailable:
            told[name] = False

    async with Store(tmp_path) as store:
        store.watch(lambda unit, _: watched.extend(a.row.id for a in unit.accepts))
        for round in range(12):
            writing = asyncio.ensure_future(store.writer.run())
            await steps(chance.choice((0, 1, 50)))
            sending = [asyncio.ensure_future(send(store, f"{round}.{n}")) for n in range(20)]
            await steps(chance.choice((0, 1, 3, 10, 30, 100, 300, 600)))
            writing.cancel()
            await asyncio.wait({writing})
            if not all(task.done() for task in sending):
                await asyncio.wait(sending)
        writing = asyncio.ensure_future(store.writer.run())
        await steps(50)
        await send(store, "last")
        writing.cancel()
        await asyncio.wait({writing})
    audits = verified(store.path)
    with sqlite3.connect(store.path) as connection:
        stored = [row[0] for row in connection.execute("SELECT id FROM message ORDER BY seq")]
        calls = [row[0] for row in connection.execute("SELECT intent_id FROM call ORDER BY seq")]
    assert stored == calls == [subject for _, subject in audits]
    assert {name for name, written in told.items() if written} == set(stored) == set(watched)
    assert told["last"]


async def test_a_stopped_writer_says_so_instead_of_letting_senders_wait(tmp_path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1))
    with pytest.raises(StoreUnavailable, match="stopped"):
        await store.commit(Unit(1))


async def test_a_unit_sent_before_the_writer_runs_is_written_when_it_does(tmp_path) -> None:
    async with Store(tmp_path) as store, anyio.create_task_group() as tasks:
        early = asyncio.ensure_future(store.commit(Unit(1, items=[item("early")])))
        await steps(10)
        assert not early.done()
        tasks.start_soon(store.writer.run)
        await early
        tasks.cancel_scope.cancel()


async def test_a_busy_writer_gives_signs_of_life(tmp_path) -> None:
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    async with Store(tmp_path) as store, anyio.create_task_group() as tasks:
        pending = [asyncio.ensure_future(store.commit(Unit(1, items=[item("m")] * 4_000))) for _ in range(6)]
        await steps(3)
        tasks.start_soon(store.writer.run, beat)
        await asyncio.gather(*pending)
        assert beats >= store.writer.groups == 6
        tasks.cancel_scope.cancel()


async def test_watchers_hear_of_a_unit_after_its_commit_and_of_no_other(store: Store) -> None:
    heard: list[tuple[str, int]] = []

    def watcher(unit: Unit, committed: Committed) -> None:
        heard.extend((row.message_id, count(store, "queue_item")) for row in unit.items)

    store.watch(watcher)
    await store.commit(Unit(1, items=[item("one")]))
    with pytest.raises(Conflict):
        await store.commit(Unit(1, items=[item("never")], handled=[Handled("unknown", 1, "done")]))
    await asyncio.gather(*(store.commit(Unit(1, items=[item(id)])) for id in ("two", "three")))
    store.unwatch(watcher)
    await store.commit(Unit(1, items=[item("unheard")]))
    assert heard == [("one", 1), ("two", 3), ("three", 3)]


async def test_numbers_go_on_without_a_gap_after_a_failure(store: Store) -> None:
    await store.commit(Unit(1, accepts=[accept("a")], calls=[call("a")]))
    for attempt in range(3):
        doomed = Unit(1, accepts=[accept("b")], calls=[call("b")], handled=[Handled(f"unknown {attempt}", 1, "done")])
        with pytest.raises(Conflict):
            await store.commit(doomed)
    await store.commit(Unit(1, accepts=[accept("c")], calls=[call("c")]))
    [a], [c] = await store.reads.messages_by_id("a"), await store.reads.messages_by_id("c")
    assert (a.seq, c.seq) == (1, 2)
    assert verified(store.path) == [("call.requested", "a"), ("call.requested", "c")]


async def test_a_timer_started_again_replaces_itself(store: Store) -> None:
    await store.commit(Unit(1, timers=[TimerRow("t", 10, "q", b"old"), TimerRow("other", 99, "q", b"")]))
    await store.commit(Unit(1, timers=[TimerRow("t", 20, "q", b"newer"), TimerRow("t", 30, "q", b"newest")]))
    assert await store.reads.timers_due(50, 10) == [("t", 30, "q", b"newest")]
    await store.commit(Unit(1, timers_done=["t"]))
    assert await store.reads.timers_due(50, 10) == []


async def test_the_last_state_of_a_key_stands(store: Store) -> None:
    def saved(version: int) -> Unit:
        return Unit(1, states=[StateRow("d", "k", version, b"%d" % version, 1)])

    await asyncio.gather(*(store.commit(saved(version)) for version in (1, 2, 3)))
    assert await store.reads.states("d", ["k", "absent"]) == {"k": (3, b"3")}
