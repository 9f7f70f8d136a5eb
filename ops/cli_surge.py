"""The options of `tidegate surge --against`; apart from the rest, because reading a command line is to stay quick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from ops.cli_shared import Shared, common, pass_shared

_OPTIONS = (
    click.option(
        "--against",
        multiple=True,
        metavar="PROFILE",
        help="A daemon and a sandbox ERP of its own with these limits, killed twice, with limits changed in mid-run: "
        "netsuite, xero, ... or all of the four that are shown. May be repeated.",
    ),
    click.option(
        "--published-seconds",
        type=click.FloatRange(0),
        default=90.0,
        show_default=True,
        help="Against: how long the published windows stay, before the long ones are shortened.",
    ),
)


def against_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_against_profiles(
    profiles: list[str],
    published_seconds: float,
    out: Path,
    as_json: bool,
    *,
    pack: str,
    cases: int,
    seed: int,
    **others: Any,
) -> NoReturn:
    """Run one surge for each profile, and exit.

    Raises click.UsageError for options that belong to a running daemon or to a simulation, and unknown profiles.
    """
    from ops.sandbox.limits import LimitError, load_profile
    from ops.surge_against import Against, run_against

    if given := [name for name, value in others.items() if value]:
        raise click.UsageError(f"--{given[0].replace('_', '-')} does not go with --against, which has its own daemon")
    try:
        empty = [name for name in profiles if name != "all" and not load_profile(name).limits]
    except LimitError as error:
        raise click.UsageError(f"--against: {error}") from None
    if empty:
        raise click.UsageError(f"--against: {empty[0]} publishes no limits, so there is nothing to hold it to")
    plan = Against(pack, cases, seed, published_seconds)
    raise SystemExit(run_against(profiles, plan, out, as_json))


@click.command("surge-newcomer")
@click.option("--behind", default=50_000, show_default=True, type=click.IntRange(100), help="Messages that wait.")
@click.option("--seed", default=7, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path(".tidegate/newcomer"), show_default=True)
@common
@pass_shared
def surge_newcomer(shared: Shared, behind: int, seed: int, out: Path) -> None:
    """One new message of a tenant behind very many of another one, at a daemon and a sandbox ERP of its own: the
    certificate shows after how many calls it starts.

    \b
    Example:
      tidegate surge-newcomer --behind 50000
    """
    from ops.surge_newcomer import run_newcomer
    from ops.surge_story import StoryFailed

    try:
        raise SystemExit(run_newcomer(behind, seed, out, shared.as_json))
    except StoryFailed as failed:
        raise SystemExit(f"tidegate surge-newcomer: {failed}") from None
