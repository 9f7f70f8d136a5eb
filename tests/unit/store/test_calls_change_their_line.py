"""Random lives of calls that operators move between lines: of each line at most one may go, and one always can."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.store.fold import Conflict
from broker.store.rows import Call, CallMove
from broker.store.store import Store
from broker.store.unit import Unit
from tests.support.rows import call, step
from tests.support.stores import running_store

LANES = ["urgent", "standard", "bulk"]
lanes = st.sampled_from(LANES)
keys = st.sampled_from(["A", "B"])
pick = st.randoms(use_true_random=False)


def ref(lane: str, key: str) -> str:
    return f"erp|t|{lane}|{key}"


class MovesMachine(RuleBasedStateMachine):
    """The store itself is looked at after each step."""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.count = 0
        self.runner.run(self._start(Path(tempfile.mkdtemp(prefix="moves-"))))

    async def _start(self, place: Path) -> None:
        self.store = await Store(place).__aenter__()
        self.writing = asyncio.ensure_future(self.store.writer.run())

    async def _end(self) -> None:
        self.writing.cancel()
        await asyncio.wait({self.writing})
        await self.store.__aexit__(None, None, None)

    def _commit(self, unit: Unit) -> None:
        async def commit() -> None:
            await self.store.commit(unit)

        self.runner.run(commit())

    def _calls(self, *statuses: str) -> list[Call]:
        with closing(sqlite3.connect(self.store.path)) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute("SELECT * FROM call ORDER BY seq").fetchall()
        found = [Call(**dict(row)) for row in rows]
        return [one for one in found if one.status in statuses] if statuses else found

    @rule(lane=lanes, key=keys)
    def request(self, lane: str, key: str) -> None:
        self.count += 1
        self._commit(Unit(1, calls=[call(f"i{self.count}", ref(lane, key), lane=lane)]))

    @precondition(lambda self: self._calls("waiting"))
    @rule(chance=pick, lane=lanes, later=st.booleans())
    def move(self, chance, lane: str, later: bool) -> None:
        waiting = self._calls("waiting")
        moves = []
        for one in chance.sample(waiting, chance.randint(1, min(3, len(waiting)))):
            moves.append(CallMove(one, lane, ref(lane, one.order_ref[-1]), 9 if later else 0, "dana", "a test"))
        self._commit(Unit(2, call_moves=moves))

    @precondition(lambda self: any(one.ready for one in self._calls("waiting")))
    @rule(chance=pick, status=st.sampled_from(["in_flight", "done", "waiting", "unknown"]))
    def make(self, chance, status: str) -> None:
        one = chance.choice([one for one in self._calls("waiting") if one.ready])
        begun = step(one, "in_flight")
        self._commit(Unit(2, call_changes=[begun]))
        if status != "in_flight":
            self._commit(Unit(2, call_changes=[step(begun.call, status)]))

    @precondition(lambda self: self._calls("in_flight", "unknown"))
    @rule(chance=pick, status=st.sampled_from(["done", "exception", "waiting"]))
    def answer(self, chance, status: str) -> None:
        self._commit(Unit(3, call_changes=[step(chance.choice(self._calls("in_flight", "unknown")), status)]))

    @precondition(lambda self: self._never_sent())
    @rule(chance=pick)
    def cancel(self, chance) -> None:
        self._commit(Unit(3, call_changes=[step(chance.choice(self._never_sent()), "refused")]))

    def _never_sent(self) -> list[Call]:
        return [one for one in self._calls("waiting") if not one.sent]

    @precondition(lambda self: self._calls("done", "in_flight"))
    @rule(chance=pick, lane=lanes)
    def move_what_no_longer_waits(self, chance, lane: str) -> None:
        one = chance.choice(self._calls("done", "in_flight"))
        with pytest.raises(Conflict):
            self._commit(Unit(2, call_moves=[CallMove(one, lane, ref(lane, "A"), 0, "dana", "too late")]))

    @invariant()
    def of_each_line_exactly_one_may_go_or_is_under_way(self) -> None:
        lines: dict[str, list[Call]] = {}
        for one in self._calls("waiting", "in_flight", "unknown"):
            lines.setdefault(one.order_ref, []).append(one)
        for line in lines.values():
            assert len([one for one in line if one.ready or one.status != "waiting"]) == 1

    @invariant()
    def the_counters_are_those_of_the_store(self) -> None:
        waiting: dict[tuple[str, str, str], int] = {}
        for one in self._calls("waiting"):
            waiting[one.system, one.tenant, one.lane] = waiting.get((one.system, one.tenant, one.lane), 0) + 1
        assert dict(self.store.counters.tenants) == waiting
        for lane in LANES:
            assert self.store.counters.waiting("erp", lane) == waiting.get(("erp", "t", lane), 0)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self._end())
        self.runner.close()


TestMoves = MovesMachine.TestCase
TestMoves.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


@pytest.mark.anyio
async def test_a_call_that_was_moved_in_waits_for_the_one_under_way_whoever_else_leaves_the_line(
    tmp_path: Path,
) -> None:
    async with running_store(tmp_path) as store:
        line = ref("urgent", "A")
        rows = [call("first", ref("bulk", "A"), lane="bulk"), call("flying", line), call("last", line)]
        await store.commit(Unit(1, calls=rows))

        async def stored(intent: str) -> Call:
            (found,) = await store.reads.calls_by_key(intent)
            return found

        await store.commit(Unit(2, call_changes=[step(await stored("flying"), "in_flight")]))
        await store.commit(Unit(3, call_moves=[CallMove(await stored("first"), "urgent", line, 0, "dana", "now")]))
        assert (await stored("first")).ready == 0
        await store.commit(Unit(4, call_changes=[step(await stored("last"), "refused")]))
        assert (await stored("first")).ready == 0
        await store.commit(Unit(5, call_changes=[step(await stored("flying"), "done")]))
        assert (await stored("first")).ready == 1
