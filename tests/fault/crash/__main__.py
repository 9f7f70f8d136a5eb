"""The crash matrix: `python -m tests.fault.crash [--engine NAME] [--only WORD ...] [--workers N] [--list] [--bugs]`.

Every crash point, before and after it, with systems that answer and with an ERP that executes and does not answer, on
both engines. A line for each case, then the planted bugs, then the sums; the exit code is 0 if everything holds.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.fault.crash.bugs import PLANTED
from tests.fault.crash.case import ENGINES, Case, Result
from tests.fault.crash.field import Field
from tests.fault.crash.plan import UNREACHED, chosen, counting, matrix, missing, planted, stale
from tests.fault.crash.points import points
from tests.fault.crash.reading import KINDS

WORKERS = 3


def main(arguments: Sequence[str]) -> int:
    """Run and print; 0 if every case holds, every point is reached and every bug is caught."""
    parser = argparse.ArgumentParser(prog="make crash-matrix")
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--only", metavar="WORD", nargs="*", default=[], help="points with one of these words")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--list", action="store_true", help="name the points, with the places in the code")
    parser.add_argument("--no-bugs", action="store_true", help="leave the planted bugs out")
    given = parser.parse_args(arguments)
    if given.list:
        for point in points():
            _say(f"{point.name:36} {point.file}:{point.line}" if point.file else point.name)
        return 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(130))  # the systems and the broker are to end with us
    engines = given.engine or list(ENGINES)
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-crash-") as place,
        Field(Path(place), given.workers, engines) as field,
    ):
        bad = sum(_engine(field, engine, given.only) for engine in engines)
        if not given.no_bugs:
            bad += _planted(field, engines, given.only)
    _say(f"{time.monotonic() - begun:.0f} s")
    return 1 if bad else 0


def _engine(field: Field, engine: str, words: Sequence[str]) -> int:
    """The matrix on one engine; how many of its lines are not as they should be."""
    _say(f"\n{engine}: counting passes")
    runs = _gather(field, counting(engine))
    bad = _failures(runs)
    passed: Counter[str] = sum((result.passes for result in runs), Counter())
    for site in missing(engine, passed):
        _say(f"  {site:44} 0 hits: the load does not reach it")
    for site in stale(engine, passed):
        _say(f"  {site:44} is excused, and is passed or is not there")
    bad += len(missing(engine, passed)) + len(stale(engine, passed))
    cases = chosen(matrix(engine, runs[0].passes, passed), words)
    _say(f"{engine}: {len(cases)} cases at {len({case.point for case in cases})} points\n")
    _say(f"  {'point':44} {'side':6} {'mode':5} {'pass':>4} {'hits':>4} {'s':>5}  verdict")
    results = _gather(field, cases, tell=True)
    bad += _failures(results)
    kinds = Counter(finding.kind for result in results for finding in result.findings)
    sums = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS)
    reached = sum(result.died for result in results)
    _say(f"\n{engine}: {reached} of {len(results)} deaths; {sums}")
    for site, why in UNREACHED[engine].items():
        _say(f"  not reachable: {site:36} {why}")
    return bad


def _planted(field: Field, engines: Sequence[str], words: Sequence[str]) -> int:
    """Each bug in a case that must find it; how many are not found by their name."""
    names = [name for name, bug in PLANTED.items() if bug.engine in engines]
    names = [name for name in names if not words or any(word in name for word in words)]
    if names:
        _say(f"\n{len(names)} planted bugs\n")
    bad = 0
    for name, future in [(name, field.submit(planted(name))) for name in names]:
        result, bug = future.result(), PLANTED[name]
        found = [finding for finding in result.findings if finding.kind == bug.finds]
        caught = bool(found) and result.died
        bad += not caught
        words_ = f"{bug.finds}: {found[0].detail}" if found else result.verdict
        _say(f"  {'caught' if caught else 'MISSED':7} {name:36} {bug.at:44} {words_}")
    return bad


def _gather(field: Field, cases: Iterable[Case], tell: bool = False) -> list[Result]:
    results = []
    for future in [field.submit(case) for case in cases]:
        results.append(future.result())
        if tell:
            _tell(results[-1])
    return results


def _tell(result: Result) -> None:
    case = result.case
    place = f"{case.point:44} {case.side:6} {case.mode:5} {case.number:>4} {result.hits:>4} {result.seconds:>5.1f}"
    _say(f"  {place}  {result.verdict}")
    for finding in result.findings[:5]:
        _say(f"      {finding.kind}: {finding.detail}")


def _failures(results: Iterable[Result]) -> int:
    return sum(result.verdict != "holds" for result in results)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
