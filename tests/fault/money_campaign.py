"""The money faults of the catalogue: `python -m tests.fault.money_campaign [WORD ...]`.

One line of JSON for each fault (those whose number or title has one of the words, when words are given), with its
verdict and what was checked: a real daemon process before real sandbox systems. The exit code is the number of lines
whose verdict is not "holds". `--without REMEDY` leaves one remedy out of the daemon, and the line names the invariant
that breaks; `--without all` does so with each in turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.checkers import Finding
from tests.support.money_catalogue import FAULTS, MoneyFault
from tests.support.money_remedies import REMEDIES, Remedy, left_out


def main(arguments: list[str]) -> int:
    """Run and print; the number of faults under which something did not hold."""
    parser = argparse.ArgumentParser(description="the catalogue of money faults")
    parser.add_argument("--without", metavar="REMEDY", choices=["all", *(remedy.name for remedy in REMEDIES)])
    parser.add_argument("words", nargs="*", metavar="WORD")
    given = parser.parse_args(arguments)
    if given.without:
        return sum(_without(remedy) for remedy in REMEDIES if given.without in ("all", remedy.name))
    chosen = [f for f in FAULTS if not given.words or any(word in f"{f.number} {f.title}" for word in given.words)]
    return sum(_fault(fault) for fault in chosen)


def _fault(fault: MoneyFault) -> bool:
    started = time.monotonic()
    findings = _run(fault.run)
    _say(fault.number, fault.title, findings, list(fault.checked), started)
    return bool(findings)


def _without(remedy: Remedy) -> bool:
    """Whether nobody noticed that it is missing."""
    started = time.monotonic()
    with left_out(remedy):
        findings = _run(remedy.fault)
    _say("planted", f"without: {remedy.name}", findings, [remedy.invariant], started)
    return remedy.invariant not in {finding.invariant for finding in findings}


def _run(run: Callable[[Path], list[Finding]]) -> list[Finding]:
    with tempfile.TemporaryDirectory(prefix="tidegate-money-") as place:
        try:
            return run(Path(place))
        except Exception as error:  # one fault that cannot be run must not hide the others
            return [Finding("-", f"{type(error).__name__}: {error}")]


def _say(number: str, title: str, findings: list[Finding], checked: list[str], started: float) -> None:
    verdict = [f"{finding.invariant}: {finding.detail}" for finding in findings] or "holds"
    seconds = round(time.monotonic() - started, 1)
    line = {"fault": number, "title": title, "verdict": verdict, "checked": checked, "seconds": seconds}
    print(json.dumps(line), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 100))
