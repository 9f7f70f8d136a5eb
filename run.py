"""The one entry: `tidegate ...`, the same as `python run.py ...`."""

from __future__ import annotations

import sys

from ops.cli import cli


def main() -> None:
    """Run the command line; exits with 0 (done), 1 (refused or failed) or 2 (wrong use)."""
    sys.exit(cli())


if __name__ == "__main__":
    main()
