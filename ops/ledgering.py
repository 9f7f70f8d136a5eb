"""Asking the daemon to hold its ledger against a system, watching it, and telling what differs."""

from __future__ import annotations

import json
import time
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ops.client import Client

LOOK_SECONDS = 0.25
PAGE = 1_000
_OVER = ("clean", "differs", "stopped", "failed")


def run_verify(client: Client, system: str, who: str, as_json: bool) -> int:
    """Have it compared and wait for the end; 0 if nothing differs, 1 if something does or it did not come to its end.

    Raises DaemonAway, Refused.
    """
    number = client.operate("ledger", system=system, who=who)["number"]
    run = _watched(client, number, quiet=as_json)
    items = _items(client, number)
    _tell(run, items, as_json)
    return 0 if run["state"] == "clean" else 1


def run_show(client: Client, as_json: bool) -> int:
    """The last run as it stands; exit code as of `run_verify`, 0 as well while it runs and nothing differs."""
    run = client.look("ledger", limit=1)
    _tell(run, _items(client, run["number"]), as_json)
    return 0 if run["state"] in ("clean", "queued", "running") and not run["differences"] else 1


def _watched(client: Client, number: int, quiet: bool) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task("asked", total=None)
        while True:
            run = client.look("ledger", run=number, limit=1)
            bar.update(task, description=_stands(run), completed=run["intents"], total=max(run["ledger"], 1))
            if run["state"] in _OVER:
                return run
            time.sleep(LOOK_SECONDS)


def _stands(run: dict[str, Any]) -> str:
    words = f"{run['state']}: {run['documents']} documents in {run['calls']} calls, {run['differences']} differ"
    return f"{words}; waits: {run['waits_for']}" if run.get("waits_for") else words


def _items(client: Client, number: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while page := client.look("ledger", run=number, after=len(items), limit=PAGE)["items"]:
        items += page
    return items


def _tell(run: dict[str, Any], items: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**run, "items": items}))
        return
    for item in items:
        click.echo(f"{item['kind']}  {item['intent_id']}" + (f"  ({item['key']})" if item["key"] else ""))
        click.echo(f"    expected {item['expected']}; found {item['found']}")
        click.echo(f"    {item['owner']}: {item['advice']}")
    if (unnamed := run["differences"] - len(items)) > 0:
        click.echo(f"and {unnamed} more: {', '.join(f'{count} {kind}' for kind, count in run['kinds'].items())}")
    click.echo(_summary(run))


def _summary(run: dict[str, Any]) -> str:
    verdict = {
        "clean": "clean: every intent has exactly one document or a stated refusal, and every document an intent",
        "differs": f"{run['differences']} differences",
    }.get(run["state"], f"{run['state']}: {run.get('why') or 'not over yet'}")
    limits = ""
    if run["how"] == "look-ups":
        limits = f" {run['system']} has no listing: documents that no intent of ours explains cannot be seen."
    return (
        f"{run['system']}: {verdict}. {run['intents']} intents ({run['matched']} with their document, "
        f"{run['refused']} refused, {run['open']} under way, {run['moving']} changing just now, "
        f"{run['for_people']} with people), {run['documents']} documents, {run['calls']} calls to it.{limits}"
    )
