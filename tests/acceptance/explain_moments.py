"""`make explain-moments`: brings daemons and systems to each moment, and prints what a person is told at each.

Names of moments as arguments pick some of them. The same moments are a test, with what each has to say.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from pathlib import Path

from tests.support.moments import MOMENTS, Told

_WIDTH = 112


def words(number: int, one: Told) -> str:
    """The sentence, the owner and the ETA, as the command line tells them."""
    told = one.explanation
    eta = told.get("eta") or f"none, {told.get('no_eta')}"
    lines = textwrap.wrap(f"{number:2}. {one.key}: {told['sentence']}", _WIDTH, subsequent_indent="    ")
    return "\n".join(
        [*lines, f"    owner: {told.get('owner', 'nobody')}   ETA: {eta}   (asked at {one.asked:%H:%M:%S})"]
    )


def main(names: list[str]) -> int:
    """Go through the moments and print; the exit code."""
    number = 0
    for moment in MOMENTS:
        if names and moment.__name__ not in names:
            continue
        sys.stdout.write(f"\n{moment.__name__.replace('_', ' ')}: {moment.__doc__}\n")
        sys.stdout.flush()
        with tempfile.TemporaryDirectory(prefix="tidegate-moment-") as directory:
            for one in moment(Path(directory)):
                number += 1
                sys.stdout.write(words(number, one) + "\n")
                sys.stdout.flush()
    return 0 if number else 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
