"""Every process ends, in one of the stated ways, whatever the systems answer and in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from policies.compensation import CATALOGUE, erp_cost
from policies.process import (
    OVER,
    TABLES,
    Process,
    Start,
    Step,
    StepState,
    Table,
    TakeBack,
    advance,
    approve,
    begin,
    decline,
    retry,
    settle,
    states,
)

EVERYTHING = frozenset({"billing", "support", "crm", "revenue", "erp"})
KINDS = st.sampled_from(sorted(TABLES))


class Systems:
    """Answers calls in an order and with verdicts that the test draws; keeps what each was asked to do."""

    def __init__(self, draw: st.DataObject, verdicts: list[str]) -> None:
        self.draw, self.verdicts = draw, verdicts
        self.waiting: list[tuple[str, bool]] = []
        self.done: list[str] = []
        self.undone: list[str] = []

    def take(self, actions: tuple[Start | TakeBack, ...]) -> None:
        for action in actions:
            undoing = isinstance(action, TakeBack)
            self.waiting.append((action.undo.step, True) if undoing else (action.step.name, False))

    def answer(self, process: Process) -> Process:
        place = self.draw.draw(st.integers(0, len(self.waiting) - 1))
        step, undoing = self.waiting.pop(place)
        verdict = self.draw.draw(st.sampled_from(self.verdicts))
        if verdict == "done":
            (self.undone if undoing else self.done).append(step)
        return settle(process, step, undoing, StepState(verdict, document=f"D-{step}", reason="because"))


def run(
    draw: st.DataObject, kind: str, verdicts: list[str], connected: frozenset[str] = EVERYTHING
) -> tuple[Process, Systems]:
    systems = Systems(draw, verdicts)
    process, actions = advance(begin(TABLES[kind], connected, True), TABLES[kind])
    systems.take(actions)
    while systems.waiting:
        process, actions = advance(systems.answer(process), TABLES[kind])
        systems.take(actions)
    return process, systems


def known(table: Table) -> Process:
    """A process that runs and has read what there is to read."""
    process, _ = advance(begin(table, EVERYTHING, True), table)
    for step in table.steps:
        if step.reads:
            process = settle(process, step.name, False, StepState("done", document="as it should be"))
    return advance(process, table)[0]


@given(KINDS, st.sampled_from(["account", "invoices"]), st.booleans())
def test_what_the_records_speak_against_ends_before_any_money_moves(kind: str, step: str, approved: bool) -> None:
    table = TABLES[kind]
    process, _ = advance(begin(table, EVERYTHING, approved), table)
    process, actions = advance(settle(process, step, False, StepState("refused", reason="cancelled")), table)
    other = "invoices" if step == "account" else "account"
    process, more = advance(settle(process, other, False, StepState("done")), table)
    assert all(action.step.tells for action in (*actions, *more) if isinstance(action, Start))
    assert (process.outcome, process.undone) == ("refused", {})
    assert approve(process) == process


@given(st.data(), KINDS, st.frozensets(st.sampled_from(["support", "crm", "revenue"])))
def test_everything_that_is_connected_is_done_once_and_told(
    data: st.DataObject, kind: str, some: frozenset[str]
) -> None:
    process, systems = run(data, kind, ["done"], some | {"billing", "erp", "crm"} if kind == "amendment" else some)
    assert (process.phase, process.outcome) == ("ended", "posted")
    assert len(systems.done) == len(set(systems.done))
    assert systems.undone == []
    assert {name for name, state in process.steps.items() if state.status == "done"} == set(systems.done)


@given(st.data(), KINDS)
def test_any_answers_in_any_order_end_in_a_stated_way_and_no_system_is_left_half(
    data: st.DataObject, kind: str
) -> None:
    process, systems = run(data, kind, ["done"] * 6 + ["refused", "exception"])
    vital = [step.name for step in TABLES[kind].steps if step.vital and not step.reads]
    kept = [name for name in vital if name in systems.done and name not in systems.undone]
    match process.outcome:
        case "posted":
            assert kept == vital
        case "refused" | "compensated":
            assert kept == []
            assert (process.outcome == "compensated") == bool(systems.undone)
        case None:
            assert process.phase == "stuck"
            assert process.reason
    assert process.phase in ("ended", "stuck")
    assert systems.undone == [name for name in reversed(vital) if name in systems.undone], "last step first"


@given(st.data(), KINDS)
def test_a_target_that_refuses_to_be_told_holds_up_no_other(data: st.DataObject, kind: str) -> None:
    table = TABLES[kind]
    process, _ = run(data, kind, ["done"])
    told = [step.name for step in table.steps if step.tells]
    fresh = begin(table, EVERYTHING, True)
    steps = {n: process.steps[n] if not table.step(n).tells else StepState("waiting") for n in fresh.steps}
    telling, actions = advance(Process(kind=fresh.kind, phase="telling", steps=steps, outcome="posted"), table)
    assert [action.step.name for action in actions if isinstance(action, Start)] == told
    for name in told:
        telling = settle(telling, name, False, StepState("refused" if name == told[0] else "done"))
    assert advance(telling, table)[0].phase == "ended"


@given(KINDS, st.sampled_from(["rejected", "expired"]))
def test_what_nobody_approved_touches_no_money_but_is_told(kind: str, how: str) -> None:
    table = TABLES[kind]
    process = begin(table, EVERYTHING, False)
    process, asked = advance(process, table)
    assert all(action.step.reads for action in asked if isinstance(action, Start)), "before an approval we only look"
    assert advance(process, table) == (process, ())
    declined, actions = advance(decline(process, how, "no"), table)  # type: ignore[arg-type]
    assert {action.step.tells for action in actions if isinstance(action, Start)} == {True}
    assert declined.outcome == how
    assert approve(declined) == declined, "an approval that comes too late changes nothing"


def test_an_end_that_is_told_twice_counts_once() -> None:
    table = TABLES["credit"]
    process = known(table)
    once = settle(process, "billing", False, StepState("done", document="CRN-1"))
    assert settle(once, "billing", False, StepState("refused", reason="late")) == once


def test_every_vital_step_but_the_last_can_be_undone_and_the_plan_says_its_price() -> None:
    for table in TABLES.values():
        vital = [step.name for step in table.steps if step.vital and not step.reads]
        plan = table.plan()
        assert [undo.step for undo in plan] == list(reversed(vital[:-1])), table.kind
        assert all(undo.owner and undo.sentence for undo in plan)
        assert erp_cost(plan) == sum(undo.erp_calls for undo in plan)
    used = {(kind, undo.step) for kind, table in TABLES.items() for undo in table.plan()}
    assert used == set(CATALOGUE), "an entry of the catalogue that nothing uses"


def test_the_last_step_is_undone_first() -> None:
    table = TABLES["amendment"]
    process = known(table)
    for step in ("billing", "contract"):
        process, _ = advance(settle(process, step, False, StepState("done", document=f"D-{step}")), table)
    process, first = advance(settle(process, "erp", False, StepState("refused")), table)
    process, second = advance(settle(process, "contract", True, StepState("done")), table)
    taken = [(one.undo.step, one.document) for one in (*first, *second) if isinstance(one, TakeBack)]
    assert taken == [("contract", "D-contract"), ("billing", "D-billing")]
    process, _ = advance(settle(process, "billing", True, StepState("done")), table)
    assert process.outcome == "compensated"


def test_turning_back_waits_for_what_is_under_way() -> None:
    def vital(name: str, system: str) -> Step:
        return Step(name=name, system=system, operation="x", owner="revenue", vital=True)

    table = Table("amendment", (vital("billing", "billing"), vital("contract", "crm"), vital("erp", "erp")))
    process, _ = advance(begin(table, EVERYTHING, True), table)
    process, early = advance(settle(process, "erp", False, StepState("refused")), table)
    process, also_early = advance(settle(process, "contract", False, StepState("refused")), table)
    assert (*early, *also_early) == (), "billing may still become done"
    process, actions = advance(settle(process, "billing", False, StepState("done", document="D")), table)
    assert [(one.undo.step, one.document) for one in actions if isinstance(one, TakeBack)] == [("billing", "D")]


def test_the_exact_state_of_each_system_is_told_when_undoing_is_refused() -> None:
    table = TABLES["credit"]
    process = known(table)
    process, _ = advance(settle(process, "billing", False, StepState("done", document="CRN-1")), table)
    process, actions = advance(settle(process, "erp", False, StepState("refused", reason="blocked")), table)
    assert [action.undo.operation for action in actions if isinstance(action, TakeBack)] == ["credit.void"]
    process, _ = advance(settle(process, "billing", True, StepState("refused", reason="credit is spent")), table)
    assert process.phase == "stuck"
    told = states(process, table)
    assert told["billing"] == "billing: done as CRN-1"
    assert told["undo billing"] == "billing: refused (credit is spent)"
    assert told["erp"] == "erp: refused (blocked)"


def test_steps_name_only_steps_before_them() -> None:
    for table in TABLES.values():
        seen: set[str] = set()
        for step in table.steps:
            assert set(step.after) <= seen
            seen.add(step.name)
        assert OVER


@given(st.data(), KINDS)
def test_what_is_done_again_ends_as_if_it_had_never_been_refused_and_is_never_done_twice(
    draw: st.DataObject, kind: str
) -> None:
    table = TABLES[kind]
    process, systems = run(draw, kind, ["done", "done", "refused", "exception"])
    again = retry(process, table)
    while again is not None:
        process, names = again
        assert names, "something is done again, or nothing is"
        assert not [name for name in names if process.steps.get(name, StepState()).status == "done"]
        process, actions = advance(process, table)
        systems.verdicts = ["done"]
        systems.take(actions)
        while systems.waiting:
            process, actions = advance(systems.answer(process), table)
            systems.take(actions)
        again = retry(process, table)
    assert process.phase in ("ended", "stuck")
    assert len(set(systems.done)) == len(systems.done), "no step is done twice"
    assert len(set(systems.undone)) == len(systems.undone), "no step is undone twice"
    if process.phase == "ended" and process.outcome == "posted":
        assert all(state.status in ("done", "skipped") for state in process.steps.values())


@given(st.data(), KINDS)
def test_nothing_is_done_again_of_what_is_under_way_or_has_gone_well(draw: st.DataObject, kind: str) -> None:
    process, _ = run(draw, kind, ["done"])
    assert retry(process, TABLES[kind]) is None
    running, _ = advance(begin(TABLES[kind], EVERYTHING, True), TABLES[kind])
    assert retry(running, TABLES[kind]) is None


def test_every_step_after_which_something_may_be_refused_has_what_undoes_it_and_none_comes_after_the_erp() -> None:
    """A plan is worth something only if it is whole, and costs the ERP nothing only while the ERP comes last."""
    for kind, table in TABLES.items():
        vital = [step for step in table.steps if step.vital and not step.reads]
        assert vital[-1].system == "erp", f"{kind}: what comes after the ERP needs calls set aside to undo the posting"
        assert [undo.step for undo in table.plan()] == [step.name for step in reversed(vital[:-1])]
        assert {undo.owner for undo in table.plan()} <= {"revenue", "finance", "support"}
        assert erp_cost(table.plan()) == 0
    assert {kind for kind, _ in CATALOGUE} == set(TABLES)
