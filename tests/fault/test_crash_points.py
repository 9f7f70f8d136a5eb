"""Every durable step is a crash point by being written, and a point costs nothing where nobody asks for it."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.crash_points import CrashPoints, UnknownCrash, armed, durable, site_name
from ops.process import ROOT
from tests.fault.crash import points as crash
from tests.fault.crash.bugs import PLANTED
from tests.fault.crash.plan import NEEDS, UNREACHED
from tests.support.sources import name_of, parsed

HOW = {
    "writes a transaction": (
        r"(engine|connection|_engines\[0\])\.begin$",
        {
            "broker/store/writer.py:Writer._prove": "proves after a failure that the disk takes something",
            "broker/store/writer.py:Writer._transaction": "how commit/... does it",
            "broker/store/store.py:Store.prepare_order": "open/store.prepare_order",
            "broker/store/store.py:Store.take_partitions": "open/store.take_partitions",
            "broker/store/store.py:Store._meta": "within open/store",
            "broker/store/migrate.py:_upgrade": "within open/store",
            "broker/store/restored.py:notice": "within open/store",
        },
    ),
    "sends a request": (
        r"_client\.request$|ClientSession$|httpx\.",
        {
            "actors/adapters/rest.py:RestAdapter._send": "call/...",
            "actors/adapters/rest.py:RestAdapter.open": "makes the client, sends nothing",
        },
    ),
    "acknowledges to the broker": (
        r"(inlet|wire)\.(acknowledge|discard)$",
        {
            "broker/rabbitmq/subscription.py:RabbitMQSubscription.acknowledge": "ack/...",
            "broker/rabbitmq/inlet.py:Inlet.acknowledge": "how ack/... does it",
            "broker/rabbitmq/inlet.py:Inlet.discard": "dead-letters a probe of our own; no message of anybody",
            "broker/rabbitmq/inspection.py:probe": "a probe of our own",
            "broker/rabbitmq/probe.py:_take": "a probe of our own",
        },
    ),
    "writes a file": (
        r"os\.(write|pwrite|replace|rename|link)$|\.(write_text|write_bytes|writelines)$",
        {
            "actors/operator_exports.py:Export._write": "file/export",
            "actors/credentials.py:operator_token": "file/operator_token",
            "broker/store/migrate.py:migrate": "within open/store",
            "broker/store/store.py:_lock": "whose the directory is, while the process lives",
            "broker/store/anchors.py:AnchorFile.append": "file/anchor",
            "broker/store/mark.py:MarkFile.write": "file/mark",
            "broker/crash_points.py:CrashPoints.passing": "counts passes for tests",
        },
    ),
}
"""What can make something durable, or let it leave the house, and the only functions that may: each is a funnel, is how
a funnel does it, or keeps nothing that a crash could lose."""


def _uses(how: str) -> Iterator[str]:
    for path in crash.files():
        if "migrations" in name_of(path):
            continue
        for owner, name, node in crash.functions(parsed(path)):
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and re.search(how, ast.unparse(call.func)):
                    yield f"{name_of(path)}:{owner}.{name}" if owner else f"{name_of(path)}:{name}"


@pytest.mark.parametrize("how", HOW)
def test_nothing_becomes_durable_or_leaves_but_through_a_funnel(how: str) -> None:
    calls, allowed = HOW[how]
    found = set(_uses(calls))
    unknown = sorted(found - allowed.keys())
    assert unknown == [], "a durable step without a crash point: let it go through a funnel, or make it one (@durable)"
    assert sorted(allowed.keys() - found) == [], "excused, and not there"


def test_every_call_of_a_funnel_is_a_point_and_every_name_means_one_function() -> None:
    found = crash.points()
    assert len(found) > 35
    names = {"commit/poster.start", "commit/life.carry", "commit/approvals.vote", "ack/life.carry", "call/rest.post"}
    assert names <= {point.name for point in found}
    functions = {(point.name, point.file) for point in found}
    assert [name for name, count in Counter(name for name, _ in functions).items() if count > 1] == []


def test_a_call_that_nobody_has_judged_is_refused() -> None:
    call = ast.parse("warehouse.commit(unit)", mode="eval").body
    assert isinstance(call, ast.Call)
    with pytest.raises(LookupError, match=r"warehouse\.commit"):
        crash._kind(call, "Anything", {"commit": "commit"})


def test_every_excuse_and_every_need_is_about_a_point_that_there_is() -> None:
    known = set(crash.sites())
    named = {*NEEDS, *(site for sites in UNREACHED.values() for site in sites)}
    assert named - known == set()


def test_a_pass_is_written_down_and_the_asked_one_is_the_last(tmp_path: Path) -> None:
    ends: list[str] = []
    counts = tmp_path / "passes"
    points = CrashPoints("commit/poster.start:after:2", counts, lambda: ends.append(counts.read_text()))
    for actor in ("erp-poster", "billing-caller"):
        points.passing(f"commit/poster.start/{actor}", "before")
        points.passing(f"commit/poster.start/{actor}", "after")
        points.passing("commit/poster.start_other", "after")
    assert [end.splitlines()[-1] for end in ends] == ["commit/poster.start/billing-caller:after"]


@pytest.mark.parametrize("told", ["commit", "commit/x:during:1", "commit/x:before:0", "commit/x:before", ":after:1"])
def test_a_switch_that_makes_no_sense_stops_the_start(told: str) -> None:
    with pytest.raises(UnknownCrash, match="expected POINT:SIDE:N"):
        armed({"TIDEGATE_CRASH_AT": told})


@pytest.mark.anyio
async def test_a_funnel_says_before_and_after_and_who_asks(tmp_path: Path) -> None:
    points = CrashPoints("", tmp_path / "passes", lambda: None)
    said: list[str] = []

    @durable("commit", points=points)
    async def commit() -> str:
        said.append((tmp_path / "passes").read_text())
        return "done"

    @durable("file", "anchor", points=points)
    def write() -> str:
        return "written"

    async def carry() -> list[str]:
        return [await commit(), write()]

    assert await asyncio.create_task(carry(), name="/tidegate/deciders/workflow") == ["done", "written"]
    point = "commit/test_crash_points.test_a_funnel_says_before_and_after_and_who_asks/workflow"
    assert said == [f"{point}:before\n"]
    lines = (tmp_path / "passes").read_text().splitlines()
    assert lines == [f"{point}:before", f"{point}:after", "file/anchor/workflow:before", "file/anchor/workflow:after"]


def test_where_nobody_asks_a_funnel_is_the_plain_method() -> None:
    async def commit() -> None: ...

    assert armed({}) is None
    assert durable("commit", points=None)(commit) is commit
    words = "import broker.store.store as s; print(hasattr(s.Store.commit, '__wrapped__'))"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE")}
    assert [_python(words, environ), _python(words, environ | {"TIDEGATE_CRASH_COUNTS": "/dev/null"})] == [
        "False",
        "True",
    ]


def _python(words: str, environ: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, env=environ, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_name_says_which_function_of_which_module() -> None:
    assert site_name("actors.caller.poster", "Poster._store_step.<locals>.<lambda>") == "poster.store_step"
    assert site_name("broker.relay", "Relay._forget") == "relay.forget"


def test_there_are_a_dozen_planted_bugs_and_more_on_both_engines() -> None:
    assert len(PLANTED) >= 12
    assert {bug.engine for bug in PLANTED.values()} == {"embedded", "rabbitmq"}
