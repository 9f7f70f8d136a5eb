"""The checkers can fail: each bug below, planted on purpose, is caught by the invariant that it breaks.

Each schedule runs twice, with the bug and without it; without it, nothing is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.adapters.port import Answer, Failed, Lost
from actors.caller.gate import Admission, Closed, Gate
from actors.caller.poster import Flight, Poster
from actors.caller.steps import Step
from actors.runtime.actor import Context
from broker.store.rows import AuditRow, Call, SpendEnd
from broker.store.unit import Committed, Unit
from policies.lanes import LANES, LanePicker
from policies.limits import Lease
from policies.recoverability import FailureClass
from policies.retries import Pass
from policies.signals import NOTHING, Reading
from tests.support.checkers import Finding, audit_true, money_findings, say, urgent_is_quick
from tests.unit.caller.caller_house import CallerHouse, Parts, WatchedStore, caller_house
from tests.unit.caller.memory_erp import FINE, MemoryErp, Plan

pytestmark = pytest.mark.anyio
Schedule = Callable[[CallerHouse], Awaitable[None]]

# the bugs ---------------------------------------------------------------------------------------------------------


class AcceptsBeforeTheCommit(WatchedStore):
    """Answers at once and writes a little later."""

    late: asyncio.Task[Committed] | None = None

    async def commit(self, unit: Unit) -> Committed:
        if not unit.calls or self.clock is None:
            return await super().commit(unit)
        self.late = asyncio.create_task(self._later(unit, self.clock))
        return Committed()

    async def _later(self, unit: Unit, clock: Any) -> Committed:
        await clock.sleep(0.2)
        return await super().commit(unit)


class PostsBeforeTheIntent(Poster):
    """Lets calls go, then makes them durable."""

    async def _start(self, flights: list[Flight], group: Any, context: Context) -> None:
        for flight in flights:
            group.start_soon(self._adapter.post, flight.call)
        await context.clock.sleep(0.1)
        await super()._start(flights, group, context)


class LookUpsForFree(Gate):
    """Look-ups take nothing out of the budget."""

    def admit_look_up(self, call: Call, now_ns: int) -> Admission | Closed:
        lease = Lease(-1, now_ns, 1)
        self.governor.admitted(lease, now_ns)
        return Admission(call, lease, Pass(), "find")


class ForgetsTheBudget(Gate):
    """A new life begins with a full budget."""

    def restore(self, spends: Any, now_ns: int) -> None:
        self.budget.restore([], now_ns)


class FreesThePlaceAtTheTimeOut(Gate):
    """Takes a call that was not answered for one that is over."""

    def unanswered(self, admission: Admission, safe_at_ns: int, now_ns: int, reading: Reading = NOTHING) -> None:
        self.budget.ended(admission.lease, now_ns)


class LowestFirst(LanePicker):
    """The lowest lane goes first."""

    def peek(self, waiting: Mapping[str, object]) -> str | None:
        return next((lane for lane in reversed(LANES) if waiting.get(lane)), None)


class LanesUpsideDown(Gate):
    """Orders the lanes the wrong way round."""

    def __init__(self, *facts: Any) -> None:
        super().__init__(*facts)
        self.order._picker = LowestFirst()


class NewKeyForEachTry(MemoryErp):
    """Sends again under another intent id."""

    async def post(self, call: Call) -> Answer:
        if call.sent > 1:
            call = msgspec.structs.replace(call, intent_id=f"{call.intent_id}-{call.sent}")
        return await super().post(call)


class TakesUnknownForFailed(MemoryErp):
    """Says of a lost answer that nothing was done."""

    async def post(self, call: Call) -> Answer:
        answer = await super().post(call)
        if isinstance(answer.outcome, Lost):
            return Answer(Failed(FailureClass.TRANSIENT, "timeout", "no answer came"))
        return answer


class AuditsWhatDidNotHappen(Poster):
    """Writes a call down as done before it is."""

    async def _store_step(self, flight: Flight, step: Step, end: SpendEnd, context: Context) -> None:
        entry = AuditRow(0, "erp-poster", "call.done", flight.call.intent_id, {"was": "in_flight"})
        await self._store.commit(Unit(0, audits=[entry]))
        await super()._store_step(flight, step, end, context)


# the schedules ----------------------------------------------------------------------------------------------------


async def killed_right_after_accepting(house: CallerHouse) -> None:
    house.store.clock = house.clock
    await house.request(5)
    if isinstance(house.store, AcceptsBeforeTheCommit) and house.store.late is not None:
        house.store.late.cancel()  # the process has died
    await house.kill()
    await house.start()
    await house.advance(30)


async def killed_at_the_first_arrival(house: CallerHouse) -> None:
    await house.request(3)
    while not house.erp.log:
        await house.advance(0.01)
    await house.kill()
    await house.start()
    await house.advance(60)


async def killed_again_and_again(house: CallerHouse) -> None:
    await house.request(60)
    for _ in range(4):
        await house.advance(0.7)
        await house.kill()
        await house.start()
    await house.until_settled(120)


async def killed_in_flight(house: CallerHouse) -> None:
    await house.request(30)
    await house.advance(0.3)
    await house.kill()
    await house.start()
    await house.until_settled(120)


async def worked_off(house: CallerHouse) -> None:
    await house.request(40)
    await house.until_settled(240)
    await house.advance(20)  # what comes late has come


async def urgent_comes_late(house: CallerHouse) -> None:
    await house.request(100, lane="bulk")
    await house.advance(1)
    await house.request(3, lane="urgent")
    await house.until_settled(60)


async def one_account(house: CallerHouse) -> None:
    await house.request(3, account="acc-mine")
    await house.until_settled(60)


def lost(times: int, commit: bool = True, busy_seconds: float | None = None) -> Callable[[str, Call], Plan]:
    """The first so many posts are not answered."""
    met: list[str] = []

    def choose(kind: str, call: Call) -> Plan:
        if kind == "find" or len(met) >= times:
            return FINE
        met.append(call.intent_id)
        return Plan(answered=False, commit=commit, busy_seconds=busy_seconds)

    return choose


@dataclass(frozen=True)
class Planted:
    """A bug, the schedule that brings it to light, and the invariant that it breaks."""

    name: str
    invariant: str
    parts: Parts
    schedule: Schedule
    erp: Callable[[], dict[str, Any]] = dict
    limits: tuple[str, ...] = ("20/1s", "5 concurrent")
    keeps_order: bool = True
    sound: Parts = field(default_factory=Parts)


def late_commit() -> dict[str, Any]:
    """The ERP does the first post only after it has told a look-up that it has nothing."""
    return {"plan": lost(1, busy_seconds=9.0), "lost_seconds": 8.0}


BUGS = [
    Planted("accepts before the commit", "I1", Parts(store=AcceptsBeforeTheCommit), killed_right_after_accepting),
    Planted(
        "posts before the intent is durable",
        "I2",
        Parts(poster=PostsBeforeTheIntent),
        killed_at_the_first_arrival,
        lambda: {"deduplicates": False},
    ),
    Planted(
        "look-ups are not counted",
        "I3",
        Parts(gate=LookUpsForFree),
        killed_in_flight,
        lambda: {"latency": (0.5, 0.6), "lost_seconds": 1.0},
        limits=("10/1s",),
    ),
    Planted(
        "the budget is forgotten at a restart",
        "I3",
        Parts(gate=ForgetsTheBudget),
        killed_again_and_again,
        limits=("10/5s",),
    ),
    Planted(
        "a place is free at the time-out",
        "I3",
        Parts(gate=FreesThePlaceAtTheTimeOut),
        worked_off,
        lambda: {"plan": lost(5, busy_seconds=6.5)},
    ),
    Planted("sent again with a new key", "I2", Parts(erp=NewKeyForEachTry), worked_off, late_commit),
    Planted(
        "unknown is taken for failed",
        "I2",
        Parts(erp=TakesUnknownForFailed),
        worked_off,
        lambda: {"plan": lost(2), "deduplicates": False},
    ),
    Planted("the lane is ignored", "P3", Parts(gate=LanesUpsideDown), urgent_comes_late),
    Planted(
        "the order of an account is ignored",
        "I4",
        Parts(),
        one_account,
        lambda: {"plan": lost(1, commit=False)},
        keeps_order=False,
    ),
    Planted("the audit tells what did not happen", "I5", Parts(poster=AuditsWhatDidNotHappen), worked_off),
]


async def findings(place: Path, bug: Planted, planted: bool) -> list[Finding]:
    """Run the schedule and judge."""
    parts = bug.parts if planted else bug.sound
    async with caller_house(place, bug.limits, parts, **bug.erp()) as house:
        house.keeps_order = bug.keeps_order or not planted
        await bug.schedule(house)
        await house.ask_outcomes()
        log = house.erp.write_log(place / "erp-log.jsonl")
        return [
            *money_findings(house.told, house.erp.ledger, log),
            *urgent_is_quick(house.told, log),
            *audit_true(house.store.path),
        ]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
async def test_a_planted_bug_is_caught_by_name(bug: Planted, tmp_path: Path) -> None:
    found = await findings(tmp_path, bug, planted=True)
    say(f"planted: {bug.name}", 0, found, found=len(found))
    assert bug.invariant in {finding.invariant for finding in found}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
async def test_without_the_bug_the_same_schedule_is_clean(bug: Planted, tmp_path: Path) -> None:
    assert await findings(tmp_path, bug, planted=False) == []
