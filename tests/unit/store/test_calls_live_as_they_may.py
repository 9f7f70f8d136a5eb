"""The store refuses a step that no call may take, with everything else of its unit, and says why."""

from pathlib import Path

import msgspec
import pytest

from broker.store.rows import Call
from broker.store.unit import Unit
from broker.store.writer import UnitRefused
from tests.support.rows import call, step
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("before", "wanted", "words"),
    [
        (("in_flight", "unknown"), "refused", "cannot go from unknown to refused"),
        (("in_flight", "done"), "waiting", "it is final"),
        (("in_flight", "refused"), "in_flight", "it is final"),
        ((), "done", "cannot go from waiting to done"),
        ((), "exception", "cannot go from waiting to exception"),
        (("in_flight", "waiting"), "refused", "only the system may say"),
    ],
)
async def test_an_illegal_step_is_refused_and_the_call_stays_as_it_is(
    tmp_path: Path, before: tuple[str, ...], wanted: str, words: str
) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call("mine"), call("other", "B")]))

        async def stored(intent: str) -> Call:
            (found,) = await store.reads.calls_by_key(intent)
            return found

        for status in before:
            await store.commit(Unit(2, call_changes=[step(await stored("mine"), status)]))
        kept = await stored("mine")
        unit = Unit(3, call_changes=[step(await stored("other"), "in_flight"), step(kept, wanted)])
        with pytest.raises(UnitRefused, match=words):
            await store.commit(unit)
        assert await stored("mine") == kept
        assert (await stored("other")).status == "waiting", "nothing of the unit was written"
        await store.commit(Unit(4, call_changes=[step(await stored("other"), "in_flight")]))


async def test_done_without_a_document_is_refused(tmp_path: Path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[call("mine")]))
        (waiting,) = await store.reads.calls_by_key("mine")
        flying = step(waiting, "in_flight")
        await store.commit(Unit(2, call_changes=[flying]))
        done = step(flying.call, "done")
        bare = msgspec.structs.replace(done, call=msgspec.structs.replace(done.call, document=None))
        with pytest.raises(UnitRefused, match="without the system's document"):
            await store.commit(Unit(3, call_changes=[bare]))
