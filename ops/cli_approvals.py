"""`tidegate approvals`: what waits for people, and their votes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ops.cli_shared import Shared, common, pass_shared
from ops.client import Client

_Vote = Callable[..., Any]


@click.group()
def approvals() -> None:
    """What waits for people to approve it. Nobody approves what they asked for, and nobody twice.

    Who you are is whose token you hold: --token-file, or TIDEGATE_TOKEN_FILE.
    """


@approvals.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 200))
@common
@pass_shared
def list_(shared: Shared, limit: int) -> None:
    """What waits, oldest first.

    \b
    Example:
      tidegate approvals list
    """
    with shared.client() as client:
        items = client.approvals(limit)
        shared.say({"items": items}, lambda: _show_list(items))


@approvals.command()
@click.argument("key")
@click.option("--tenant", help="For a key that several tenants have.")
@common
@pass_shared
def show(shared: Shared, key: str, tenant: str | None) -> None:
    """One: what is asked, who must approve, who did, what is undone if it fails later, where each step stands.

    \b
    Example:
      tidegate approvals show CASE-1042
    """
    with shared.client() as client:
        item = client.approval(key, tenant)
        shared.say(item, lambda: _show_one(item))


def _vote(name: str, doc: str) -> click.Command:
    @click.command(
        name,
        help=f"{doc}\n\n\b\nExample:\n  tidegate approvals {name} CASE-1042 --reason 'checked with the account team'",
    )
    @click.argument("key")
    @click.option("--reason", required=True, help="Why; it is kept.")
    @click.option("--behalf", help="For whom, if somebody has delegated it to you.")
    @click.option("--digest", help="Of what you saw (default: it is shown now, and you are asked).")
    @click.option("--tenant", help="For a key that several tenants have.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option("--dry-run", is_flag=True, help="Only say whether the vote would count.")
    @common
    @pass_shared
    def vote(
        shared: Shared,
        key: str,
        reason: str,
        behalf: str | None,
        digest: str | None,
        tenant: str | None,
        yes: bool,
        dry_run: bool,
    ) -> None:
        with shared.client() as client:
            seen = digest or _look(client, key, tenant, name, asks=not (yes or dry_run or shared.as_json))
            ballot = {"digest": seen, "reason": reason, "behalf": behalf, "dry_run": dry_run}
            effect = client.vote(key, name, **ballot, tenant=tenant)
        missing = f", {effect['left']} more needed" if effect["left"] else ""
        shared.say(effect, lambda: click.echo(f"{key}: {effect['result']}{missing}; {effect['note']}"))

    return vote


approvals.add_command(_vote("approve", "Approve it. It is bound to what you saw: a change makes it void."))
approvals.add_command(_vote("reject", "Reject it: nothing is done, and support is told."))


@approvals.command()
@click.argument("key")
@click.option("--reason", required=True, help="Why; it is kept.")
@click.option(
    "--amount", nargs=2, metavar="AMOUNT CURRENCY", help="Another amount, of what was turned back altogether."
)
@click.option("--digest", help="Of what you saw (default: it is shown now, and you are asked).")
@click.option("--tenant", help="For a key that several tenants have.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say whether it could be sent again.")
@common
@pass_shared
def replay(
    shared: Shared,
    key: str,
    reason: str,
    amount: tuple[str, str] | None,
    digest: str | None,
    tenant: str | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Send again what was refused: a step that its system refused, an undoing, or all of what was turned back.

    By neither who asked for it nor who approved it. What was turned back altogether is approved again, by others.

    \b
    Example:
      tidegate approvals replay CASE-1042 --reason 'the period is open again'
    """
    with shared.client() as client:
        seen = digest or _look(client, key, tenant, "send again", asks=not (yes or dry_run or shared.as_json))
        edit = {"amount": amount[0], "currency": amount[1]} if amount else None
        wish = {"digest": seen, "reason": reason, "amount": edit, "dry_run": dry_run, "tenant": tenant}
        effect = client.vote(key, "replay", **wish)
    people = f", {effect['left']} people have to approve it" if effect["left"] else ""
    shared.say(effect, lambda: click.echo(f"{key}: {effect['result']}{people}; {effect['note']}"))


def _look(client: Client, key: str, tenant: str | None, verb: str, asks: bool) -> str:
    """Show it, ask if somebody is there to answer, and give its digest."""
    item = client.approval(key, tenant)
    if asks:
        _show_one(item)
        click.confirm(f"{verb} it?", abort=True)
    return str(item["digest"])


def _show_list(items: list[dict[str, Any]]) -> None:
    console = Console()
    if not items:
        console.print("nothing waits for approval")
        return
    columns = [
        "key",
        "tenant",
        "kind",
        "account",
        "amount",
        "exposure",
        "incident",
        "people",
        "role",
        "since",
        "expires_at",
    ]
    table = Table(title="waiting for approval, oldest first", title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "))
    for item in items:
        table.add_row(*(str(item.get(column, "")) for column in columns))
    console.print(table)


def _show_one(item: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{item['key']}[/]: {item['kind']} of {item['amount']} for account {item['account']}")
    console.print(f"asked for by {item['requested_by']} since {item['since']}; phase {item['phase']}")
    if incident := item.get("incident"):
        console.print(f"incident {incident} has come to {item['exposure']} with it")
    console.print(f"needs {item['people']} of role {item['role']} or higher: {item['why']}")
    for vote in item.get("votes", []):
        console.print(f"  {vote['verdict']} by {vote['who']}: {vote.get('reason', '')}")
    for line in item.get("plan", []):
        console.print(f"  {line}")
    for step, words in item.get("states", {}).items():
        console.print(f"  {step}: {words}")
    console.print(f"digest {item['digest']}")
