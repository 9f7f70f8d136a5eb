"""How a process goes through its steps: tables of steps, and one pure machine for all of them.

A process passes the phases `approval`, `running`, (`turning_back`,) `telling` and `ended`. It is `stuck` when only a
person can go on. Steps run as soon as what they need is done; the ones that tell others how it ended run when that is
settled, each by itself, so that no target holds up another. A refused step that the rest depends on turns the process
back: what was done is undone in reverse order, by calls of their own.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from policies.compensation import Undo, undo_of

Kind = Literal["credit", "refund", "correction", "amendment"]
Phase = Literal["approval", "running", "turning_back", "telling", "ended", "stuck"]
StepStatus = Literal["waiting", "started", "done", "refused", "exception", "skipped"]
Outcome = Literal["posted", "refused", "compensated", "rejected", "expired"]
OVER: Final = frozenset({"done", "refused", "exception", "skipped"})
_GOOD: Final = frozenset({"done", "skipped"})


class Step(Struct, frozen=True, kw_only=True):
    """One call to one system. `after`: steps that must be done first.

    `vital`: a refusal turns the process back; without it the refusal is an exception of `owner` and the process goes
    on. `reads`: it only looks, so it need not wait for an approval and there is nothing to undo. `tells`: it reports
    the outcome, and so waits for it.
    """

    name: str
    system: str
    operation: str
    owner: str
    after: tuple[str, ...] = ()
    vital: bool = False
    reads: bool = False
    tells: bool = False

    @property
    def moves(self) -> bool:
        """Whether it moves money or changes a contract: what others build on, and what is undone."""
        return self.vital and not self.reads


class Table(Struct, frozen=True):
    """The steps of one kind of process, in the order in which people think of them."""

    kind: Kind
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step:
        """The step of this name. Raises KeyError."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def plan(self) -> tuple[Undo, ...]:
        """What would be undone, last step first, if everything but the last step that moves anything had been done."""
        moving = [step.name for step in self.steps if step.moves]
        found = (undo_of(self.kind, name) for name in reversed(moving[:-1]))
        return tuple(undo for undo in found if undo is not None)


def _tells(*systems: str) -> tuple[Step, ...]:
    owners = {"support": "support", "crm": "revenue", "revenue": "revenue"}
    return tuple(
        Step(name=f"tell_{system}", system=system, operation="status.report", owner=owners[system], tells=True)
        for system in systems
    )


_IDENTIFY: Final = (
    Step(name="account", system="crm", operation="account.read", owner="revenue", vital=True, reads=True),
    Step(name="invoices", system="billing", operation="invoices.read", owner="revenue", vital=True, reads=True),
)


def _billing(operation: str) -> Step:
    return Step(
        name="billing",
        system="billing",
        operation=operation,
        owner="revenue",
        after=("account", "invoices"),
        vital=True,
    )


def _case(after: str) -> Step:
    return Step(name="case", system="support", operation="case.update", owner="support", after=(after,))


def _erp(after: str) -> Step:
    return Step(name="erp", system="erp", operation="adjustment.create", owner="finance", after=(after,), vital=True)


def _usual(kind: Kind, *steps: Step) -> Table:
    return Table(kind, (*_IDENTIFY, *steps, *_tells("support", "crm", "revenue")))


TABLES: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "credit": _usual("credit", _billing("credit.create"), _case("billing"), _erp("billing")),
        "refund": _usual("refund", _billing("refund.create"), _case("billing"), _erp("billing")),
        "correction": _usual("correction", _billing("invoice.correct"), _erp("billing")),
        "amendment": Table(
            "amendment",
            (
                *_IDENTIFY,
                _billing("subscription.amend"),
                Step(
                    name="contract",
                    system="crm",
                    operation="contract.amend",
                    owner="revenue",
                    after=("billing",),
                    vital=True,
                ),
                _erp("contract"),
                *_tells("support", "revenue"),
            ),
        ),
    }
)


def operations_of(systems: Collection[str]) -> tuple[str, ...]:
    """Everything that processes ask of these systems, to do it and to undo it."""
    steps = {step.operation for table in TABLES.values() for step in table.steps if step.system in systems}
    undoing = {undo.operation for table in TABLES.values() for undo in table.plan() if undo.system in systems}
    return tuple(sorted(steps | undoing))


STICKING: Final = frozenset(
    [step.operation for table in TABLES.values() for step in table.steps if step.vital]
    + [undo.operation for table in TABLES.values() for undo in table.plan()]
)
"""What a process is stuck at when it is with a person."""


class StepState(Struct, frozen=True):
    """Where a step, or its undoing, stands."""

    status: StepStatus = "waiting"
    intent_id: str = ""
    document: str | None = None
    reason: str | None = None


class Process(Struct, frozen=True, kw_only=True):
    """Where a process stands. `undone` holds the undoing of steps, by the step's name."""

    kind: Kind
    phase: Phase
    steps: dict[str, StepState]
    undone: dict[str, StepState] = {}
    outcome: Outcome | None = None
    reason: str | None = None
    before: Phase = "running"
    """From where it got stuck."""


class Start(Struct, frozen=True, tag=True):
    """Make the call of this step."""

    step: Step


class TakeBack(Struct, frozen=True, tag=True):
    """Make the call that undoes a step. `document` is what the step made."""

    undo: Undo
    document: str | None


Action: TypeAlias = Start | TakeBack


def begin(table: Table, connected: frozenset[str], approved: bool) -> Process:
    """A new process. Steps of systems that are not connected are skipped; what moves money never is."""
    steps = {
        step.name: StepState("waiting" if step.system in connected or step.moves else "skipped") for step in table.steps
    }
    return Process(kind=table.kind, phase="running" if approved else "approval", steps=steps)


def approve(process: Process, again: Collection[str] = ()) -> Process:
    """It may run, after the steps in `again` were done once more. Nothing changes when it does already."""
    return replace(_again(process, again), phase="running") if process.phase == "approval" else process


def decline(process: Process, outcome: Literal["rejected", "expired"], reason: str) -> Process:
    """It may not run: the others are told. Nothing changes when it runs already."""
    if process.phase != "approval":
        return process
    return replace(process, phase="telling", outcome=outcome, reason=reason)


def settle(process: Process, step: str, undoing: bool, state: StepState) -> Process:
    """A step, or its undoing, has ended. Told twice, the first telling stands. Raises KeyError for no such step.

    What needed a person may end after all; the process then goes on from where it stood.
    """
    known = process.undone if undoing else process.steps
    if known[step].status in OVER and known[step].status != "exception":
        return process
    if process.phase == "stuck":
        process = replace(process, phase="turning_back" if process.undone else process.before)
    changed = {**known, step: replace(state, intent_id=known[step].intent_id)}
    return replace(process, undone=changed) if undoing else replace(process, steps=changed)


def retry(process: Process, table: Table) -> tuple[Process, tuple[str, ...]] | None:
    """The process with what was refused to be done again, and the names of that ("undo NAME" for an undoing).

    None when there is nothing: what goes on, and what was turned back altogether, has nothing to be done again. Money
    that the process has settled about is not touched: only undoings that were refused, a step that it is stuck at, and
    those steps on which nothing depends.
    """
    if process.phase == "stuck":
        bad = [name for name, state in process.undone.items() if state.status in ("refused", "exception")]
        if bad:
            left = {name: state for name, state in process.undone.items() if name not in bad}
            return replace(process, phase="turning_back", undone=left), tuple(f"undo {name}" for name in bad)
        stuck = [step.name for step in table.steps if step.vital and process.steps[step.name].status == "exception"]
        return (replace(_again(process, stuck), phase=process.before), tuple(stuck)) if stuck else None
    if process.phase != "ended":
        return None
    able = [step for step in table.steps if not step.vital and (step.tells or process.outcome == "posted")]
    bad = [step.name for step in able if process.steps[step.name].status in ("refused", "exception")]
    return (replace(_again(process, bad), phase="telling"), tuple(bad)) if bad else None


def _again(process: Process, names: Collection[str]) -> Process:
    return replace(process, steps={**process.steps, **{name: StepState() for name in names}})


def advance(process: Process, table: Table) -> tuple[Process, tuple[Action, ...]]:
    """Go on as far as possible: the process with what is to be started marked so, and the calls to make."""
    actions: tuple[Action, ...] = ()
    while True:
        moved, more = _turn(process, table)
        actions += more
        if moved == process:
            return process, actions
        process = moved


def _turn(process: Process, table: Table) -> tuple[Process, tuple[Action, ...]]:
    match process.phase:
        case "approval":
            return _look(process, table)
        case "running":
            return _run(process, table)
        case "turning_back":
            return _turn_back(process, table)
        case "telling":
            return _tell(process, table)
        case _:
            return process, ()


def _look(process: Process, table: Table) -> tuple[Process, tuple[Action, ...]]:
    """While people are asked, what can be read is read: they see it, and a refusal there saves them the trouble."""
    if (ended := _refused(process, table)) is not None:
        return ended, ()
    return _started(process, [step for step in table.steps if step.reads and _may_start(process, step)])


def _refused(process: Process, table: Table) -> Process | None:
    for step in table.steps:
        state = process.steps[step.name]
        if step.vital and state.status == "refused":
            return replace(process, phase="turning_back", reason=f"{step.name}: {state.reason or 'refused'}")
        if step.vital and state.status == "exception":
            why = f"{step.name}: {state.reason or 'needs a person'}"
            return replace(process, phase="stuck", before=process.phase, reason=why)
    return None


def _run(process: Process, table: Table) -> tuple[Process, tuple[Action, ...]]:
    if (ended := _refused(process, table)) is not None:
        return ended, ()
    if all(process.steps[step.name].status in _GOOD for step in table.steps if step.vital):
        return replace(process, phase="telling", outcome="posted"), ()
    able = [step for step in table.steps if not step.tells and _may_start(process, step)]
    return _started(process, able)


def _may_start(process: Process, step: Step) -> bool:
    ready = all(process.steps[name].status in _GOOD for name in step.after)
    return process.steps[step.name].status == "waiting" and ready


def _started(process: Process, steps: list[Step]) -> tuple[Process, tuple[Action, ...]]:
    states = {step.name: replace(process.steps[step.name], status="started") for step in steps}
    return replace(process, steps={**process.steps, **states}), tuple(Start(step) for step in steps)


def _turn_back(process: Process, table: Table) -> tuple[Process, tuple[Action, ...]]:
    """Undo the last step that is done and not undone; one at a time, and none while a step may still become done."""
    if any(process.steps[step.name].status == "started" for step in table.steps if step.vital):
        return process, ()
    for step in reversed(table.steps):
        if not step.moves or process.steps[step.name].status != "done":
            continue
        state = process.undone.get(step.name)
        if state is None:
            return _take_back(process, step)
        if state.status == "started":
            return process, ()
        if state.status != "done":
            why = f"{process.reason}; and undoing {step.name} was refused: {state.reason or 'no reason given'}"
            return replace(process, phase="stuck", reason=why), ()
    return replace(process, phase="telling", outcome="compensated" if process.undone else "refused"), ()


def _take_back(process: Process, step: Step) -> tuple[Process, tuple[Action, ...]]:
    undo = undo_of(process.kind, step.name)
    if undo is None:
        return replace(process, phase="stuck", reason=f"{process.reason}; and nothing undoes {step.name}"), ()
    started = replace(process, undone={**process.undone, step.name: StepState("started")})
    return started, (TakeBack(undo, process.steps[step.name].document),)


def _tell(process: Process, table: Table) -> tuple[Process, tuple[Action, ...]]:
    """What has not begun by now never will, but for those who are told; it ends when nothing is under way."""
    left = {
        step.name: StepState("skipped")
        for step in table.steps
        if not step.tells and process.steps[step.name].status == "waiting" and process.outcome != "posted"
    }
    process = replace(process, steps={**process.steps, **left})
    able = [step for step in table.steps if _may_start(process, step)]
    process, actions = _started(process, able)
    if all(state.status in OVER for state in process.steps.values()):
        process = replace(process, phase="ended")
    return process, actions


def states(process: Process, table: Table) -> dict[str, str]:
    """The exact state of each step and of its undoing, in words: for the person who must go on."""
    told: dict[str, str] = {}
    for step in table.steps:
        told[step.name] = _words(step.system, process.steps[step.name])
        if (undoing := process.undone.get(step.name)) is not None:
            told[f"undo {step.name}"] = _words(step.system, undoing)
    return told


def _words(system: str, state: StepState) -> str:
    document = f" as {state.document}" if state.document else ""
    reason = f" ({state.reason})" if state.reason else ""
    return f"{system}: {state.status}{document}{reason}"
