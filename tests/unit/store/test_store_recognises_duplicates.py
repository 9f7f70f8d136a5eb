"""The door's memory: the same message twice is one message, whoever sends it and whenever."""

import asyncio

import pytest

from broker.store.store import Store
from broker.store.unit import Accepted, Unit
from tests.support.rows import accept, call
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path):
    async with running_store(tmp_path) as opened:
        yield opened


async def answers(store: Store, *units: Unit) -> list[Accepted]:
    """What each accept was told, all units sent at once."""
    committed = await asyncio.gather(*(store.commit(unit) for unit in units))
    return [answer for result in committed for answer in result.accepted]


def one(id: str, **other) -> Unit:
    return Unit(1, accepts=[accept(id, **other)])


async def test_the_same_message_later_is_a_duplicate_and_names_the_first(store: Store) -> None:
    [first] = await answers(store, one("m"))
    [again] = await answers(store, one("m"))
    assert (first.duplicate, again.duplicate, again.mismatch) == (False, True, False)
    assert (again.seq, again.original_id, again.original_type) == (first.seq, "m", "support.case.opened")
    assert await store.reads.queue_depths() == {"q": 1}


async def test_of_many_at_once_exactly_one_is_accepted(store: Store) -> None:
    told = await answers(store, *(one("m") for _ in range(100)))
    assert [answer.duplicate for answer in told].count(False) == 1
    assert {answer.seq for answer in told} == {1}
    assert await store.reads.queue_depths() == {"q": 1}


async def test_a_message_twice_in_one_unit_is_accepted_once(store: Store) -> None:
    told = await answers(store, Unit(1, accepts=[accept("m"), accept("m"), accept("n")]))
    assert [answer.duplicate for answer in told] == [False, True, False]
    assert await store.reads.queue_depths() == {"q": 2}


@pytest.mark.parametrize("together", [True, False])
async def test_another_id_under_the_same_idempotency_key_is_a_duplicate(store: Store, together: bool) -> None:
    first, second = one("m", idempotency="key"), one("n", idempotency="key")
    told = await answers(store, first) if not together else []
    told += await answers(store, *([first, second] if together else [second]))
    assert [answer.duplicate for answer in told] == [False, True]
    assert told[1].original_id == "m"
    assert not told[1].mismatch


@pytest.mark.parametrize("together", [True, False])
async def test_other_content_under_the_same_name_is_a_mismatch(store: Store, together: bool) -> None:
    first, second = one("m", idempotency="key"), one("n", idempotency="key", fingerprint="other")
    third = one("m", fingerprint="other")
    if together:
        told = await answers(store, first, second, third)
    else:
        told = [(await answers(store, unit))[0] for unit in (first, second, third)]
    assert [(answer.duplicate, answer.mismatch) for answer in told] == [(False, False), (True, True), (True, True)]


async def test_no_idempotency_key_is_not_a_key_that_could_be_equal(store: Store) -> None:
    told = await answers(store, one("m"), one("n"))
    assert [answer.duplicate for answer in told] == [False, False]


async def test_duplicates_are_recognised_after_reopening(tmp_path) -> None:
    async with running_store(tmp_path) as store:
        await store.commit(one("m"))
    async with running_store(tmp_path) as store:
        [again], [fresh] = await answers(store, one("m")), await answers(store, one("n"))
        assert again.duplicate
        assert (fresh.duplicate, fresh.seq) == (False, 2)


async def test_a_known_intent_is_not_a_second_call(store: Store) -> None:
    same = Unit(1, calls=[call("i"), call("i"), call("j")])
    told, again = await asyncio.gather(store.commit(same), store.commit(Unit(1, calls=[call("i")])))
    later = await store.commit(Unit(1, calls=[call("i")]))
    assert (told.calls_known, again.calls_known, later.calls_known) == (["i"], ["i"], ["i"])
    assert [found.intent_id for found in await store.reads.calls_ready("erp", "standard", 10, 1)] == ["i"]
    assert store.counters.calls["erp", "standard", "waiting"] == 2
    assert await store.reads.call_counts() == {("erp", "standard", "waiting"): 2}


async def test_a_known_intent_with_other_content_is_an_exception_for_finance(store: Store) -> None:
    await store.commit(Unit(1, calls=[call("i", minor=100)]))
    told = await store.commit(Unit(2, calls=[call("i", fingerprint="other", minor=999)]))
    assert told.calls_conflicting == ["i"]
    [stands] = await store.reads.calls_by_key("i")
    assert stands.minor == 100
    [opened] = await store.reads.exceptions()
    assert (opened.owner, opened.intent_id, opened.body) == ("finance", "i", b"{}")
