"""`python -m ops.virtual`: measure how often the truth lies within the interval, and draw it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ops.virtual.calibration import surge
from ops.virtual.calibration_page import page, plot, share_within
from ops.virtual.questions import Outcome

SHARE_MIN, SHARE_MAX = 0.75, 0.85


@click.command()
@click.option("--surges", default=500, show_default=True, type=click.IntRange(1))
@click.option("--first-seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write the plot and the page here.")
def main(surges: int, first_seed: int, out: Path | None) -> None:
    """Forecast in the middle of so many simulated surges and compare with what came true.

    A seed whose backlog is never worth a question is passed over and replaced by the next.
    """
    outcomes: list[Outcome] = []
    asked, seed = 0, first_seed
    while asked < surges:
        found = surge(seed)
        outcomes += found
        asked += bool(found)
        seed += 1
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{asked}/{surges} ")
    text = page(outcomes, asked)
    click.echo(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "forecast-calibration.svg").write_text(plot(outcomes), "utf-8")
        (out / "forecast-calibration.md").write_text(text, "utf-8")
    within = share_within([outcome for outcome in outcomes if outcome.what == "total"])
    raise SystemExit(0 if SHARE_MIN <= within <= SHARE_MAX else 1)


if __name__ == "__main__":
    main()
