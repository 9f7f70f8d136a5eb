"""`tidegate window`: windows that come again, such as maintenance every Sunday, added and removed while it runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ops.cli_operators import _end, _need_reason, _show, _until, _why
from ops.cli_shared import Shared, common, pass_shared
from policies.calendar import KINDS

_KIND = click.Choice([kind.replace("_", "-") for kind in KINDS])
_TZ = click.option("--tz", help="Whose clocks it goes by: an IANA name such as Europe/Berlin (default: as configured).")


@click.group()
def window() -> None:
    """Windows that come again: maintenance (nothing starts), close-freeze (nothing is posted), bulk-only (the night).

    \b
    Windows are written as in:
      22:00-06:00                  every day, over midnight
      Sun 02:00-04:00              a weekday; Mon-Fri, Sat/Sun
      last day 18:00 for 36h       the end of each month; last workday, day 1
      2026-12-24 22:00 for 8h      once
    """


@window.command("add")
@click.argument("kind", type=_KIND, required=False)
@click.option("--every", metavar="WINDOW", help="When: see `tidegate window --help`.")
@_TZ
@_why
@_end
@_show
@common
@pass_shared
def add(shared: Shared, /, token: str | None, **given: Any) -> None:
    """Add a window. It survives a restart, keeps its local time when clocks are changed, and is taken back by `undo`.

    \b
    Examples:
      tidegate window add maintenance --every "Sun 02:00-04:00" --tz Europe/Berlin --reason "the ERP's patch night"
      tidegate window add close-freeze --every "last day 18:00 for 36h" --reason "month end"
      tidegate window add bulk-only --every 22:00-06:00 --for 14d --reason "the migration runs by day" --dry-run
    """
    _change(shared, "set", token, **given)


@window.command("remove")
@click.argument("kind", type=_KIND, required=False)
@click.option("--every", metavar="WINDOW", help="Which: its words as `tidegate window list` shows them.")
@_TZ
@_why
@_show
@common
@pass_shared
def remove(shared: Shared, /, token: str | None, **given: Any) -> None:
    """Remove a window that was added by verb; what is configured stays.

    \b
    Example:
      tidegate window remove maintenance --every "Sun 02:00-04:00" --tz Europe/Berlin --reason "they moved it"
    """
    _change(shared, "unset", token, **given)


@window.command("list")
@common
@pass_shared
def show(shared: Shared) -> None:
    """All windows: what is closed now, when each opens next, who gave it and why.

    \b
    Example:
      tidegate window list
    """
    with shared.client() as client:
        calendar = client.overview()["calendar"]
        shared.say(calendar, lambda: _print(calendar))


def _change(
    shared: Shared,
    verb: str,
    token: str | None,
    *,
    kind: str | None,
    every: str | None,
    tz: str | None,
    reason: str | None,
    who: str,
    dry_run: bool,
    until: datetime | None = None,
    lasting: timedelta | None = None,
) -> None:
    from ops.verbs import run_command, run_commit

    why = _need_reason(reason, token)
    if token is None and (kind is None or every is None):
        raise click.UsageError("Say which kind and when: tidegate window add maintenance --every 'Sun 02:00-04:00' ...")
    words = " ".join(part for part in (every, tz) if part)
    command = {
        "name": "window",
        "target": f"{kind}:{words}",
        "reason": why,
        "who": who,
        "until": _until(until, lasting),
        "dry_run": dry_run,
    }
    with shared.client() as client:
        if token is not None:
            raise SystemExit(run_commit(client, token, who, shared.as_json))
        raise SystemExit(run_command(client, verb, command, shared.as_json))


def _print(calendar: dict[str, Any]) -> None:
    console = Console()
    for one in calendar.get("closed", []):
        console.print(f"[yellow]{one['why']}[/]", highlight=False)
    coming = {(one["kind"], one["window"]): one for one in calendar.get("coming", [])}
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "window", "zone", "opens (UTC)", "to", "who", "why", "until"):
        table.add_column(column)
    for row in calendar.get("windows", []):
        span = coming.get((row["kind"], row["window"]))
        times = [_minute(span["begin"]), _minute(span["end"])] if span else ["-", "-"]
        facts = (row["zone"], *times, row["who"] or "", row["reason"], _minute(row["until"]) if row["until"] else "")
        table.add_row(row["kind"], row["window"], *facts)
    console.print(table if table.rows else "no windows")


def _minute(text: str) -> str:
    return text[:16].replace("T", " ")
