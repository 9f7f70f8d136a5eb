"""`make audit-mutations`: thousands of random changes of a real audit, each of which the verifier must find.

Prints how many of each kind there were and were found, and for how many the first bad entry was named.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from broker.store.audit_verify import Verdict, verify
from tests.support.audit_mutations import KINDS, Audit, Expect, read, real_store, write

Verify = Callable[[Path, Path], Verdict]


class Campaign:
    """Changes copies of one real store. `missed` and `misnamed` say what was not found, or found elsewhere."""

    def __init__(self, store: Path, anchors: Path, scratch: Path, seed: int, judge: Verify = verify) -> None:
        self._whole = read(store, anchors)
        self._seed = seed
        self._judge = judge
        self._store, self._anchors = scratch / "changed.db", scratch / "changed.jsonl"
        shutil.copyfile(store, self._store)
        write(self._whole, self._store, self._anchors)
        self.made: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.named: Counter[str] = Counter()
        self.missed: list[str] = []
        self.misnamed: list[str] = []

    @property
    def entries(self) -> int:
        """How long the chain is."""
        return len(self._whole.rows)

    def unchanged(self) -> Verdict:
        """What the verifier says of the audit as it was written."""
        return self._judge(self._store, self._anchors)

    def run(self, count: int, told: Callable[[int], None] = lambda done: None) -> None:
        """So many changes that change something, each on a fresh copy."""
        number = 0
        while self.made.total() < count:
            self._one(number)
            number += 1
            told(self.made.total())

    def _one(self, number: int) -> None:
        dice = random.Random(f"{self._seed}/{number}")
        change = KINDS[number % len(KINDS)]
        audit: Audit = deepcopy(self._whole)
        expected = change(audit, dice)
        write(audit, self._store, self._anchors)
        if read(self._store, self._anchors) == self._whole:
            return
        kind = change.__name__
        self.made[kind] += 1
        verdict = self._judge(self._store, self._anchors)
        if verdict.clean:
            self.missed.append(f"{kind}, number {number} of seed {self._seed}")
            return
        self.found[kind] += 1
        named = _names(verdict, expected, self.entries)
        self.named[kind] += named
        if not named:
            self.misnamed.append(f"{kind}, number {number} of seed {self._seed}: {verdict.findings[0]}, not {expected}")

    def report(self) -> str:
        """The table and the sum."""
        lines = [f"{'change':<24}{'made':>7}{'found':>7}{'first bad named':>17}"]
        lines += [f"{kind:<24}{n:>7}{self.found[kind]:>7}{self.named[kind]:>17}" for kind, n in self.made.items()]
        lines += [f"missed: {one}" for one in self.missed[:20]]
        lines += [f"named wrongly: {one}" for one in self.misnamed[:20]]
        return "\n".join([*lines, f"{self.found.total()} of {self.made.total()} found"])


def _names(verdict: Verdict, expected: Expect, entries: int) -> bool:
    """Of an anchor file whose last line contradicts the end of the chain, nobody can say which of them is wrong."""
    first = verdict.findings[0].seq
    if expected.low is None:
        return first is None or first >= entries - 1
    return first is not None and expected.low <= first <= (expected.high or first)


def main(arguments: list[str]) -> int:
    """Make a real audit, change it `--count` times, and print what was found; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tidegate-audit-") as name:
        campaign = Campaign(*real_store(Path(name) / "site"), Path(name), asked.seed)
        as_written = campaign.unchanged()
        sys.stdout.write(
            f"a daemon's audit of {campaign.entries} entries and {as_written.anchors} anchors, "
            f"{'clean' if as_written.clean else 'NOT CLEAN'} before it is changed\n"
        )

        def told(done: int) -> None:
            if done % 500 == 0:
                sys.stderr.write(f"\r{done} of {asked.count}")

        campaign.run(asked.count, told)
        sys.stderr.write("\r")
        sys.stdout.write(campaign.report() + "\n")
    named = campaign.named.total() == campaign.made.total()
    return 0 if as_written.clean and not campaign.missed and named else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
