"""House rules that a machine can keep."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.sources import ROOT, imports, name_of, parsed, sources

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
ENTRANCES = ("run.py", "/__main__.py", "broker/store/migrations/", "ops/connectors/")
"""Where reading starts: programs, examples, and the steps that Alembic finds by their place."""
AHEAD = {"policies/coalesce.py": "the one operation there is moves money; the first record to be updated needs it"}
"""Modules that nothing calls yet, and why they are here."""

TEXT = {".py", ".md", ".toml", ".sh", ".yml", ".yaml", ".json", ".html", ".css", ".js", ".ini", ".service", ""}
NOT_OURS = re.compile(r"/(\.|__pycache__|build|dist)|\.egg-info")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def committed() -> Iterator[Path]:
    """Every text file of ours, tests included."""
    for path in sorted(ROOT.rglob("*")):
        if not NOT_OURS.search("/" + name_of(path)) and path.is_file() and path.suffix in TEXT:
            yield path


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


def test_no_python_file_is_longer_than_a_reader_likes() -> None:
    long = {
        name_of(p): n
        for p in committed()
        if p.suffix == ".py" and (n := len(p.read_text().splitlines())) > FILE_LINES_MAX
    }
    assert long == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{name_of(path)}:{node.name}": length
        for path in committed()
        if path.suffix == ".py" and "migrations/versions" not in name_of(path)
        for node in functions(path)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}


def _module(path: Path) -> str:
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return dotted.removesuffix(".__init__")


def test_every_module_is_reached_from_an_entrance() -> None:
    modules = {_module(path): path for path in sources()}
    waiting = [path for path in sources() if any(mark in name_of(path) for mark in ENTRANCES)]
    reached: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        for _, target in imports(path):
            parts = target.split(".")
            waiting += [
                modules[".".join(parts[:n])] for n in range(1, len(parts) + 1) if ".".join(parts[:n]) in modules
            ]
    assert {name_of(path) for path in set(sources()) - reached} == AHEAD.keys()


def _public(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Public functions, classes and their public methods. What a private class or a function holds is private."""
    for node in parsed(path).body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_") or _says_it_itself(node):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function) and not inner.name.startswith("_") and not _says_it_itself(inner):
                    yield f"{node.name}.{inner.name}", inner


def _says_it_itself(node: Function | ast.ClassDef) -> bool:
    """A line that returns something, under the name of what it returns."""
    return isinstance(node, Function) and len(node.body) == 1 and isinstance(node.body[0], ast.Return | ast.Assign)


def test_everything_public_says_what_it_is() -> None:
    silent = [
        f"{name_of(path)}: {name}"
        for path in sources()
        if "migrations/versions" not in name_of(path)
        for name, node in _public(path)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_module_says_what_it_is() -> None:
    silent = [name_of(path) for path in sources() if path.read_text().strip() and not ast.get_docstring(parsed(path))]
    assert silent == []


def test_nothing_is_left_for_later_and_nothing_refers_to_what_is_not_here() -> None:
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|HA" r"CK)\b|\bsha" r"red/|\b\w+/\w+#\d+|(?<![\w&])#\d{2,5}\b(?!\w)")
    found = [
        f"{name_of(path)}:{number}: {line.strip()[:80]}"
        for path in committed()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if marks.search(line) and not _colour(line)
    ]
    assert found == []


def _colour(line: str) -> bool:
    return re.search(r"(:\s*|\"|')#[0-9a-fA-F]{3,8}\b", line) is not None
