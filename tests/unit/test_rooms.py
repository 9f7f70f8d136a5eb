"""Arrows point one way, drivers stay in their room, and time and chance come in through their ports."""

import ast
from pathlib import Path

import pytest

from tests.support.sources import ROOMS, ROOT, imports, name_of, parsed, sources

PORTS = {"actors/runtime/clock.py", "actors/runtime/entropy.py"}
INDEPENDENT = ("ops/certificate", "ops/sandbox")
"""Programs that judge or stand in for others: they may share no line of code with what they judge."""

DRIVERS = {
    "aio_pika": "broker/rabbitmq",
    "aiormq": "broker/rabbitmq",
    "sqlalchemy": "broker",
    "aiosqlite": "broker",
    "alembic": "broker",
    "sqlite3": "broker",
}
DRIVER_EXCEPTIONS = {
    "ops/sandbox": "the sandbox ERP is a separate program with a ledger of its own",
}

FORBIDDEN_MODULES = {"random", "uuid", "secrets", "time"}
FORBIDDEN_CALLS = {
    "asyncio.sleep",
    "anyio.sleep",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "os.urandom",
    "uuid.uuid4",
}
EXCEPTIONS = {
    ("broker/store/writer.py", "asyncio.sleep"): "paces the probes of a full disk; no decision depends on it",
    ("broker/store/store.py", "os.urandom"): "the store's epoch, made once in the life of a store",
    ("broker/relay.py", "asyncio.sleep"): "the default of a parameter, which is the port",
    ("broker/rabbitmq/broker.py", "asyncio.sleep"): "the default of a parameter, which is the port",
    ("broker/rabbitmq/subscription.py", "asyncio.sleep"): "of no time: lets the loop look at the socket",
    ("actors/credentials.py", "secrets"): "the operator token, made once in the life of a data directory",
}


def inside(path: Path, folder: str) -> bool:
    return name_of(path).startswith(folder + "/")


def room_of(dotted: str) -> str | None:
    first = dotted.partition(".")[0]
    return first if first in ROOMS else "run.py" if first == "run" else None


def test_there_is_something_to_look_at() -> None:
    assert len(sources()) > 80
    assert set(ROOMS) == {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists() and path != ROOT}


def test_imports_go_one_way_only() -> None:
    height = {room: place for place, room in enumerate((*ROOMS, "run.py"))}
    upward = []
    for path in sources():
        own = path.relative_to(ROOT).parts[0]
        for line, target in imports(path):
            room = room_of(target)
            if room is not None and height[room] > height[own]:
                upward.append(f"{name_of(path)}:{line} imports {target}")
    assert upward == []


@pytest.mark.parametrize("folder", INDEPENDENT)
def test_the_independent_programs_import_no_other_room(folder: str) -> None:
    package = folder.replace("/", ".")
    shared = [
        f"{name_of(path)}:{line} imports {target}"
        for path in sources()
        if inside(path, folder)
        for line, target in imports(path)
        if room_of(target) is not None and not f"{target}.".startswith(f"{package}.")
    ]
    assert shared == []


def test_drivers_are_imported_in_their_room_only() -> None:
    outside = [
        f"{name_of(path)}:{line} imports {target}"
        for path in sources()
        for line, target in imports(path)
        if (home := DRIVERS.get(target.partition(".")[0])) is not None
        and not inside(path, home)
        and not any(inside(path, folder) for folder in DRIVER_EXCEPTIONS)
    ]
    assert outside == []


def test_pure_rooms_import_no_loop_and_no_input_or_output() -> None:
    impure = {"asyncio", "anyio", "socket", "http", "httpx", "subprocess", "threading", "logging", "loguru", "os"}
    found = [
        f"{name_of(path)}:{line} imports {target}"
        for path in sources()
        if inside(path, "contracts") or inside(path, "policies")
        for line, target in imports(path)
        if target.partition(".")[0] in impure
    ]
    assert found == []


def _reaches_for_time_or_chance(path: Path) -> set[str]:
    found = {target.partition(".")[0] for _, target in imports(path) if target.partition(".")[0] in FORBIDDEN_MODULES}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            dotted = ".".join(ast.unparse(node).split(".")[-2:])
            if dotted in FORBIDDEN_CALLS:
                found.add(dotted)
    for _, target in imports(path):
        if ".".join(target.split(".")[-2:]) in FORBIDDEN_CALLS:
            found.add(target)
    return found


def test_time_and_chance_come_in_through_their_ports_only() -> None:
    ruled = [path for path in sources() if any(inside(path, room) for room in ROOMS if room != "ops")]
    found = {
        (name_of(path), what)
        for path in ruled
        if name_of(path) not in PORTS
        for what in _reaches_for_time_or_chance(path)
    }
    assert found - set(EXCEPTIONS) == set(), "take a Clock or an Entropy, or a `now` parameter in pure code"
    assert set(EXCEPTIONS) - found == set(), "an exception that nobody needs any more"


def test_the_rule_sees_what_it_forbids(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import time, os\nfrom datetime import datetime\nfrom asyncio import sleep\n"
        "import datetime as d\nnow = datetime.now()\nd.datetime.now()\nos.urandom(4)\n"
    )
    import tests.support.sources as support

    root = support.ROOT
    support.ROOT = tmp_path
    try:
        assert _reaches_for_time_or_chance(bad) == {"time", "datetime.now", "asyncio.sleep", "os.urandom"}
    finally:
        support.ROOT = root
