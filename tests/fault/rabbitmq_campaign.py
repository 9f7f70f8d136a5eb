"""The long fault run against RabbitMQ: `python -m tests.fault.rabbitmq_campaign [--rabbitmq PATH] [WORD ...]`.

One line of JSON for each fault of the catalogue (those whose number or title has one of the words, when words are
given), with its verdict and what was checked, for the RabbitMQ of this machine and for 4.0; `--rabbitmq` names one
(`installed`, or a folder as `make rabbitmq4` makes it). The exit code is the number of lines whose verdict is not
"holds"; a broker that is not there is such a line. `--without REMEDY` leaves one remedy out, and the line names the
invariant that breaks; `--without all` does so with each in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ops.rabbitmq_install import WHICH, NodeMissing, default_folder, find_rabbitmq, set_up
from ops.rabbitmq_node import RabbitNode, shared_node
from tests.support.rabbitmq_catalogue import SUITES, Suite
from tests.support.rabbitmq_faults import FAULTS, Fault, under
from tests.support.rabbitmq_remedies import REMEDIES, Remedy, without

_CHECKED = ["I1 nothing lost", "I2 handled once", "I4 order per account", "I8 healed, consumers back, nothing stuck"]
_INSTALLED = "installed"
_ROUNDS = "TIDEGATE_FAULT_ROUNDS"


def main(arguments: list[str]) -> int:
    """Run and print; the number of faults under which something did not hold."""
    parser = argparse.ArgumentParser(description="the catalogue of broker faults")
    parser.add_argument("--rabbitmq", action="append", metavar="PATH", help=f"{_INSTALLED}, or a folder; repeatable")
    parser.add_argument("--without", metavar="REMEDY", choices=["all", *(remedy.name for remedy in REMEDIES)])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", metavar="WORD")
    given = parser.parse_args(arguments)
    if given.without:
        return _without([remedy for remedy in REMEDIES if given.without in ("all", remedy.name)])
    if given.here:
        return _here(given.words)
    return sum(_with(which, given.words) for which in given.rabbitmq or [_INSTALLED, str(default_folder())])


def _with(which: str, words: list[str]) -> int:
    """The campaign in a process of its own, whose node is of this RabbitMQ."""
    environ = {name: value for name, value in os.environ.items() if name != WHICH}
    started = time.monotonic()
    try:
        if which == _INSTALLED:
            find_rabbitmq()
        else:
            set_up(Path(which).absolute())
            environ[WHICH] = str(Path(which).absolute())
    except NodeMissing as missing:
        _say("", which, "-", f"RabbitMQ: {which}", [str(missing)], [], started)
        return 1
    command = [sys.executable, "-m", "tests.fault.rabbitmq_campaign", "--here", *words]
    return subprocess.run(command, env=environ, check=False).returncode


def _without(remedies: list[Remedy]) -> int:
    """Each fault that a missing remedy lets in, named; the number of remedies whose absence something noticed."""
    node = _quiet_node()
    version = node.ctl("version").strip()
    noticed = 0
    for remedy in remedies:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tidegate-campaign-") as place:
            findings = asyncio.run(without(remedy, Path(place), node))
        told = [f"{finding.invariant}: {finding.detail}" for finding in findings]
        _say(version, "", "planted", f"without: {remedy.name}", told, [remedy.invariant], started)
        noticed += remedy.invariant in {finding.invariant for finding in findings}
    return noticed


def _quiet_node() -> RabbitNode:
    for library in ("aio_pika", "aiormq"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)  # what they say of a fault is no finding
    return shared_node()


def _here(words: list[str]) -> int:
    def chosen(number: str, title: str) -> bool:
        return not words or any(word in f"{number} {title}" for word in words)

    node = _quiet_node()
    version = node.ctl("version").strip()
    bad = sum(_fault(fault, node, version) for fault in FAULTS if chosen(fault.number, fault.title))
    return min(bad + sum(_suite(suite, version) for suite in SUITES if chosen(suite.number, suite.title)), 100)


def _fault(fault: Fault, node: RabbitNode, version: str) -> bool:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tidegate-campaign-") as place:
        findings = asyncio.run(under(fault, Path(place), node))
    _say(version, "", fault.number, fault.title, [f"{f.invariant}: {f.detail}" for f in findings], _CHECKED, started)
    return bool(findings)


def _suite(suite: Suite, version: str) -> bool:
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-rf", *suite.tests, *(["-k", suite.only] if suite.only else [])]
    environ = {**os.environ, _ROUNDS: os.environ.get(_ROUNDS, "200")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    findings = failed or [done.stdout[-300:] + done.stderr[-300:]] if done.returncode else []
    _say(version, "", suite.number, suite.title, findings, list(suite.checked), started)
    return done.returncode != 0


def _say(
    version: str, which: str, number: str, title: str, findings: list[str], checked: list[str], started: float
) -> None:
    line = {"fault": number, "title": title, "rabbitmq": version or which, "verdict": findings or "holds"}
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({**line, "checked": checked, "seconds": seconds}), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 100))
