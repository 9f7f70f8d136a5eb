"""Old spends become sums, sums become coarser, and no window ever counts less than was spent."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from actors.caller.spends import COARSE_NS, DAY_NS, FINE_NS, ROWS_NS, fold, recall
from actors.runtime.clock import VirtualClock, microseconds
from broker.store.rows import SpendEnd, SpendRow
from broker.store.store import Store
from broker.store.unit import Unit
from policies.budget import Budget
from policies.limit_words import parse_limits
from policies.limits import Limit
from tests.support.stores import running_store

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000
LIMITS = parse_limits(["60/min", "5000/day", "100000/month"])
EACH = parse_limits(["20/day per object"])


class Machine(VirtualClock):
    """A clock that can be set forward, whose wall can be moved, and that can be booted anew."""

    wall_seconds = 0.0

    def to(self, seconds: float) -> None:
        self._ns = int(seconds * SECOND)

    def now(self) -> datetime:
        ahead = super().now().timestamp() + self.wall_seconds
        return datetime.fromtimestamp(ahead, UTC)

    def reboot(self, boot: str, off_seconds: float) -> None:
        self.wall_seconds += self._ns / SECOND + off_seconds
        self.boot, self._ns = boot, 0


async def spend(store: Store, clock: Machine, seconds: list[float], account: str = "A") -> None:
    """Calls that arrived at these seconds of the clock, which then stands at the last."""
    first = await store.reads.last_spend() + 1
    unit = Unit(1)
    for number, second in enumerate(seconds, first):
        clock.to(second)
        ns, at = clock.boot_ns(), microseconds(clock.now())
        unit.spends.append(SpendRow(number, "erp", "post", f"i{number}", clock.boot, ns, at, account))
        unit.spend_ends.append(SpendEnd(number, ns, at, SECOND // 10))
    await store.commit(unit)


async def used(store: Store, clock: Machine, limits: tuple[Limit, ...] = LIMITS) -> list[int]:
    """What each limit counts in a new life."""
    past = await recall(store, "erp", limits, 30.0, clock)
    budget = Budget(limits)
    budget.restore(past.spends, clock.boot_ns())
    return [usage.used for usage in budget.usage(clock.boot_ns())]


async def test_what_is_old_is_added_up_and_counts_as_before(tmp_path: Path) -> None:
    clock = Machine()
    async with running_store(tmp_path) as store:
        await spend(store, clock, [n * 0.5 for n in range(4_000)])
        before = await used(store, clock)
        rows = await store.reads.spends("erp")
        assert len(rows) == ROWS_NS // (SECOND // 2) + 1
        assert len(await store.reads.spend_sums("erp")) <= 2_000 * SECOND // FINE_NS
        assert await used(store, clock) == before == [121, 4_000, 4_000]


@pytest.mark.parametrize("offset", [0, 3, 7])
async def test_a_sum_that_stands_across_the_edge_of_a_window_counts_whole(offset: int, tmp_path: Path) -> None:
    clock, limits = Machine(), parse_limits([f"5000/{905 + offset}s"])
    async with running_store(tmp_path) as store:
        await spend(store, clock, [n * 1.0 for n in range(1_500)])
        (before,) = await used(store, clock, limits)
        (after,) = await used(store, clock, limits)
        assert before == 906 + offset
        assert before <= after <= before + FINE_NS // SECOND


async def test_the_working_daemon_adds_up_a_little_at_a_time(tmp_path: Path) -> None:
    clock = Machine()
    async with running_store(tmp_path) as store:
        await spend(store, clock, [n * 1.0 for n in range(3_000)])
        folded = [await fold(store, "erp", LIMITS, clock) for _ in range(3)]
        assert folded == [2_000, 99, 0]
        assert await used(store, clock) == [61, 3_000, 3_000]
        assert await store.reads.last_spend() == 3_000


async def test_a_month_is_a_few_thousand_rows_and_no_window_counts_too_little(tmp_path: Path) -> None:
    clock, day = Machine(), 86_400
    async with running_store(tmp_path) as store:
        for number in range(40):
            await spend(store, clock, [number * day + n * 20.0 for n in range(300)])
            if number % 4 == 0:
                await recall(store, "erp", LIMITS, 30.0, clock)
        clock.to(40 * day)
        minute, one_day, month = await used(store, clock)
        assert (minute, one_day) == (0, 300)
        assert month == 31 * 300
        per_day = 300 * 20 * SECOND // COARSE_NS + 1
        assert len(await store.reads.spend_sums("erp")) <= 33 * per_day + DAY_NS // FINE_NS
        assert await store.reads.spends("erp") == []


@pytest.mark.parametrize("jump_seconds", [86_400, -3_600, -10 * 365 * 86_400])
async def test_a_jump_of_the_wall_clock_changes_nothing_within_a_boot(jump_seconds: float, tmp_path: Path) -> None:
    clock = Machine()
    async with running_store(tmp_path) as store:
        await spend(store, clock, [n * 1.0 for n in range(1_200)])
        clock.wall_seconds += jump_seconds
        await spend(store, clock, [1_200 + n for n in range(100)])
        assert await used(store, clock) == [61, 1_300, 1_300]
        clock.to(86_400 + 1_000)
        assert (await used(store, clock))[1] in range(299, 299 + 11)


@pytest.mark.parametrize("jump_seconds", [86_400, -3_600, -10 * 365 * 86_400])
async def test_a_reboot_forgets_nothing_though_the_wall_clock_jumped_before_it(
    jump_seconds: float, tmp_path: Path
) -> None:
    clock = Machine()
    async with running_store(tmp_path) as store:
        await spend(store, clock, [n * 1.0 for n in range(1_000)])
        clock.wall_seconds += jump_seconds
        await spend(store, clock, [1_000.0])
        clock.reboot("second", off_seconds=120)
        assert await used(store, clock) == [0, 1_001, 1_001]
        await spend(store, clock, [n * 1.0 for n in range(50)])
        clock.reboot("third", off_seconds=5)
        assert await used(store, clock) == [50, 1_051, 1_051]


async def test_time_that_goes_back_while_the_machine_is_off_counts_as_none(tmp_path: Path) -> None:
    clock = Machine()
    async with running_store(tmp_path) as store:
        await spend(store, clock, [n * 1.0 for n in range(100)])
        clock.reboot("second", off_seconds=-7_200)
        assert await used(store, clock) == [61, 100, 100]


async def test_limits_of_each_object_count_over_a_day_too(tmp_path: Path) -> None:
    clock = Machine()
    async with running_store(tmp_path) as store:
        await spend(store, clock, [n * 60.0 for n in range(20)], "A")
        await spend(store, clock, [2_000.0 + n for n in range(5)], "B")
        clock.to(10_000)
        assert await used(store, clock, EACH) == [20]
        past = await recall(store, "erp", EACH, 30.0, clock)
        budget = Budget(EACH)
        budget.restore(past.spends, clock.boot_ns())
        assert [found.object for found in budget.usage(clock.boot_ns())] == ["A"]
        assert len(await store.reads.spend_sums("erp")) <= 25


async def test_a_call_without_an_end_is_over_when_a_lost_one_surely_is(tmp_path: Path) -> None:
    clock = Machine()
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, spends=[SpendRow(1, "erp", "post", "i", "virtual", 0, 0)]))
        clock.to(10)
        past = await recall(store, "erp", LIMITS, 30.0, clock)
        assert [(s.arrived_by_ns, s.safe_at_ns, s.execution_ns) for s in past.spends] == [
            (None, 40 * SECOND, 40 * SECOND)
        ]
        assert [(end.id, end.arrived_by_ns, end.execution_ns) for end in past.ends] == [(1, 40 * SECOND, 40 * SECOND)]
