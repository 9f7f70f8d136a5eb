"""The daemon with one remedy left out: `ops.process.ROOT` is set to this folder by tests that want that."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from ops.cli import cli
from tests.support.money_bugs import BUGS

if __name__ == "__main__":
    BUGS[os.environ["TIDEGATE_PLANTED"]]()
    sys.exit(cli())
