"""Nothing that support can send leads to an ERP adjustment by itself: a policy judges or people approve."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from actors.credit_policy import CreditPolicyDecider
from actors.erp_requests import ErpRequestDecider
from actors.processes import WorkflowDecider
from actors.processes_incident import ExposureDecider
from broker.life import Decider
from contracts.catalogue import REGISTRY
from contracts.money import Money
from policies.approval import RANKS, Ask, need
from tests.support.sources import ROOT, parsed

DECIDERS: dict[str, tuple[Decider, tuple[str, ...]]] = {
    "credit-policy": (CreditPolicyDecider(), ("actors/credit_policy.py",)),
    "erp-requests": (ErpRequestDecider(), ("actors/erp_requests.py",)),
    "incident-exposure": (ExposureDecider(), ("actors/processes_incident.py",)),
    "workflow": (WorkflowDecider(frozenset({"erp"}), {}), ("actors/processes.py", "actors/processes_calls.py")),
}
GATES = {"credit-policy", "workflow"}
"""Deciders that ask a policy, and people where it says so, before anything goes on."""


def _literals(path: Path, call: str) -> set[str]:
    """First arguments, as text, of every `call(...)` in a module."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == call:
            assert isinstance(node.args[0], ast.Constant), f"{path}: {call} of something that cannot be read here"
            found.add(str(node.args[0].value))
    return found


@pytest.mark.parametrize("name", sorted(DECIDERS))
def test_what_a_decider_says_it_emits_is_what_it_emits(name: str) -> None:
    decider, files = DECIDERS[name]
    written = {type_ for file in files for type_ in _literals(ROOT / file, "Emit")}
    assert written == decider.emits  # type: ignore[attr-defined]


def test_these_are_all_deciders_there_are() -> None:
    modules = {path for path in (ROOT / "actors").glob("*.py") if "    def decide(self, envelope" in path.read_text()}
    assert modules == {ROOT / files[0] for _, files in DECIDERS.values()}


def _reached(start: str) -> tuple[set[str], set[str]]:
    """Message types and deciders that a message can lead to without passing a gate."""
    types, deciders = {start}, set()
    waiting = [start]
    while waiting:
        type_ = waiting.pop()
        for name, (decider, _) in DECIDERS.items():
            if type_ in decider.handles and name not in GATES:
                deciders.add(name)
                fresh = set(decider.emits) - types  # type: ignore[attr-defined]
                types |= fresh
                waiting += fresh
    return types, deciders


SUPPORT = [contract.type for contract in REGISTRY if contract.owner.startswith("support") and not contract.internal]


def test_support_has_something_to_send() -> None:
    assert set(SUPPORT) == {"support.case.opened", "process.request"}


@pytest.mark.parametrize("type_", SUPPORT)
def test_nothing_from_support_leads_to_the_erp_past_a_gate(type_: str) -> None:
    types, deciders = _reached(type_)
    assert not {found for found in types if found.startswith("erp.")}
    assert "erp-requests" not in deciders
    assert not any("erp" in DECIDERS[name][0].calls for name in deciders)  # type: ignore[attr-defined]


def test_the_erps_messages_belong_to_finance_and_only_gates_ask_for_them() -> None:
    owners = {contract.owner for contract in REGISTRY if contract.type.startswith("erp.")}
    assert owners == {"finance-systems"}
    asking = {name for name, (decider, _) in DECIDERS.items() if "erp.adjustment.request" in decider.emits}  # type: ignore[attr-defined]
    assert asking <= GATES


def test_the_walk_would_see_a_way_past_the_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExposureDecider, "emits", frozenset({"erp.adjustment.request"}))
    types, deciders = _reached("process.request")
    assert "erp.adjustment.request" in types
    assert "erp-requests" in deciders


def test_no_role_of_support_approves_and_what_no_policy_judged_needs_a_person() -> None:
    assert all(rank == 0 for role, rank in RANKS.items() if role.startswith("support"))
    for minor in (1, 10_000, 10**9):
        money = Money(minor, "EUR")
        assert need(Ask(digest="", amount=money, exposure=money, requester="x", judged=False)).people >= 1
