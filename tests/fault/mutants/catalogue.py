"""The mutants: a fault, the run that brings it to light, and the finding that must name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from policies.budget import Budget
from tests.fault.mutants import desks, gates, orders
from tests.fault.mutants import scenarios as runs
from tests.fault.mutants.desk import Desk, Parts
from tests.fault.mutants.scenarios import Scenario


@dataclass(frozen=True)
class Mutant:
    """`finding`: the name of a check, or kind and window of a limit. `tamper` changes the log afterwards."""

    name: str
    finding: str
    scenario: Scenario
    parts: Parts
    tamper: Callable[[Path], None] | None = None


def faulty(budget: type[Budget]) -> Parts:
    return Parts(budget=lambda desk: budget(desk.limits))


def other(budget: Callable[[Desk], Budget]) -> Parts:
    return Parts(budget=budget)


def full_budget_each(first: Desk) -> Callable[[Desk], Budget]:
    return lambda desk: Budget(desk.limits)


def cut_out_the_refusals(log: Path) -> None:
    """Somebody makes the log look better than it was."""
    log.write_bytes(log.read_bytes().replace(b'"status":429', b'"status":409'))


LATE_CLOCK = Parts(desk=desks.ReadsItsClockLate)

MUTANTS = (
    Mutant("aiolimiter is the gate", "rate/1s", runs.BURST, other(gates.AioLimiter)),
    Mutant("a token bucket is the gate", "rate/1s", runs.BURST, other(gates.TokenBucket)),
    Mutant("a fixed window is the gate", "rate/1s", runs.BURST, other(gates.FixedWindow)),
    Mutant("a slot is forgotten at the time-out", "concurrent", runs.HANGING, faulty(gates.FreesAtTimeOut)),
    Mutant("look-ups are not counted", "rate/1s", runs.DARK, Parts(desk=desks.LookUpsForFree)),
    Mutant("the spent budget is forgotten at a restart", "rate/5s", runs.KILLED, faulty(gates.ForgetsSpends)),
    Mutant("calls in flight are forgotten at a restart", "rate/5s", runs.KILLED, faulty(gates.ForgetsFlights)),
    Mutant("two daemons with a full budget each", "rate/1s", runs.TWO, Parts(second_budget=full_budget_each)),
    Mutant("first in, first out instead of lanes", "urgency", runs.LANES, Parts(order=orders.NoLanes)),
    Mutant("urgent goes behind bulk", "urgency", runs.LANES, Parts(order=orders.LanesUpsideDown)),
    Mutant("the floor of a lane is ignored", "floor", runs.LANES, Parts(order=orders.no_floors)),
    Mutant("first in, first out instead of tenants", "rounds", runs.BEHIND, Parts(order=orders.NoTenants)),
    Mutant("weights act only on what comes later", "fairness", runs.WEIGHTS, Parts(order=orders.WeightsAtEnqueue)),
    Mutant("what is in flight does not count in a share", "rounds", runs.SLOW, Parts(order=orders.CountsWhatIsOver)),
    Mutant("an arrival counts at the start of a call", "rate/1s", runs.FAR, Parts(desk=desks.CountsAtTheStart)),
    Mutant(
        "the guard is missing",
        "rate/1s",
        runs.COARSE,
        Parts(desk=desks.ReadsItsClockLate, budget=lambda desk: Budget(desk.limits, guard_ns=0)),
    ),
    Mutant("a freeze is ignored", "frozen", runs.REFUSED, faulty(gates.IgnoresFreeze)),
    Mutant("a freeze lasts half of Retry-After", "frozen", runs.REFUSED, Parts(desk=desks.HalfOfRetryAfter)),
    Mutant("all return at once after a freeze", "probe", runs.REFUSED, faulty(gates.Herd)),
    Mutant("a refusal widens", "rate/1s", runs.REFUSED, faulty(gates.Widens)),
    Mutant("a limit is raised above the ceiling", "rate/1s", runs.BURST, faulty(gates.AboveTheCeiling)),
    Mutant("a place is free before the answer", "concurrent", runs.BURST, Parts(desk=desks.FreesBeforeTheAnswer)),
    Mutant("a retry breaks the order of a key", "order", runs.ACCOUNT, Parts(order=orders.KeyOpenWhileRetrying)),
    Mutant("budgets are taken one by one", "work-conservation", runs.BURST, other(gates.OneByOne)),
    Mutant("half of the limit stays idle", "work-conservation", runs.BURST, other(gates.HalfIdle)),
    Mutant("a jump of the clock is believed", "rate/1s", runs.BURST, Parts(desk=desks.BelievesTheWallClock)),
    Mutant("the budget of a day is reset at midnight", "rate/86400s", runs.MIDNIGHT, other(gates.MidnightReset)),
    Mutant("a limit changed by command is ignored", "rate/1s", runs.CHANGE, faulty(gates.IgnoresResize)),
    Mutant("the limit of each object is ignored", "rate/3s/object", runs.OBJECTS, Parts(desk=desks.NamesNoObject)),
    Mutant("the limit of an operation is ignored", "rate/3s/post", runs.OPERATIONS, Parts(desk=desks.NamesNoOperation)),
    Mutant("execution time counts when it is over", "execution/10s", runs.EXECUTION, faulty(gates.NoReserve)),
    Mutant("a pause is ignored", "held", runs.HELD, Parts(order=orders.IgnoresBlocks)),
    Mutant("sent again under another key", "duplicate-source", runs.LOSING, Parts(desk=desks.NewKeyForEachTry)),
    Mutant("unknown is taken for failed", "duplicate-source", runs.FORGETFUL, Parts(desk=desks.UnknownIsFailed)),
    Mutant("unknown is taken for done", "posted-without-document", runs.UNDONE, Parts(desk=desks.UnknownIsDone)),
    Mutant("a refused call is dropped", "unknown", runs.REFUSED, Parts(desk=desks.DropsTheRefused)),
    Mutant("the log is made to look better", "chain", runs.REFUSED, Parts(), cut_out_the_refusals),
)

HEALTHY: dict[str, Parts] = {runs.COARSE.name: LATE_CLOCK}
"""What a run is made of when nothing is wrong, where that is not the plain parts."""
