"""Supervision after OTP: strategies, limits, back-off; a crash is never felt by a sibling."""

import asyncio

import pytest

from actors.runtime.events import ChildCrashed, ChildRestarting, ChildStarted, Escalated
from actors.runtime.supervisor import ChildSpec, GaveUp, Strategy, SupervisorSpec
from policies.restarts import Backoff, RestartLimit
from tests.support.loops import steps, until
from tests.support.trees import Stage, raising, returning

pytestmark = pytest.mark.anyio
SECOND = 1_000_000_000


def root(*children: ChildSpec | SupervisorSpec, **more) -> SupervisorSpec:
    return SupervisorSpec("root", children, **more)


@pytest.fixture
def stage() -> Stage:
    return Stage()


# crashes ---------------------------------------------------------------------------------------------------------

CRASHES = {
    "returns": (returning, "returned although nobody asked it to stop"),
    "raises": (raising(ValueError("bad")), "ValueError: bad"),
    "raises without a text": (raising(ValueError()), "ValueError"),
    "raises CancelledError on its own": (raising(asyncio.CancelledError()), "a cancellation that nobody sent"),
    "raises SystemExit": (raising(SystemExit(3)), "SystemExit: 3"),
    "raises KeyboardInterrupt": (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    "raises GeneratorExit": (raising(GeneratorExit()), "GeneratorExit"),
    "raises a group": (raising(ExceptionGroup("x", [OSError("no"), ValueError("b")])), "OSError: no; ValueError: b"),
    "raises a group of exits": (raising(BaseExceptionGroup("x", [SystemExit(1)])), "SystemExit: 1"),
}


@pytest.mark.parametrize("how", CRASHES)
async def test_however_a_child_ends_it_is_one_crash_and_its_siblings_live(stage: Stage, how: str) -> None:
    part, reason = CRASHES[how]
    async with stage.playing(root(stage.child("a"), stage.child("b"), stage.child("c"))):
        await stage.all_up()
        stage.tell("b", part)
        await until(lambda: stage.place("b").state == "down")
        assert [stage.place(name).state for name in "ac"] == ["up", "up"]
        await stage.came_up_again("b", starts=2)
        assert stage.starts() == {"a": 1, "b": 2, "c": 1}
    crashes = [event for event in stage.events if isinstance(event, ChildCrashed)]
    assert [event.path for event in crashes] == ["/root/b"]
    assert reason in crashes[0].reason
    assert reason in stage.place("b").last_crash


async def test_a_child_cancelled_by_a_stranger_counts_as_crashed(stage: Stage) -> None:
    async with stage.playing(root(stage.child("a"), stage.child("b"))):
        await stage.all_up()
        next(task for task in asyncio.all_tasks() if task.get_name() == "/root/a").cancel()
        await stage.came_up_again("a", starts=2)
        assert stage.starts()["b"] == 1


async def test_a_child_that_cannot_even_be_made_is_a_crash(stage: Stage) -> None:
    tries = []

    def make():
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("no such thing")
        return stage.child("a").make()

    async with stage.playing(root(ChildSpec("a", make), stage.child("b"))):
        await until(lambda: "b starts" in stage.log)
        await stage.came_up_again("a", starts=3)
    assert stage.starts() == {"a": 3, "b": 1}


async def test_the_events_of_a_crash_come_in_order_and_carry_the_facts(stage: Stage) -> None:
    async with stage.playing(root(stage.child("a"))):
        await stage.all_up()
        stage.tell("a", raising(ValueError("bad")))
        await stage.came_up_again("a", starts=2)
    assert stage.told() == [
        "ChildStarted /a",
        "ChildCrashed /a",
        "ChildRestarting /a",
        "ChildStarted /a",
        "ChildStopped /a",
    ]
    _, crashed, restarting, started, _ = stage.events
    assert "ValueError: bad" in crashed.detail
    assert restarting.restarts_in_period == 1
    assert started == ChildStarted("/root/a", 2)


# strategies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "starts"),
    [
        (Strategy.ONE_FOR_ONE, {"a": 1, "b": 2, "c": 1, "d": 1}),
        (Strategy.REST_FOR_ONE, {"a": 1, "b": 2, "c": 2, "d": 2}),
        (Strategy.ONE_FOR_ALL, {"a": 2, "b": 2, "c": 2, "d": 2}),
    ],
)
async def test_the_strategy_says_who_is_started_again(stage: Stage, strategy: Strategy, starts: dict) -> None:
    async with stage.playing(root(*(stage.child(name) for name in "abcd"), strategy=strategy)):
        await stage.all_up()
        stage.log.clear()
        stage.tell("b", returning)
        await stage.came_up_again("b", starts=2)
        await stage.all_up()
        assert stage.starts() == starts
        again = [name for name, times in starts.items() if times == 2]
        ended = [f"{name} ends" for name in reversed(again) if name != "b"]
        assert stage.log == ["b ends", *ended, *(f"{name} starts" for name in again)]


@pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
async def test_siblings_that_crash_together_are_started_again_once(stage: Stage, strategy: Strategy) -> None:
    """One cause, two crashes: the second is answered by the first one's restart and does not count."""
    tree = root(*(stage.child(name) for name in "ab"), strategy=strategy, limit=RestartLimit(1, 30 * SECOND))
    async with stage.playing(tree):
        await stage.all_up()
        stage.tell("a", raising(OSError("gone")))
        stage.tell("b", raising(OSError("gone")))
        await stage.came_up_again("a", starts=2)
        await stage.all_up()
        await stage.clock.advance(5)
        assert stage.starts() == {"a": 2, "b": 2}
    assert stage.told(ChildCrashed, ChildRestarting) == [
        "ChildCrashed /a",
        "ChildCrashed /b",
        "ChildRestarting /a",
    ]


# back-off and limits ---------------------------------------------------------------------------------------------


async def test_a_restart_waits_for_its_back_off_and_no_less(stage: Stage) -> None:
    tree = root(stage.child("a"), backoff=Backoff(base_ns=8 * SECOND), limit=RestartLimit(5, 1000 * SECOND))
    async with stage.playing(tree):
        await stage.all_up()
        for crash, (least, most) in enumerate([(4, 8), (8, 16), (15, 30)], start=1):
            stage.tell("a", returning)
            await stage.clock.advance(least - 0.001)
            assert stage.starts() == {"a": crash}
            await stage.clock.advance(most - least)
            await stage.came_up_again("a", starts=crash + 1)
    told = [event.delay_seconds for event in stage.events if isinstance(event, ChildRestarting)]
    assert 4 <= told[0] <= 8 <= told[1] <= 16 <= told[2] * 2


async def test_one_child_in_back_off_does_not_hold_up_anothers_restart(stage: Stage) -> None:
    tree = root(stage.child("a"), stage.child("b"), backoff=Backoff(base_ns=SECOND))
    async with stage.playing(tree):
        await stage.all_up()
        stage.slow["a"] = asyncio.Event()
        stage.tell("a", returning)
        await stage.clock.advance(2)
        assert stage.place("a").state == "starting"
        stage.tell("b", returning)
        await stage.clock.advance(4)
        await stage.came_up_again("b", starts=2)
        assert stage.place("a").state == "starting"
        stage.slow["a"].set()
        await stage.came_up_again("a", starts=2)


async def test_a_stop_does_not_wait_for_a_back_off(stage: Stage) -> None:
    async with stage.playing(root(stage.child("a"), stage.child("b"), backoff=Backoff(base_ns=1000 * SECOND))):
        await stage.all_up()
        stage.tell("a", returning)
        await until(lambda: stage.place("a").state == "down")
        await steps(20)
    assert stage.starts() == {"a": 1, "b": 1}
    assert stage.log[-1] == "b ends"


async def test_more_crashes_than_the_limit_escalate_and_stop_the_others_in_reverse(stage: Stage) -> None:
    tree = root(*(stage.child(name) for name in "abc"), limit=RestartLimit(2, 30 * SECOND))
    with pytest.raises(GaveUp, match=r"/root: b crashed again \(ValueError: bad\).*limit is 2"):  # noqa: PT012
        async with stage.playing(tree):
            await stage.all_up()
            for starts in (2, 3):
                stage.tell("b", raising(ValueError("bad")))
                await stage.came_up_again("b", starts)
            stage.tell("b", raising(ValueError("bad")))
            await until(lambda: stage.log[-1] == "a ends")
    assert stage.told()[-4:] == ["ChildCrashed /b", "Escalated ", "ChildStopped /c", "ChildStopped /a"]


async def test_nobody_is_started_any_more_once_the_supervisor_has_given_up(stage: Stage) -> None:
    tree = root(stage.child("a"), stage.child("b"), limit=RestartLimit(1, 30 * SECOND), backoff=Backoff(5 * SECOND))
    with pytest.raises(GaveUp):  # noqa: PT012 - the block is the play that ends so
        async with stage.playing(tree):
            await stage.all_up()
            stage.tell("a", returning)
            await until(lambda: stage.told(ChildRestarting) != [])
            stage.tell("b", returning)
            await until(lambda: stage.told(Escalated) != [])
            await stage.clock.advance(60)
            assert stage.log == ["a starts", "b starts", "a ends", "b ends"]


async def test_crashes_further_apart_than_the_period_never_escalate(stage: Stage) -> None:
    async with stage.playing(root(stage.child("a"), limit=RestartLimit(1, 10 * SECOND))):
        await stage.all_up()
        for crash in range(5):
            stage.tell("a", returning)
            await stage.clock.advance(11)
            await stage.came_up_again("a", starts=crash + 2)
    assert stage.told(Escalated) == []


async def test_a_limit_of_none_escalates_at_the_first_crash(stage: Stage) -> None:
    with pytest.raises(GaveUp):  # noqa: PT012 - the block is the play that ends so
        async with stage.playing(root(stage.child("a"), limit=RestartLimit(0, SECOND))):
            await stage.all_up()
            stage.tell("a", returning)
            await until(lambda: stage.told(Escalated) != [])


async def test_a_nested_supervisor_that_gives_up_is_one_crash_of_its_parent(stage: Stage) -> None:
    inner = SupervisorSpec("inner", (stage.child("b"), stage.child("c")), limit=RestartLimit(0, 30 * SECOND))
    with pytest.raises(GaveUp, match=r"/root: inner crashed again \(GaveUp: /root/inner: c crashed again"):  # noqa: PT012
        async with stage.playing(root(stage.child("a"), inner, limit=RestartLimit(1, 30 * SECOND))):
            await stage.all_up()
            stage.log.clear()
            stage.tell("b", returning)
            await until(lambda: stage.place("inner").state == "down")
            assert stage.log == ["b ends", "c ends"]
            assert stage.place("a").state == "up"
            await stage.all_up()
            assert stage.starts() == {"a": 1, "b": 1, "c": 1}  # a new supervisor counts anew
            assert stage.place("inner").starts == 2
            stage.tell("c", returning)
            await until(lambda: stage.log[-1] == "a ends")
    assert stage.told(Escalated) == ["Escalated /inner", "Escalated /inner", "Escalated "]
