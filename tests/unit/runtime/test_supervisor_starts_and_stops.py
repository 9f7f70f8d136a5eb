"""Children start in order and stop in reverse, whatever they do; the silent are found."""

import asyncio

import anyio
import pytest

from actors.runtime.events import ChildCrashed, ChildHung, ChildRestarting, ChildStopped
from actors.runtime.supervisor import CANCEL_SECONDS, ChildSpec, SupervisorSpec
from policies.restarts import Backoff
from tests.support.loops import steps, until
from tests.support.trees import Stage, Stubborn, hanging, returning

pytestmark = pytest.mark.anyio
SECOND = 1_000_000_000


def root(*children: ChildSpec | SupervisorSpec, **more) -> SupervisorSpec:
    return SupervisorSpec("root", children, **more)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_children_start_in_list_order_and_stop_in_reverse(stage: Stage) -> None:
    async with stage.playing(root(*(stage.child(name) for name in "abc"))):
        await stage.all_up()
    assert stage.log == ["a starts", "b starts", "c starts", "c ends", "b ends", "a ends"]
    assert stage.told() == [
        *(f"ChildStarted /{name}" for name in "abc"),
        *(f"ChildStopped /{name}" for name in "cba"),
    ]


async def test_a_child_starts_only_when_the_one_before_it_is_ready(stage: Stage) -> None:
    stage.slow["a"] = asyncio.Event()
    async with stage.playing(root(stage.child("a"), stage.child("b"))) as context:
        await steps(50)
        assert stage.log == ["a starts"]
        assert [child.state for child in stage.root.census()] == ["starting", "down"]
        assert not context.is_ready.is_set()
        stage.slow["a"].set()
        await context.is_ready.wait()
        assert [child.state for child in stage.root.census()] == ["up", "up"]


async def test_a_stop_does_not_wait_for_a_child_that_is_not_ready_yet(stage: Stage) -> None:
    """No time passes here: the clock is not moved."""
    stage.slow["b"] = asyncio.Event()
    async with stage.playing(root(stage.child("a"), stage.child("b"), stage.child("c"))) as context:
        await until(lambda: "b starts" in stage.log)
        context.stop_asked.set()
        await steps(20)
        assert stage.place("b").state == "stopping"
        stage.slow["b"].set()
    assert stage.log == ["a starts", "b starts", "b ends", "a ends"]


async def test_a_child_that_does_not_stop_in_time_is_cancelled(stage: Stage) -> None:
    async with stage.playing(root(stage.child("a"), stage.child("b", stop_seconds=3.0))) as context:
        await stage.all_up()
        stage.tell("b", hanging)
        await steps(20)
        context.stop_asked.set()
        await stage.clock.advance(2.9)
        assert "b ends" not in stage.log
        await stage.clock.advance(0.2)
        await until(lambda: "a ends" in stage.log)
    assert [event for event in stage.events if isinstance(event, ChildStopped)] == [
        ChildStopped("/root/b", forced=True),
        ChildStopped("/root/a"),
    ]


async def test_a_child_that_ignores_cancellation_is_reported_and_does_not_keep_the_supervisor(stage: Stage) -> None:
    stubborn = Stubborn()
    async with stage.playing(root(stage.child("a"), stage.child("b"))) as context:
        await stage.all_up()
        stage.tell("b", stubborn)
        await steps(20)
        context.stop_asked.set()
        await stage.clock.advance(10 + CANCEL_SECONDS + 1)
        await until(lambda: "a ends" in stage.log)
    assert [event for event in stage.events if isinstance(event, ChildStopped)] == [
        ChildStopped("/root/b", forced=True, abandoned=True),
        ChildStopped("/root/a"),
    ]
    stubborn.let_go.set()


async def test_haste_cancels_everybody_at_once(stage: Stage) -> None:
    inner = SupervisorSpec("inner", (stage.child("b"), stage.child("c")))
    async with stage.playing(root(stage.child("a"), inner)) as context:
        await stage.all_up()
        for name in "abc":
            stage.tell(name, hanging)
        await steps(20)
        context.stop_asked.set()
        await steps(20)
        assert "c ends" not in stage.log
        stage.root.haste.set()
    assert stage.log[-3:] == ["c ends", "b ends", "a ends"]


async def test_a_cancelled_supervisor_still_stops_its_children_in_order(stage: Stage) -> None:
    context = stage.context(root(*(stage.child(name) for name in "abc")))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.root.run, context)
            await stage.all_up()
            tasks.cancel_scope.cancel()
    assert stage.log[-3:] == ["c ends", "b ends", "a ends"]


async def test_no_task_is_left_behind(stage: Stage) -> None:
    before = asyncio.all_tasks()
    inner = SupervisorSpec("inner", (stage.child("b"),))
    async with stage.playing(root(stage.child("a"), inner)):
        await stage.all_up()
        stage.tell("b", returning)
        await steps(50)
    await steps(5)
    assert asyncio.all_tasks() == before


async def test_a_crash_on_the_way_out_is_told(stage: Stage) -> None:
    async def fail_at_the_end(context) -> None:
        await context.stop_asked.wait()
        raise OSError("cannot flush")

    async with stage.playing(root(stage.child("a"))):
        await stage.all_up()
        stage.tell("a", fail_at_the_end)
        await steps(20)
    assert stage.told() == ["ChildStarted /a", "ChildCrashed /a", "ChildStopped /a"]
    assert stage.place("a").last_crash == "OSError: cannot flush"


async def test_a_hung_child_is_found_and_replaced_and_nobody_else_is(stage: Stage) -> None:
    inner = SupervisorSpec("inner", (stage.child("b", silent_seconds=10.0), stage.child("c", silent_seconds=10.0)))

    async def beating(context) -> None:
        await context.until_stopped()

    async with stage.playing(root(stage.child("a", silent_seconds=None), inner)):
        await stage.all_up()
        stage.tell("b", hanging)
        stage.tell("c", beating)
        await stage.clock.advance(10)
        assert stage.root.replace_hung(stage.clock.boot_ns()) == []
        await stage.clock.advance(1)
        assert [child.path for child in stage.root.replace_hung(stage.clock.boot_ns())] == ["/root/inner/b"]
        assert stage.root.replace_hung(stage.clock.boot_ns()) == [], "it is being replaced already"
        await stage.came_up_again("b", starts=2)
        assert stage.starts() == {"a": 1, "b": 2, "c": 1}
    assert stage.told(ChildHung, ChildCrashed, ChildRestarting) == [
        "ChildHung /inner/b",
        "ChildCrashed /inner/b",
        "ChildRestarting /inner/b",
    ]
    [crashed] = [event for event in stage.events if isinstance(event, ChildCrashed)]
    assert crashed.reason == "gave no sign of life for 11 s and was cancelled"


async def test_a_hung_child_that_ignores_cancellation_is_reported_as_abandoned_and_replaced(stage: Stage) -> None:
    stubborn = Stubborn()
    async with stage.playing(root(stage.child("a"), stage.child("b", silent_seconds=None))):
        await stage.all_up()
        stage.tell("a", stubborn)
        await stage.clock.advance(11)
        assert [child.path for child in stage.root.replace_hung(stage.clock.boot_ns())] == ["/root/a"]
        await stage.clock.advance(CANCEL_SECONDS - 1)
        assert stage.starts() == {"a": 1, "b": 1}
        await stage.clock.advance(2)
        await stage.came_up_again("a", starts=2)
        stubborn.let_go.set()  # the old one ends at last, and that is no crash of the new one
        await until(lambda: "a ends" in stage.log)
        await stage.clock.advance(5)
        assert stage.place("a").state == "up"
        assert stage.starts() == {"a": 2, "b": 1}
    assert ChildStopped("/root/a", forced=True, abandoned=True) in stage.events
    assert stage.told(ChildRestarting) == ["ChildRestarting /a"]


async def test_a_child_that_is_not_ready_in_time_is_started_again(stage: Stage) -> None:
    stage.slow["a"] = asyncio.Event()
    async with stage.playing(root(stage.child("a", start_seconds=5.0), stage.child("b"))):
        await until(lambda: "a starts" in stage.log)
        await stage.clock.advance(4.9)
        assert stage.log == ["a starts"]
        await stage.clock.advance(0.2)
        await until(lambda: "b starts" in stage.log)
        stage.slow["a"].set()
        await stage.came_up_again("a", starts=2)
        assert stage.place("a").last_crash == "was not ready within 5 s"


async def test_the_census_tells_the_state_of_every_place(stage: Stage) -> None:
    stage.slow["c"] = asyncio.Event()
    inner = SupervisorSpec("inner", (stage.child("b"), stage.child("c")), backoff=Backoff(base_ns=SECOND))

    def states() -> dict[str, str]:
        return {child.path: child.state for child in stage.root.census()}

    async with stage.playing(root(stage.child("a"), inner, stage.child("d"))) as context:
        await until(lambda: "c starts" in stage.log)
        assert states() == {
            "/root/a": "up",
            "/root/inner": "starting",
            "/root/inner/b": "up",
            "/root/inner/c": "starting",
            "/root/d": "down",
        }
        stage.slow["c"].set()
        await stage.all_up()
        stage.tell("b", returning)
        await until(lambda: states()["/root/inner/b"] == "down")
        assert states()["/root/inner"] == "up"
        await stage.all_up()
        stage.tell("d", hanging)
        await steps(20)
        context.stop_asked.set()
        await until(lambda: states()["/root/d"] == "stopping")
        await stage.clock.advance(20)
