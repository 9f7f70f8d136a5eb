"""A small part of the backlog in memory, and the choice is still over all of it."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

import actors.caller.worklist as worklist_module
from actors.caller.worklist import NEAR, WINDOW, WINDOW_MAX, Worklist
from broker.store.backlog import Backlog
from broker.store.rows import Call, CallChange
from broker.store.store import Store
from broker.store.unit import Unit
from policies.order import NEVER, Block, Order, Place, Share
from tests.support.rows import call, step
from tests.support.stores import explain, running_store

pytestmark = pytest.mark.anyio


async def opened(store: Store, order: Order | None = None) -> Worklist:
    """A worklist that is told of every commit, as the poster's is."""
    worklist = Worklist(store.reads, "erp", order or Order())
    store.watch(worklist.follow)  # type: ignore[arg-type]
    await worklist.open()
    return worklist


async def next_call(worklist: Worklist, now: int = 1) -> Call | None:
    """Take the next call once everything is read that must be."""
    await worklist.refresh(now)
    while worklist.unread:
        await worklist.refresh(now)
    return worklist.take() if worklist.first() is not None else None


async def make(store: Store, worklist: Worklist, found: Call, status: str, **other: object) -> None:
    """Start a call that was taken, and settle it."""
    begun = step(found, "in_flight")
    await store.commit(Unit(2, call_changes=[begun]))
    ended = step(begun.call, status, **other)
    await store.commit(Unit(3, call_changes=[ended]))
    worklist.settled(ended.call, 1_000)


class Chance:
    """A random history, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.requested = 0
        self.taken: list[Call] = []

    async def request(self, store: Store) -> None:
        rows = []
        for _ in range(self.draw.randint(1, 12)):
            self.requested += 1
            tenant, lane = self.draw.choice("AAB"), self.draw.choice(["urgent", "standard", "standard"])
            rows.append(
                call(
                    f"i{self.requested}",
                    f"erp|{tenant}|{lane}|{self.draw.randint(1, 6)}",
                    tenant=tenant,
                    lane=lane,
                    workload=self.draw.choice("vw"),
                    deadline=self.draw.choice([50, 60, NEVER, NEVER]),
                    partition=self.draw.randint(0, 1),
                )
            )
        await store.commit(Unit(1, calls=rows))

    async def end(self, store: Store, worklist: Worklist) -> None:
        begun = self.taken.pop(self.draw.randrange(len(self.taken)))
        ended = step(begun, self.draw.choice(["done", "refused", "waiting"]))
        await store.commit(Unit(3, call_changes=[ended]))
        worklist.settled(ended.call, 1_000)


@pytest.mark.parametrize("seed", range(6))
async def test_what_goes_next_is_the_first_of_its_line_in_the_store(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, small in (("WINDOW", 5), ("READ_MAX", 8), ("WINDOW_MAX", 10), ("NEAR", 1)):
        monkeypatch.setattr(worklist_module, name, small)
    chance = Chance(seed)
    async with running_store(tmp_path) as store:
        worklist = await opened(store)
        for _ in range(150):
            move = chance.draw.random()
            if move < 0.25:
                await chance.request(store)
            elif move < 0.5 and chance.taken:
                await chance.end(store, worklist)
            else:
                ready = await store.reads.calls_ready("erp", "urgent", 9_999, 1)
                ready += await store.reads.calls_ready("erp", "standard", 9_999, 1)
                found = await next_call(worklist)
                assert (found is None) == (not ready), "work-conserving"
                if found is None:
                    continue
                line = [other for other in ready if other.place == found.place]
                assert found.seq == min(line, key=lambda other: (other.deadline, other.seq)).seq
                assert found.lane == "urgent" or found.lane == "standard"
                begun = step(found, "in_flight")
                await store.commit(Unit(2, call_changes=[begun]))
                chance.taken.append(begun.call)
        assert chance.requested > 50


async def test_little_is_at_hand_however_much_waits_and_of_however_many(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        rows = [call(f"i{n}", f"r{n}", tenant=f"t{n % 3_000}", partition=n % 4) for n in range(12_000)]
        await store.commit(Unit(1, calls=rows))
        worklist = await opened(store)
        most = 0
        for _ in range(40):
            await worklist.refresh(1)
            most = max(most, worklist.waiting())
            for _ in range(NEAR // 2):
                if worklist.first() is not None:
                    worklist.take()
        assert most <= WINDOW_MAX + 2 * WINDOW


async def test_a_line_of_one_tenant_is_read_in_windows_not_call_by_call(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call(f"i{n}", f"r{n}") for n in range(1_000)]))
        worklist = await opened(store)
        await worklist.refresh(1)
        assert worklist.waiting() == WINDOW


async def test_an_earlier_deadline_that_comes_in_late_goes_first(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call(f"i{n}", f"r{n}", deadline=900) for n in range(300)]))
        worklist = await opened(store)
        assert (await next_call(worklist)).intent_id == "i0"
        await store.commit(Unit(1, calls=[call("soon", "s", deadline=100)]))
        assert (await next_call(worklist)).intent_id == "soon"


async def test_a_call_that_was_behind_another_of_its_key_takes_its_old_place(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        rows = [call("first", "A"), call("second", "A"), *(call(f"i{n}", f"r{n}") for n in range(300))]
        await store.commit(Unit(1, calls=rows))
        worklist = await opened(store)
        first = await next_call(worklist)
        assert first.intent_id == "first"
        assert (await next_call(worklist)).intent_id == "i0"
        await make(store, worklist, first, "done")
        assert (await next_call(worklist)).intent_id == "second"


async def test_a_delayed_call_is_there_when_its_moment_has_come(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        rows = [call("later", "A", not_before=50), *(call(f"i{n}", f"r{n}") for n in range(3))]
        await store.commit(Unit(1, calls=rows))
        worklist = await opened(store)
        assert [(await next_call(worklist, 49)).intent_id for _ in range(3)] == ["i0", "i1", "i2"]
        assert await next_call(worklist, 49) is None
        await worklist.due(50)
        assert (await next_call(worklist, 50)).intent_id == "later"


async def test_shares_and_blocks_are_over_what_waits_in_the_store(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        rows = [call(f"{tenant}{n}", f"{tenant}{n}", tenant=tenant) for tenant in "AB" for n in range(500)]
        await store.commit(Unit(1, calls=rows))
        order = Order()
        worklist = await opened(store, order)
        tenants = [(await next_call(worklist)).tenant for _ in range(10)]
        assert tenants.count("A") == 5
        order.set_tenants({"B": Share(4)})
        tenants = [(await next_call(worklist)).tenant for _ in range(10)]
        assert tenants.count("B") == 8
        worklist.set_blocks([Block(tenant="B")])
        assert {(await next_call(worklist)).tenant for _ in range(10)} == {"A"}
        worklist.set_blocks([Block(tenant="A"), Block(partition=0)])
        assert await next_call(worklist) is None


async def test_a_call_that_somebody_else_changed_is_not_made_as_it_was(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call("a", "1"), call("b", "2")]))
        worklist = await opened(store)
        await worklist.refresh(1)
        first = worklist.first()
        closed = msgspec.structs.replace(first, status="refused", open=0, ready=0, reason="a test")
        await store.commit(Unit(2, call_changes=[CallChange(closed, "waiting", "anna")]))
        worklist.drop(first)
        assert (await next_call(worklist)).intent_id == "b"
        assert await next_call(worklist) is None


async def test_a_call_that_did_not_leave_is_the_first_again(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call("a", "1"), call("b", "2")]))
        worklist = await opened(store)
        found = await next_call(worklist)
        worklist.give_back(found)
        assert (await next_call(worklist)).intent_id == "a"


async def test_a_call_that_is_taken_is_not_offered_again_before_the_store_knows(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call("a", "1"), call("b", "2")]))
        worklist = await opened(store)
        assert (await next_call(worklist)).intent_id == "a"
        worklist.returned(Place("standard", "t", "", "post", 0))
        assert (await next_call(worklist)).intent_id == "b"
        worklist.returned(Place("standard", "t", "", "post", 0))
        assert await next_call(worklist) is None


async def test_a_call_that_comes_in_while_its_line_is_read_is_found(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call("a", "1")]))
        worklist = await opened(store)
        read = worklist._backlog.heads

        async def slowly(*asked):
            found = await read(*asked)
            if not await store.reads.calls_by_key("b"):
                await store.commit(Unit(1, calls=[call("b", "2")]))
            return found

        worklist._backlog.heads = slowly  # type: ignore[method-assign]
        assert (await next_call(worklist)).intent_id == "a"
        assert (await next_call(worklist)).intent_id == "b"


async def test_each_question_about_the_backlog_is_answered_by_an_index(tmp_path: Path) -> None:
    asked: list[str] = []
    async with running_store(tmp_path) as store:
        reads, rows = store.reads, store.reads.rows

        async def spy(query, parameters=None):
            text = query.compile(store._engines[1].sync_engine, compile_kwargs={"render_postcompile": True})
            plan = await explain(store, str(text), text, parameters)
            asked.extend(line for line in plan if line.startswith("SCAN") and "VIRTUAL" not in line)
            return await rows(query, parameters)

        reads.rows = spy  # type: ignore[method-assign]
        backlog = Backlog(reads, "erp")
        place = Place("standard", "t", "", "post", 0)
        await backlog.heads([place], 5, 1)
        await backlog.heads([place], 5, 1, fresh=True)
        await backlog.due(0, 5)
        await backlog.lines_of(["A"])
    assert asked == []


async def test_other_limits_do_not_make_calls_of_before_weigh_more_than_those_of_now(tmp_path: Path) -> None:
    """From 60 a minute to 60 a second: what was charged before is worth a call, not sixty."""
    busy_us = [1_000_000]
    async with running_store(tmp_path) as store:
        rows = [call(f"{tenant}{n}", f"{tenant}-{n}", tenant=tenant) for n in range(20) for tenant in "AB"]
        await store.commit(Unit(1, calls=rows))
        worklist = Worklist(store.reads, "erp", Order(), lambda held_ns: busy_us[0])
        store.watch(worklist.follow)  # type: ignore[arg-type]
        await worklist.open()
        taken = []
        for place in range(20):
            if place == 3:
                busy_us[0] = 16_667
            found = await next_call(worklist)
            assert found is not None
            taken.append(found.tenant)
            await make(store, worklist, found, "done")
            if place == 3:
                await store.commit(Unit(4, calls=[call(f"late{n}", f"C-{n}", tenant="C") for n in range(20)]))
    turns = taken[4:]
    assert all({"A", "B", "C"} == set(turns[at : at + 3]) for at in range(len(turns) - 2)), turns
