"""Random lives of calls against a dictionary: who is ready, what the audit says, what a crash leaves."""

import asyncio
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.store.fold import Conflict
from broker.store.rows import Call, CallRow
from broker.store.store import Store
from broker.store.unit import Unit
from tests.support.audits import verified
from tests.support.rows import call, step
from tests.support.stores import running_store

REFS = st.sampled_from(["A-1", "A-2", "A-3"])
OPEN = {"waiting", "in_flight", "unknown"}
pick = st.randoms(use_true_random=False)


class CallsMachine(RuleBasedStateMachine):
    """`model` is the whole truth: intent -> [ref, status], in the order of requests."""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp(prefix="calls-"))
        self.model: dict[str, list[str]] = {}
        self.turns: dict[str, str] = {}
        self.changes: list[tuple[str, str]] = []
        self.count = 0
        self.runner.run(self._start())

    async def _start(self) -> None:
        self.store = await Store(self.place).__aenter__()
        self.writing = asyncio.ensure_future(self.store.writer.run())

    async def _end(self) -> None:
        self.writing.cancel()
        await asyncio.wait({self.writing})
        await self.store.__aexit__(None, None, None)

    def _commit(self, *units: Unit) -> list[object]:
        async def commit() -> list[object]:
            return await asyncio.gather(*(self.store.commit(unit) for unit in units), return_exceptions=True)

        return self.runner.run(commit())

    def _stored(self) -> dict[str, Call]:
        with closing(sqlite3.connect(self.place / "tidegate.db")) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute("SELECT * FROM call ORDER BY seq").fetchall()
        return {row["intent_id"]: Call(**dict(row)) for row in rows}

    @rule(refs=st.lists(REFS, min_size=1, max_size=4), split=st.booleans())
    def request(self, refs: list[str], split: bool) -> None:
        rows: list[CallRow] = []
        for ref in refs:
            self.count += 1
            rows.append(call(f"i{self.count}", ref))
            self.model[f"i{self.count}"] = [ref, "waiting"]
            self.changes.append(("call.requested", f"i{self.count}"))
        units = [Unit(1, calls=[row]) for row in rows] if split else [Unit(1, calls=rows)]
        assert not any(isinstance(answer, Exception) for answer in self._commit(*units))

    @precondition(lambda self: self.model)
    @rule(chance=pick)
    def request_again(self, chance) -> None:
        intent = chance.choice(list(self.model))
        [told] = self._commit(Unit(1, calls=[call(intent, self.model[intent][0])]))
        assert told.calls_known == [intent]

    def _move(self, intent: str, *statuses: str) -> None:
        """Several steps of a call's life, each in a unit of its own, in one group."""
        stored = self._stored()[intent]
        units = []
        for status in statuses:
            change = step(stored, status, reason=None if status == "waiting" else status)
            units.append(Unit(2, call_changes=[change]))
            stored = change.call
        assert not any(isinstance(answer, Exception) for answer in self._commit(*units))
        self.model[intent][1] = statuses[-1]
        self.changes += [(f"call.{status}", intent) for status in statuses]

    def _of(self, *statuses: str) -> list[str]:
        return [intent for intent, (_, status) in self.model.items() if status in statuses]

    def _heads(self) -> dict[str, str]:
        """The oldest open call of each key."""
        heads: dict[str, str] = {}
        for intent, (ref, status) in self.model.items():
            if status in OPEN:
                heads.setdefault(ref, intent)
        return heads

    @precondition(lambda self: self._ready())
    @rule(chance=pick, at_once=st.sampled_from([(), ("done",), ("refused",), ("waiting",), ("unknown", "done")]))
    def start(self, chance, at_once: tuple[str, ...]) -> None:
        self._move(chance.choice(sorted(self._ready())), "in_flight", *at_once)

    @precondition(lambda self: self._of("in_flight"))
    @rule(chance=pick, status=st.sampled_from(["done", "refused", "exception", "unknown", "waiting"]))
    def answer(self, chance, status: str) -> None:
        self._move(chance.choice(self._of("in_flight")), status)

    def _never_sent(self) -> list[str]:
        return [intent for intent in self._of("waiting") if not self._stored()[intent].sent]

    @precondition(lambda self: self._never_sent())
    @rule(chance=pick)
    def withdraw(self, chance) -> None:
        """An operator may close any call that waits and was never sent, also one in the middle of the line."""
        self._move(chance.choice(self._never_sent()), "refused")

    @precondition(lambda self: self._of("exception"))
    @rule(chance=pick, status=st.sampled_from(["waiting", "unknown", "done", "refused"]))
    def a_person_settles(self, chance, status: str) -> None:
        """Put back in line, it waits for whoever has gone ahead meanwhile."""
        self._move(chance.choice(self._of("exception")), status)

    @precondition(lambda self: self._of("unknown"))
    @rule(chance=pick, status=st.sampled_from(["done", "waiting", "exception", "unknown"]))
    def look_up(self, chance, status: str) -> None:
        self._move(chance.choice(self._of("unknown")), status)

    @precondition(lambda self: self.model)
    @rule(chance=pick, ref=REFS)
    def change_from_a_state_it_has_left(self, chance, ref: str) -> None:
        """Refused, with everything else of its unit; a unit beside it in the group is not."""
        intent = chance.choice(list(self.model))
        stored = self._stored()[intent]
        was = next(status for status in ("in_flight", "waiting") if status != stored.status)
        stale = step(stored, "done" if was == "in_flight" else "in_flight")
        self.count += 2
        doomed = Unit(2, calls=[call(f"i{self.count - 1}", ref)], call_changes=[type(stale)(stale.call, was, "zombie")])
        self.model[f"i{self.count}"] = [ref, "waiting"]
        self.changes.append(("call.requested", f"i{self.count}"))
        told = self._commit(doomed, Unit(2, calls=[call(f"i{self.count}", ref)]))
        assert isinstance(told[0], Conflict)
        assert not isinstance(told[1], Exception)

    @rule()
    def crash(self) -> None:
        """What a killed process leaves is the two files as they are."""
        image = Path(tempfile.mkdtemp(prefix="calls-"))
        for file in self.place.glob("tidegate.db*"):
            shutil.copy(file, image)
        self.runner.run(self._end())
        shutil.rmtree(self.place)
        self.place = image
        self.runner.run(self._start())

    def _ready(self) -> set[str]:
        """Those whose turn it is: the oldest of each key, unless another one had gone on when it came back."""
        for ref, head in self._heads().items():
            if self.turns.get(ref) is None or self.model[self.turns[ref]][1] not in OPEN:
                self.turns[ref] = head
        return {intent for intent in self.turns.values() if self.model[intent][1] == "waiting"}

    @invariant()
    def one_call_of_a_key_alone_is_ready(self) -> None:
        if not hasattr(self, "model"):
            return
        stored = self._stored()
        assert {intent: [row.order_ref, row.status] for intent, row in stored.items()} == self.model
        assert {intent for intent, row in stored.items() if row.ready} == self._ready()
        assert {intent for intent, row in stored.items() if row.open} == set(self._of(*OPEN))
        assert [row.seq for row in stored.values()] == list(range(1, len(stored) + 1))

    @invariant()
    def the_counters_follow(self) -> None:
        if hasattr(self, "model"):
            counted = {status: n for (_, _, status), n in self.store.counters.calls.items() if n}
            assert counted == {status: len(self._of(status)) for _, status in self.model.values()}
            waiting = len(self._of("waiting"))
            assert self.store.counters.flows == ({("erp", "standard", "t", ""): waiting} if waiting else {})

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        self.runner.run(self._end())
        self.runner.close()
        # units of one group write their requests before their changes, so only each call's own story is ordered
        told = verified(self.place / "tidegate.db")
        assert sorted(told) == sorted(self.changes)
        for intent in self.model:
            assert [verb for verb, subject in told if subject == intent] == [
                verb for verb, subject in self.changes if subject == intent
            ]
        shutil.rmtree(self.place)


CallsMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestCallsKeepTheirOrder = pytest.mark.filterwarnings("error::RuntimeWarning")(CallsMachine.TestCase)


@pytest.mark.anyio
async def test_closing_a_call_in_the_middle_of_the_line_leaves_the_one_in_flight_alone(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call("head"), call("middle"), call("tail")]))
        [head], [middle] = await store.reads.calls_by_key("head"), await store.reads.calls_by_key("middle")
        await store.commit(Unit(2, call_changes=[step(head, "in_flight")]))
        await store.commit(Unit(3, call_changes=[step(middle, "refused")]))
        assert await store.reads.calls_ready("erp", "standard", 10, 9) == []
        [head] = await store.reads.calls_by_key("head")
        await store.commit(Unit(4, call_changes=[step(head, "done")]))
        assert [found.intent_id for found in await store.reads.calls_ready("erp", "standard", 10, 9)] == ["tail"]
