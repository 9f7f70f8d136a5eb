"""`tidegate forecast`: time to drain, what if, and afterwards what came true."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ops.client import Client
from ops.report.svg import duration


def run_forecast(
    client: Client, clauses: tuple[str, ...], tenants: int, save: Path | None, say: Callable[..., None]
) -> int:
    """Ask and print; `save` keeps the answer for `run_compare`."""
    told = client.forecast("; ".join(clauses), tenants)
    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_text(json.dumps(told, indent=1) + "\n")
    say(told, lambda: show(told))
    return 0


def run_compare(client: Client, path: Path, say: Callable[..., None]) -> int:
    """What came true of a forecast that was kept; 1 while calls of it are open.

    Raises click.UsageError for a file that is none.
    """
    try:
        told = json.loads(path.read_text())
        since_us, total = told["at_us"], told["total"]
    except (ValueError, KeyError, TypeError):
        raise click.UsageError(f"{path} is no forecast; make one with: tidegate forecast --save {path}") from None
    compared = compare(told, client.truth(since_us))
    say({"forecast": told, "compared": compared}, lambda: show_compared(compared))
    return 0 if not total["waiting"] or compared[0]["seconds"] is not None else 1


def compare(told: dict[str, Any], truth: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for everything and for each lane and tenant of the forecast, with what came true and whether it was
    within the interval (None while calls are open, or where it said that a person has to act first)."""
    pairs = [("everything", told["total"], truth["total"])]
    pairs += [(f"lane {lane}", span, truth["lanes"].get(lane)) for lane, span in told["lanes"].items()]
    pairs += [(f"tenant {tenant}", span, truth["tenants"].get(tenant)) for tenant, span in told["tenants"].items()]
    return [_row(name, span, found or {"open": 0, "seconds": None}) for name, span, found in pairs]


def _row(name: str, span: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    seconds, low, high = found["seconds"], span["low_seconds"], span["high_seconds"]
    held = low is None and bool(span.get("held_by"))
    within = None if seconds is None or held else low is not None and low <= seconds <= (high or seconds)
    return {"what": name, **span, "open": found["open"], "seconds": seconds, "within": within}


def show(told: dict[str, Any]) -> None:
    """For people."""
    console = Console()
    basis = told["basis"]
    wanted = f", if {told['what_if']}" if told["what_if"] else ""
    console.print(f"[bold]time to drain[/] as of {told['at']}{wanted}", highlight=False)
    table = Table()
    for column in ("", "waiting", "likely done in", "between (4 of 5)", "likely at (UTC)"):
        table.add_column(column)
    table.add_row(*_cells("everything", told["total"]))
    for lane, span in told["lanes"].items():
        table.add_row(*_cells(f"lane {lane}", span))
    for tenant, span in told["tenants"].items():
        table.add_row(*_cells(f"tenant {tenant}", span))
    console.print(table)
    for name, span in (("everything", told["total"]), *told["tenants"].items()):
        if span.get("sentence"):
            console.print(f"[yellow]{name}: {span['sentence']}[/]", highlight=False, soft_wrap=True)
    if told["tenants_total"] > len(told["tenants"]):
        console.print(f"{told['tenants_total'] - len(told['tenants'])} more tenants: --tenants N", highlight=False)
    console.print(
        f"from: a call takes {duration(basis['call_seconds'])} (of {basis['calls_known']} calls), "
        f"{basis['failure_share']:.1%} have to go again, {basis['arrivals_per_second']:g} calls/s come in; "
        f"limits {', '.join(basis['limits'])}; orders: {', '.join(basis['orders']) or 'none'}",
        highlight=False,
        soft_wrap=True,
    )
    for line in _more(basis):
        console.print(line, highlight=False, soft_wrap=True)


def _more(basis: dict[str, Any]) -> list[str]:
    """What else it was made from, as far as there is any."""
    lines = []
    if basis["to_come"]:
        lines.append(f"{basis['to_come']} more calls are expected of messages that are at hand")
    if basis["outages_per_hour"]:
        lines.append(
            f"the daemon was away {basis['outages_per_hour']:g} times an hour of late, "
            f"{duration(basis['outage_seconds'])} each; that is taken to go on"
        )
    lines += [f"closed: {one}" for one in basis["calendar"]]
    lines += basis["plans"]
    if basis["not_counted"]:
        lines.append(f"not counted, because nobody knows how much waits under it: {', '.join(basis['not_counted'])}")
    return lines


def show_compared(rows: list[dict[str, Any]]) -> None:
    """For people: the forecast beside the truth."""
    table = Table(title="what came true")
    for column in ("", "waited", "likely", "between (4 of 5)", "came true", ""):
        table.add_column(column)
    for row in rows:
        came = duration(row["seconds"]) if row["seconds"] is not None else f"{row['open']} open"
        verdict = {None: "-", True: "within", False: "outside"}[row["within"]]
        if row["seconds"] is not None and row["within"] is None:
            verdict = "it was held"
        table.add_row(row["what"], f"{row['waiting']:,}", _time(row["likely_seconds"]), _between(row), came, verdict)
    Console().print(table)


def _cells(name: str, span: dict[str, Any]) -> tuple[str, ...]:
    at = span["likely_at"] or "-"
    return name, f"{span['waiting']:,}", _time(span["likely_seconds"]), _between(span), at[:19].replace("T", " ")


def _between(span: dict[str, Any]) -> str:
    return f"{_time(span['low_seconds'])} .. {_time(span['high_seconds'])}" if span["low_seconds"] is not None else "-"


def _time(seconds: float | None) -> str:
    return "never, as it is" if seconds is None else duration(seconds)


def forecast_command(pass_shared: Callable[..., Any], common: Callable[..., Any]) -> click.Command:
    """The verb, with what all verbs share."""

    @click.command("forecast")
    @click.option("--if", "clauses", multiple=True, metavar="CLAUSE", help="What would be different; may be repeated.")
    @click.option("--tenants", default=10, show_default=True, type=click.IntRange(0, 10_000), help="Tenants to show.")
    @click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Keep the answer in this file.")
    @click.option(
        "--compare", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="What came true of a kept one."
    )
    @click.option("--url", help="The daemon (default: from the settings).")
    @common
    @pass_shared
    def command(
        shared: Any, clauses: tuple[str, ...], tenants: int, save: Path | None, compare: Path | None, url: str | None
    ) -> None:
        """When will the backlog be gone? In all, by lane and tenant, as an interval that holds in four cases of five.

        \b
        Examples:
          tidegate forecast --if "pause erp-poster until 14:00" --if "rate 5/s"
          tidegate forecast --save before.json; ...; tidegate forecast --compare before.json
        """
        if compare is not None and (clauses or save):
            raise click.UsageError("--compare takes a kept forecast as it is, without --if and --save")
        with shared.client(url) as client:
            if compare is not None:
                raise SystemExit(run_compare(client, compare, shared.say))
            raise SystemExit(run_forecast(client, clauses, tenants, save, shared.say))

    return command
