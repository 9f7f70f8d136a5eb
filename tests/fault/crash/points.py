"""Every crash point there is, read from the code: calls of what is durable, by the functions that make them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from broker.crash_points import THROUGH, site_name
from tests.support.sources import ROOT, name_of, parsed

ROOMS = ("actors", "broker")
ASKED = {
    ("store", "commit"),
    ("controls", "commit"),
    ("subscription", "acknowledge"),
    ("broker", "publish"),
    ("outlet", "publish"),
    ("broker", "declare"),
}
"""Whose methods the funnels are: the last word of a receiver (`self._store`, `house.store`) without its underscore."""
OWN = {"Controls": {"commit"}, "RestAdapter": {"_send", "_ask"}, "SaasAdapter": {"_send", "_ask"}}
"""Funnels, and what leads to them, that a class calls on itself."""
OTHERS = {
    ("operations", "commit"): "the operators' verb of that name; its unit is written by `operator_plans.write`",
    ("writer", "commit"): "how `Store.commit` does it",
    ("wire", "acknowledge"): "how an inlet does it",
    ("inlet", "acknowledge"): "how `RabbitMQSubscription.acknowledge` does it",
}
"""Calls of the same names that are no points of their own, and why."""


class Funnel(NamedTuple):
    """A method that is declared durable. `fixed`: the point's whole name, where Python itself makes the call."""

    kind: str
    owner: str
    method: str
    fixed: str


class Point(NamedTuple):
    """A place that calls a funnel."""

    name: str
    file: str
    line: int


Function = ast.FunctionDef | ast.AsyncFunctionDef


def files() -> list[Path]:
    """The sources in which points can be."""
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, str, Function]]:
    """Every function that is not inside another, with its class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, node.name)
        elif isinstance(node, Function):
            yield inside, node.name, node


def funnels() -> list[Funnel]:
    """What is declared durable."""
    found = []
    for path in files():
        for owner, name, node in functions(parsed(path)):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "durable":
                    kind, fixed = ([ast.literal_eval(fact) for fact in mark.args] + [""])[:2]
                    found.append(Funnel(kind, owner, name, fixed))
    return found


def points() -> list[Point]:
    """All crash points, by name; without the actor, which only a running daemon knows."""
    declared = funnels()
    found = {f"{one.kind}/{one.fixed}": Point(f"{one.kind}/{one.fixed}", "", 0) for one in declared if one.fixed}
    kinds = {one.method: one.kind for one in declared if not one.fixed}
    kinds |= {name.rpartition(".")[2]: kinds["_send"] for name in THROUGH if name.endswith("._ask")}
    for path in files():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for owner, name, node in functions(parsed(path)):
            if f"{owner}.{name}" in THROUGH:
                continue
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and (kind := _kind(call, owner, kinds)) is not None:
                    point = f"{kind}/{site_name(module, name)}"
                    found.setdefault(point, Point(point, f"{name_of(path)}:{owner}.{name}", call.lineno))
    return sorted(found.values())


def _kind(call: ast.Call, owner: str, kinds: dict[str, str]) -> str | None:
    """Which kind of point a call is, if it is one.

    Raises:
        LookupError: it has the name of one, and nothing says whether it is.
    """
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in kinds:
        return None
    method = call.func.attr
    receiver = ast.unparse(call.func.value).rpartition(".")[2].lstrip("_")
    if receiver == "self":
        return kinds[method] if method in OWN.get(owner, ()) else None
    if (receiver, method) in ASKED:
        return kinds[method]
    if (receiver, method) in OTHERS:
        return None
    raise LookupError(f"line {call.lineno}: is `{ast.unparse(call.func)}` durable? Add it to ASKED or to OTHERS")


def sites() -> list[str]:
    """The names of all points."""
    return [point.name for point in points()]
