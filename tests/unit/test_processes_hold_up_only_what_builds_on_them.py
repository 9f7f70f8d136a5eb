"""Each target on its own: a call of a process that is with a person holds up later ones only where they build on it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from actors.adapters.port import Answer, Failed
from actors.caller.steps import after_post, in_flight
from broker.effects import RequestCall
from broker.store.rows import CallChange, CallRow
from broker.store.store import Store
from broker.store.unit import Unit
from contracts.codec import encode
from contracts.processes import Kind
from policies.recoverability import FailureClass
from tests.support.rows import call
from tests.support.stores import running_store
from tests.unit.caller.test_steps_table import System
from tests.unit.test_processes_wait import RECORDS, Desk, start

MOVED = {
    "credit": {"credit.create", "adjustment.create", "credit.void"},
    "refund": {"refund.create", "adjustment.create", "refund.recharge"},
    "correction": {"invoice.correct", "adjustment.create", "invoice.restore"},
    "amendment": {"subscription.amend", "contract.amend", "adjustment.create", "contract.restore",
                  "subscription.restore"},
}  # fmt: skip


def asked_by(kind: str, erp: str = "done") -> list[RequestCall]:
    """Every call of a process that is approved; the ERP answers so."""
    desk = Desk()
    desk.take(start(90_00, judged=True, kind=kind))
    desk.vote("anna")
    for one in desk.asked:  # grows as it goes on
        desk.end(one, erp if one.system == "erp" else "done", document=RECORDS.get(one.operation))
    return desk.asked


@pytest.mark.parametrize(("kind", "rule"), [
    ("credit", "pass"), ("refund", "pass"), ("correction", "hold"), ("amendment", "hold"),
])  # fmt: skip
def test_only_what_moves_money_or_a_contract_has_the_rule_of_its_process(kind: Kind, rule: str) -> None:
    calls = [*asked_by(kind), *asked_by(kind, erp="refused")]
    assert {one.operation for one in calls if one.on_stuck == rule} >= MOVED[kind], "done, and taken back"
    assert {one.on_stuck for one in calls if one.operation not in MOVED[kind]} == {"pass"}
    assert {one.operation for one in calls} - MOVED[kind] >= {"account.read", "invoices.read", "status.report"}


def row(asked: RequestCall, number: int) -> CallRow:
    """The call as the life of its message has it stored."""
    return call(
        f"intent-{number}",
        f"{asked.system}|t|standard|{asked.order_key}",
        system=asked.system,
        operation=asked.operation,
        body=encode(asked.body),
        on_stuck=asked.on_stuck,
    )


async def given_up(store: Store, system: str) -> None:
    """The system was away for so long that the first call to it is with a person."""
    (first,) = await store.reads.calls_ready(system, "standard", 1, 1)
    flying = msgspec.structs.replace(in_flight(first, 2), attempts=12)
    await store.commit(Unit(2, call_changes=[CallChange(flying, "waiting", "it")]))
    away = Answer(Failed(FailureClass.TRANSIENT, "http.503", "not available"))
    step = after_post(flying, away, System(), 3, 0.5)  # type: ignore[arg-type]
    assert (step.call.status, step.owner) == ("exception", "it")
    await store.commit(Unit(3, call_changes=[CallChange(step.call, "in_flight", "it")]))


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "stuck", "later", "goes_on"), [
    ("correction", "status.report", "account.read", True),
    ("correction", "account.read", "account.read", True),
    ("amendment", "invoices.read", "invoices.read", True),
    ("correction", "adjustment.create", "adjustment.create", False),
    ("amendment", "contract.amend", "account.read", False),
    ("credit", "adjustment.create", "adjustment.create", True),
])  # fmt: skip
async def test_behind_one_that_is_with_a_person_a_credit_of_the_account_goes_on_unless_it_builds_on_it(
    tmp_path: Path, kind: Kind, stuck: str, later: str, goes_on: bool
) -> None:
    first = next(one for one in asked_by(kind) if one.operation == stuck and one.system in ("crm", "billing", "erp"))
    second = next(one for one in asked_by("credit") if one.operation == later)
    async with running_store(tmp_path) as store:
        await store.commit(Unit(1, calls=[row(first, 1), row(second, 2)]))
        await given_up(store, first.system)
        ready = await store.reads.calls_ready(first.system, "standard", 10, 4)
        assert [one.intent_id for one in ready] == (["intent-2"] if goes_on else [])
